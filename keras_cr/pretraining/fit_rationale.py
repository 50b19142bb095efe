"""A rationale for any pretrained encoder, in minutes: only the branch is trained."""

import warnings
from collections.abc import Iterable

import keras
import numpy as np

from keras_cr.attribution import center_prior, grad_cam
from keras_cr.layers import RationaleBranch
from keras_cr.models import CommonRationaleEncoder
from keras_cr.models.branch_fit import EPOCHS, LEARNING_RATE, fit_branch
from keras_cr.pretraining.measures import correlation
from keras_cr.pretraining.neighbours import NeighbourBank
from keras_cr.pretraining.rationale import Rationale

ROUNDS = 4
MAX_IMAGES = 4096
_CHUNK = 256  # images compared with their neighbours at once
DEFAULT = Rationale()


def fit_rationale(
    encoder: CommonRationaleEncoder,
    images: np.ndarray | Iterable,
    rationale: Rationale = DEFAULT,
    rounds: int = ROUNDS,
    epochs: int = EPOCHS,
    batch_size: int = 64,
    learning_rate: float = LEARNING_RATE,
    max_images: int = MAX_IMAGES,
    seed: int = 0,
) -> list[dict[str, float]]:
    """Fits the branch of a frozen encoder to what images share with their nearest others.

    Feature maps are computed once. In each round the images are embedded (plain averages at first,
    then weighted by the last round's maps), the GradCAM of an InfoNCE with the nearest other images
    as the positive is taken for every image, and a fresh branch is fitted to it. The backbone and
    its statistics are not touched, labels are not used.

    Args:
        encoder: of any origin; its branch is replaced, all else stays.
        images: (N, H, W, 3), RGB 0..255, or an iterable of such batches, such as
            `keras_cr.data.image_batches(...)`; of a batch that is a tuple the first element is
            taken. Training images: what is fitted on test images is no test result.
        rationale: which target; of its choices those that concern another loss, or training
            beside an objective, play no part.
        rounds: how often neighbours are looked for.
        epochs: passes of each round's fit.
        batch_size: images at a time.
        learning_rate: of Adam, falling to 0 along a cosine.
        max_images: no more than the first so many are used. Their feature maps are held in memory,
            in half precision: 0.2 MB an image for a ResNet-50 at 224 pixels.
        seed: of the branches' weights and the order of the images.

    Returns:
        For each round a dict of means over images: `fit_loss`, `agreement` (correlation of target
        and map), `center_agreement` and `norm_agreement` (of the map with a Gaussian around the
        middle and with the feature's length), `target_share` (of the places) and `map_change`
        (mean absolute difference to the last round's maps).

    Raises:
        ValueError: there are too few images for `rationale.k`, a number is not positive, or
            `rationale` explains views, which a frozen encoder has none of.

    Warns:
        UserWarning: the maps shun the middle of the images, or what they were fitted to: they may
            mark the background.

    Example:

    >>> encoder = CommonRationaleEncoder(backbone, num_detectors=1, image_size=224)
    >>> fit_rationale(encoder, image_batches(train, 224, 64))
    >>> encoder.save_to_preset("my_encoder")
    """
    if rationale.positives != "neighbours":
        raise ValueError(
            "`rationale` must have positives='neighbours': a frozen encoder has no objective whose "
            f"loss could be explained. Received: positives={rationale.positives!r}"
        )
    for name, value in (("rounds", rounds), ("epochs", epochs), ("max_images", max_images)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value!r}")
    maps = _feature_maps(encoder, images, batch_size, max_images)
    if len(maps) <= 2 * rationale.k:
        raise ValueError(
            f"`images` must be more than twice the {rationale.k} neighbours that make up a "
            f"positive. Received: {len(maps)} images; take more, or Rationale(k=...)."
        )
    weights, history = np.ones(maps.shape[:3], "float32"), []
    norms = np.stack([np.linalg.norm(x.astype("float32"), axis=-1) for x in maps])
    for number in range(rounds):
        cam = _neighbour_cams(encoder, maps, weights, rationale)
        target = keras.ops.convert_to_numpy(rationale.target_of(keras.ops.convert_to_tensor(cam)))
        branch = _fresh(encoder.branch, seed + number)
        loss = fit_branch(
            branch,
            maps,
            target,
            rationale.fit_loss(),
            epochs,
            batch_size,
            learning_rate,
            rationale.train_affine,
            seed + number,
        )
        before, weights = weights, _maps_of(branch, maps, batch_size)
        history.append(
            {
                "fit_loss": loss,
                "agreement": _agreement(target, weights),
                "center_agreement": _agreement(center_prior(*cam.shape[1:])[None], weights),
                "norm_agreement": _agreement(norms, weights),
                "target_share": float(np.mean(cam > 0)),
                "map_change": float(np.abs(weights - before).mean()),
            }
        )
    encoder.branch.set_weights(branch.get_weights())
    last = history[-1]
    if min(last["center_agreement"], last["agreement"]) < 0:
        warnings.warn(
            "The fitted maps shun the middle of the images, or their own target (center_agreement "
            f"{last['center_agreement']:.2f}, agreement with the target {last['agreement']:.2f}): "
            "they may mark the background. Look at them before you use them; Rationale(prior="
            "'center') and a smaller k make this less likely.",
            stacklevel=2,
        )
    return history


