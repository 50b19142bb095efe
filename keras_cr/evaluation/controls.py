"""Poolings that a rationale has to beat, and those it can't be expected to.

A map that finds the foreground proves little: a Gaussian in the centre does, and so does the length
of a feature. Each control here pools the same feature maps of the same encoder in the same way by
other weights, so that the weights are all that differs. Three kinds:

- `control`: sees neither masks nor labels; a rationale that is no better has learned nothing;
- `bound`: sees the masks, of the image itself or of the training images;
- `variant`: the encoder's own map, used in another way.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from keras import ops

from keras_cr._progress import Progress, Verbose, tracked
from keras_cr.attribution import center_prior
from keras_cr.evaluation._control_source import Source, Weights
from keras_cr.evaluation._normalized_cut import normalized_cut
from keras_cr.evaluation.features import Features, Pooled
from keras_cr.layers import RationaleBranch
from keras_cr.models.feature_maps import in_chunks
from keras_cr.rationale.branch_fit import MAX_IMAGES, fit_branch
from keras_cr.rationale.frozen_maps import of_all
from keras_cr.rationale.self_training import self_train

if TYPE_CHECKING:
    from keras_cr.data import FineGrainedDataset

FLOOR, TEMPERATURE, TOP = 0.1, 0.2, 4


@dataclasses.dataclass(frozen=True)
class Control:
    """A pooling beside the encoder's own.

    Attributes:
        name: key in the metrics.
        title: for tables.
        kind: `"control"`, `"bound"` or `"variant"`.
        prepare: from a `Source` to a function of rows (positions of images, `(B,)`) and their
            feature maps `(B, h, w, C)`, which gives weights `(B, h, w)`.
        beside: what is put beside the feature that the weights pool: what the encoder's `pooling`
            puts there (`"own"`), the plain `"average"`, or `"nothing"`.
        from_train: whether it is made of training images.
    """

    name: str
    title: str
    kind: str
    prepare: Callable[[Source], Weights]
    beside: str = "own"
    from_train: bool = False

    def missing(self, dataset: "FineGrainedDataset") -> str | None:
        """Why it can't be made of a data set, or None."""
        if self.kind == "bound" and dataset.masks is None and dataset.boxes is None:
            return "the data set has neither masks nor boxes"
        if self.from_train and not dataset.is_train.any():
            return "the data set has no training images"
        return None


def add_controls(
    features: Features,
    controls: Sequence[str] | str | None = None,
    seed: int = 0,
    max_images: int = MAX_IMAGES,
    verbose: Verbose = "auto",
) -> Features:
    """Pools the same images by other weights, for `evaluate_features` to judge beside the own.

    Images are read once more (training images that a branch is fitted to twice), a batch of feature
    maps at a time; the maps of the images a branch is fitted to are kept, see `HeldMaps`.

    Args:
        features: from `extract`, of an encoder with a branch.
        controls: names of `CONTROLS`, as a sequence or with commas between; None or `"all"` takes
            all. Those that the data set can't give are left out: `Control.missing` says why. So is
            the one that is the encoder's own pooling (`"concat"`), which is judged anyway.
        seed: of fresh branches, of the order they are fitted in, and of who gets whose map.
        max_images: training images, evenly spread, that branches are fitted to.
        verbose: 0 shows no progress, 1 and `"auto"` show it on stderr; 2 in few lines.

    Returns:
        `features` with `controls` filled.

    Raises:
        ValueError: a name is unknown, or `features` did not come from an encoder.

    Example:

    >>> evaluation = evaluate_features(add_controls(extract(encoder, dataset)))
    >>> evaluation.metrics["controls"]["center_branch"]["retrieval"]["map"]
    """
    names = check_controls(controls)
    if max_images < 1:
        raise ValueError(f"`max_images` must be at least 1. Received: max_images={max_images!r}")
    source = Source(features, seed, max_images)
    names = [name for name in names if name != features.pooling]
    wanted = {n: CONTROLS[n] for n in names if CONTROLS[n].missing(features.dataset) is None}
    weights_of, pool_of = {}, {}
    with Progress("Preparing controls", len(wanted), "controls", verbose=verbose) as progress:
        for name, control in wanted.items():
            progress.to(len(weights_of), note=control.title)
            weights_of[name] = control.prepare(source)
            pool_of[name] = source.pooling(control.beside, weights_of[name])
        progress.to(len(weights_of), note="")
    embeddings, maps = ({name: [] for name in weights_of} for _ in range(2))
    batches = source.batches(np.arange(len(features.dataset)))
    batches = tracked(batches, "Pooling by controls", len(features.dataset), verbose=verbose)
    for rows, feature_maps in batches:
        for name, weigh in weights_of.items():
            weights = np.asarray(weigh(rows, feature_maps), "float32")
            embedding = pool_of[name](rows, feature_maps, weights)
            embeddings[name].append(source.joined(embedding, rows).astype("float32"))
            maps[name].append(weights)
    pooled = {
        name: Pooled(np.concatenate(embeddings[name]), np.concatenate(maps[name]))
        for name in weights_of
    }
    return dataclasses.replace(features, controls=pooled)


def check_controls(controls: Sequence[str] | str | None) -> tuple[str, ...]:
    """The controls' names, in their own order; None and `"all"` give all.

    Raises:
        ValueError: a name is unknown.
    """
    if controls is None or controls == "all":
        return tuple(CONTROLS)
    if isinstance(controls, str):
        controls = controls.split(",")
    if unknown := [name for name in controls if name not in CONTROLS]:
        raise ValueError(f"`controls` may hold {', '.join(CONTROLS)}. Received: {unknown}")
    return tuple(name for name in CONTROLS if name in controls)


