"""What a fit of the branch measures of its maps, and why they may not be relied on."""

import numpy as np
from keras import ops

from keras_cr.attribution import center_prior
from keras_cr.rationale.measures import correlation

UNRELATED = 0.05  # an agreement below which a map does not follow its target


def measured(
    loss: float,
    cam: np.ndarray,
    target: np.ndarray,
    norms: np.ndarray,
    weights: np.ndarray,
    before: np.ndarray,
) -> dict[str, float]:
    """What `fit_rationale` returns for a round.

    Args:
        loss: the fit's.
        cam: GradCAM of every image, `(N, h, w)`, as all that follow.
        target: what is made of it, to which the maps were fitted.
        norms: the features' lengths.
        weights: the maps.
        before: those of the round before.
    """
    return {
        "fit_loss": loss,
        "agreement": _agreement(target, weights),
        "center_agreement": _agreement(center_prior(*cam.shape[1:])[None], weights),
        "norm_agreement": _agreement(norms, weights),
        "target_share": float(np.mean(cam > 0)),
        "map_change": float(np.abs(weights - before).mean()),
        "flat_share": float(np.mean(np.ptp(weights, axis=(1, 2)) == 0)),
    }


def doubt_of(last: dict[str, float]) -> str | None:
    """Why the maps of a fit are not to be relied on, by what it measured; None where they are."""
    if last["flat_share"] >= 0.5:
        return (
            f"The fitted maps of {100 * last['flat_share']:.0f} % of the images have no contrast: "
            "they mark no place, and the images' embeddings are plain averages. The backbone's "
            "features may be the same everywhere, as those of random weights; take a trained one."
        )
    if abs(last["agreement"]) < UNRELATED:
        return (
            "The fitted maps have nothing to do with what they were fitted to (agreement "
            f"{last['agreement']:.3f}; 1 is the same): the branch found nothing that the images "
            "share. So it is with a backbone of random weights, or images that have little in "
            "common; take a trained one, larger or more images."
        )
    if min(last["center_agreement"], last["agreement"]) < 0:
        return (
            "The fitted maps shun the middle of the images, or their own target (center_agreement "
            f"{last['center_agreement']:.2f}, agreement with the target {last['agreement']:.2f}): "
            "they may mark the background. Look at them before you use them; Rationale(prior="
            "'center') and a smaller k make this less likely."
        )
    return None


def _agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over images of the correlation over places."""
    a, b = (ops.convert_to_tensor(maps, "float32") for maps in (a, b))
    return float(ops.mean(correlation(a, b)))