def _feature_maps(encoder, images, batch_size: int, max_images: int) -> np.ndarray:
    """(N, h, w, C) float16."""
    batches = images
    if hasattr(images, "shape"):
        batches = (images[i : i + batch_size] for i in range(0, len(images), batch_size))
    model = _Maps(encoder)
    parts, count = [], 0
    for batch in batches:
        batch = keras.ops.convert_to_numpy(batch[0] if isinstance(batch, tuple | list) else batch)
        parts.append(model.predict_on_batch(batch[: max_images - count]).astype("float16"))
        count += len(parts[-1])
        if count >= max_images:
            break
    if not parts:
        raise ValueError("`images` must hold at least one image; received none.")
    return np.concatenate(parts)


class _Maps(keras.Model):
    """The encoder's feature maps, compiled."""

    def __init__(self, encoder):
        super().__init__(name="feature_maps")
        self.encoder = encoder
        self.built = True
        self.jit_compile = False

    def call(self, images, training=False):
        return self.encoder.feature_map(images)


def _neighbour_cams(encoder, maps, weights, rationale: Rationale) -> np.ndarray:
    """The GradCAM of every image's comparison with its neighbours, (N, h, w) float32."""
    chunks = [slice(start, start + _CHUNK) for start in range(0, len(maps), _CHUNK)]
    pooled = [encoder.pool(maps[rows].astype("float32"), weights[rows]) for rows in chunks]
    pooled = keras.ops.concatenate(pooled)
    bank = NeighbourBank(
        len(maps), rationale.k, rationale.contrast_temperature, seed=0, dtype="float32"
    )
    bank.build(pooled.shape)
    index = np.arange(len(maps))
    bank.enqueue(pooled, index)
    cams = []
    for rows in chunks:
        gradients = bank.gradient(pooled[rows], index[rows])[:, None, None, :]
        cam = grad_cam(maps[rows].astype("float32"), gradients, rationale.cam, rationale.sign)
        cams.append(keras.ops.convert_to_numpy(cam))
    return np.concatenate(cams)


def _fresh(branch: RationaleBranch, seed: int) -> RationaleBranch:
    twin = RationaleBranch.from_config(branch.get_config() | {"seed": seed})
    twin.build((None, None, None, branch.detectors.kernel.shape[-2]))
    return twin


def _maps_of(branch, maps, batch_size: int) -> np.ndarray:
    parts = (maps[i : i + batch_size] for i in range(0, len(maps), batch_size))
    return np.concatenate([keras.ops.convert_to_numpy(branch(x.astype("float32"))) for x in parts])


def _agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over images of the correlation over places."""
    a, b = (keras.ops.convert_to_tensor(maps, "float32") for maps in (a, b))
    return float(keras.ops.mean(correlation(a, b)))