def _norm(power: int):
    return lambda source: lambda rows, maps: np.linalg.norm(maps, axis=-1) ** power


def _fixed(weights: Callable[[Source], np.ndarray]):
    """Weights that are one map for all images, `(h, w)`, or known for each, `(N, h, w)`."""

    def prepare(source: Source) -> Weights:
        known = weights(source)
        if known.ndim == 2:
            return lambda rows, maps: np.broadcast_to(known, (len(rows), *known.shape))
        return lambda rows, maps: known[rows]

    return prepare


def _of_rationale(change: Callable[[np.ndarray], np.ndarray]):
    return _fixed(lambda source: change(source.rationale))


def _untrained(source: Source) -> Weights:
    branch = source.branch()
    # statistics of these features, as a trained branch has: only the detectors are untrained
    if len(source.train):
        maps = source.train_maps
        scores = [
            ops.convert_to_numpy(branch.detectors(ops.cast(maps[rows], "float32")))
            for rows in in_chunks(maps)
            if rows.start < 512
        ]
        scores = np.concatenate(scores).reshape(-1, branch.num_detectors)
        branch.batch_norm.moving_mean.assign(scores.mean(axis=0))
        branch.batch_norm.moving_variance.assign(scores.var(axis=0))
    return _by_branch(branch)


def _fitted(targets: Callable[[Source], np.ndarray]):
    return lambda source: _by_branch(_fitted_branch(source, targets(source)))


def _fitted_branch(source: Source, targets: np.ndarray) -> RationaleBranch:
    """Of one detector: several of them learn where a place is rather than what it shows."""
    branch, maps = source.branch(num_detectors=1), source.train_maps
    fit_branch(branch, maps, np.broadcast_to(targets, maps.shape[:3]), seed=source.seed)
    return branch


def _self_trained(source: Source) -> Weights:
    """By a branch of the encoder's shape that learns from the centre's as `fit_rationale` does."""
    maps, branch = source.train_maps, source.branch()
    weights = of_all(_fitted_branch(source, _center(source)), maps)
    self_train(branch, maps, weights, source.train_thumbnails, seed=source.seed)
    return _by_branch(branch)


def _cut(source: Source) -> Weights:
    maps = source.train_maps
    mean = of_all(lambda batch: ops.mean(batch, axis=(1, 2)), maps).mean(axis=0)
    return lambda rows, maps: normalized_cut(maps, mean)


def _by_branch(branch: RationaleBranch) -> Weights:
    return lambda rows, maps: ops.convert_to_numpy(branch(maps))


def _center(source: Source) -> np.ndarray:
    return np.asarray(center_prior(*source.rationale.shape[1:]), "float32")


def _shuffled(source: Source) -> np.ndarray:
    """Every image gets the map of another image of its split."""
    maps, rng = source.rationale.copy(), np.random.default_rng(source.seed)
    for split in ("train", "test"):
        order = rng.permutation(source.features.rows(split))
        maps[order] = source.rationale[np.roll(order, 1)]
    return maps


def _softmax(maps: np.ndarray) -> np.ndarray:
    return np.exp((maps - 1) / TEMPERATURE)


def _top(maps: np.ndarray) -> np.ndarray:
    flat = maps.reshape(len(maps), -1)
    least = np.sort(flat, axis=1)[:, -max(flat.shape[1] // TOP, 1)]
    return (maps >= least[:, None, None]).astype("float32")


CONTROLS = {
    control.name: control
    for control in (
        Control("activation_norm", "activation norm", "control", _norm(1)),
        Control("activation_norm_squared", "activation norm, squared", "control", _norm(2)),
        Control("untrained_branch", "untrained branch", "control", _untrained),
        Control("center_prior", "centre prior", "control", _fixed(_center)),
        Control(
            "center_branch",
            "branch fitted to the centre prior",
            "control",
            _fitted(_center),
            from_train=True,
        ),
        Control(
            "center_self_trained",
            "the same, self-trained as a rationale",
            "control",
            _self_trained,
            from_train=True,
        ),
        Control(
            "normalized_cut",
            "normalised cut of the feature map",
            "control",
            _cut,
            from_train=True,
        ),
        Control(
            "mean_map",
            "mean map of the training images",
            "control",
            _fixed(lambda source: source.rationale[source.features.rows("train")].mean(axis=0)),
            from_train=True,
        ),
        Control("shuffled_maps", "another image's map", "control", _fixed(_shuffled)),
        Control(
            "mask_branch",
            "branch fitted to true masks",
            "bound",
            _fitted(lambda source: source.cells[source.train]),
            from_train=True,
        ),
        Control("mask", "true mask", "bound", _fixed(lambda source: source.cells)),
        Control("rationale_root", "rationale, root", "variant", _of_rationale(np.sqrt)),
        Control("rationale_squared", "rationale, squared", "variant", _of_rationale(np.square)),
        Control(
            "rationale_floor", f"rationale + {FLOOR}", "variant", _of_rationale(lambda a: a + FLOOR)
        ),
        Control(
            "rationale_softmax",
            f"softmax(rationale / {TEMPERATURE})",
            "variant",
            _of_rationale(_softmax),
        ),
        Control("rationale_top", "top quarter of the rationale", "variant", _of_rationale(_top)),
        Control(
            "concat",
            "rationale and average, side by side",
            "variant",
            _of_rationale(np.asarray),
            beside="average",
        ),
        Control(
            "rationale_alone",
            "rationale with nothing beside it",
            "variant",
            _of_rationale(np.asarray),
            beside="nothing",
        ),
    )
}
