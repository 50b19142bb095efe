"""A rationale for any pretrained encoder, in minutes: only the branch is trained."""

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cr._finite import not_finite
from keras_cr._numbers import positive_number, whole_number
from keras_cr._progress import Progress, Verbose
from keras_cr._replicas import refuse_scope
from keras_cr.layers import RationaleBranch
from keras_cr.models import CommonRationaleEncoder
from keras_cr.models.feature_maps import MAX_MEMORY, HeldMaps, largest_of
from keras_cr.rationale.branch_fit import (
    EPOCHS,
    LEARNING_RATE,
    MAX_IMAGES,
    BranchFit,
    fresh_branch,
)
from keras_cr.rationale.choices import Rationale
from keras_cr.rationale.doubt import doubt_of, measured
from keras_cr.rationale.explain import embed_for_neighbours, explain
from keras_cr.rationale.frozen_maps import frozen_maps, of_all
from keras_cr.rationale.neighbours import NeighbourBank
from keras_cr.rationale.self_training import PASSES, self_train
from keras_cr.rationale.vocabulary import fit_words

ROUNDS = 4
_COMPARED = 2**21  # similarities at once, over which the slope of backgrounds is taken
DEFAULT = Rationale()


def fit_rationale(
    encoder: CommonRationaleEncoder,
    images: np.ndarray | Iterable,
    rationale: Rationale = DEFAULT,
    rounds: int = ROUNDS,
    epochs: int | None = None,
    batch_size: int = 64,
    learning_rate: float = LEARNING_RATE,
    max_images: int = MAX_IMAGES,
    max_memory: float = MAX_MEMORY,
    seed: int = 0,
    on_round: Callable[[int, dict[str, float]], None] | None = None,
    verbose: Verbose = "auto",
) -> list[dict[str, float]]:
    """Fits the branch of a frozen encoder to what images share with their nearest others.

    Feature maps are computed once. In each round the images are embedded (plain averages at first,
    then weighted by the last round's maps), the GradCAM of an InfoNCE with the nearest other images
    as the positive is taken for every image, and a branch, fresh at first, is fitted to it. In the
    end (`rationale.self_training`) a fresh one is fitted to those maps, refined by the images'
    colours, by the mean squared error, and once more to its own, refined likewise, unless they are
    not to be relied on; rounds are then of a branch of one detector, whatever the encoder's has. An
    encoder that pools by a vocabulary gets that of the new maps. The backbone and its statistics
    are not touched, labels are not used.

    Args:
        encoder: of any origin; its branch is replaced, and its vocabulary; all else stays.
        images: (N, H, W, 3), RGB 0..255, a list of images, or an iterable of such batches, such as
            `keras_cr.data.image_batches(...)`; of a batch that is a tuple the first element is
            taken, of one that is a dict `"image"` or `"images"`. Training images: what is fitted
            on test images is no test result.
        rationale: which target; of its choices those that concern training beside an objective
            (`weight`, `bank_size`, `warmup`, `images`, `map_normalization`, `foregrounds`) play no
            part.
        rounds: how often neighbours are looked for.
        epochs: passes of each round's fit, which goes on from the last one's, and of both fits to
            refined maps together; by default 16 over all rounds and 16.
        batch_size: images at a time.
        learning_rate: of Adam, times `rationale.lr_multiplier`, falling to 0 along a cosine.
        max_images: no more than the first so many are used. Their feature maps are kept in half
            precision: 0.2 MB an image for a ResNet-50 at 224 pixels, twice that with
            `Neighbours(mirror=True)`, and twice as much where they leave float16's range.
        max_memory: GB of feature maps that are held in memory. Where there are more, all of them
            lie in a temporary file (in TMPDIR), which goes when the fit ends, however it ends. A
            copy in single precision may take as much beside them, under TensorFlow.
        seed: of the branches' weights and the order of the images.
        on_round: called after each round with its number, from 1, and what is returned for it.
        verbose: 0 shows no progress, 1 and `"auto"` show it on stderr; 2 in few lines.

    Returns:
        For each round a dict of means over images: `fit_loss` (of the round's own fit), and, the
        last one's of the branch in the end, `agreement` (correlation of target and map),
        `center_agreement` and `norm_agreement` (of the map with a Gaussian around the middle and
        with the feature's length), `target_share` (of the places), `map_change` (mean absolute
        difference to the last round's maps) and `flat_share` (of the images whose map has no
        contrast).

    Raises:
        ValueError: there are too few images for the neighbours' `k`, or they are no RGB images of
            0..255, of one size and large enough; a number is not positive; `rationale` needs views
            or an objective, which a frozen encoder has none of, or its `lr_multiplier` is 0; or a
            weight, a feature map or what comes of them is not finite. The encoder's branch is then
            what it was. Or this is the scope of a strategy of several replicas.
        OSError: the disk can't hold the feature maps that `max_memory` doesn't.
        RuntimeError: Keras runs on a backend without gradients.

    Warns:
        UserWarning: the maps shun the middle of the images, or what they were fitted to: they may
            mark the background. Or they say little: they don't follow what they were fitted to,
            or most are without contrast.

    Example:

    >>> encoder = CommonRationaleEncoder(backbone, num_detectors=1, image_size=224)
    >>> fit_rationale(encoder, image_batches(train, 224, 64))
    >>> encoder.save_to_preset("my_encoder")
    """
    _check_kinds(encoder, rationale, on_round)
    refuse_scope("A rationale is fitted")
    check_frozen(rationale)
    positives = rationale.positives
    learning_rate = positive_number("learning_rate", learning_rate)
    rounds = whole_number("rounds", rounds)
    given = EPOCHS if epochs is None else whole_number("epochs", epochs)
    epochs, last_epochs = given if epochs else -(-EPOCHS // rounds), -(-given // PASSES)
    batch_size = whole_number("batch_size", batch_size)
    max_images = whole_number("max_images", max_images)
    seed = whole_number("seed", seed, least=0)
    if wrong := not_finite(encoder):
        raise ValueError(
            f"`encoder` must have finite weights; {', '.join(wrong[:3])} hold NaN or infinity. "
            "Load it anew, or take an earlier checkpoint."
        )
    held = [HeldMaps(max_memory / (1 + positives.mirror)) for _ in range(1 + positives.mirror)]
    thumbnails: list[np.ndarray] | None = [] if rationale.self_training else None
    maps, *mirror = frozen_maps(encoder, images, batch_size, max_images, held, verbose, thumbnails)
    mirrored = mirror[0] if mirror else None
    positives.check_enough("images", len(maps))
    weights, history = np.ones(tuple(maps.shape[:3]), "float32"), []
    mirrored_weights = weights
    norms = of_all(lambda x: ops.norm(x, axis=-1), maps)
    if not np.isfinite(norms).all():
        raise ValueError(
            "`encoder` must have features whose length float32 can hold; received up to "
            f"{largest_of(maps):.1e}. Put a Rescaling layer behind its backbone."
        )
    detectors = 1 if rationale.self_training else encoder.branch.num_detectors
    branch = fresh_branch(encoder.branch, seed, detectors)
    fit_options: dict[str, Any] = {
        "learning_rate": learning_rate * rationale.lr_multiplier,
        "train_affine": rationale.train_affine,
        "max_memory": max_memory,
    }
    fit = BranchFit(branch, maps, rationale.fit_loss(), epochs, batch_size, **fit_options)

    def embed(maps, weights):
        return embed_for_neighbours(rationale, encoder, maps, weights)

    passes = rounds * epochs + rationale.self_training * PASSES * last_epochs
    progress = Progress("Fitting the rationale", passes, "epochs", verbose=verbose)
    for number in progress.during(range(rounds)):
        embeddings = of_all(embed, maps, weights)
        bank = NeighbourBank.of(rationale.positives, len(embeddings), encoder.channels)  # type: ignore[arg-type]
        bank.enqueue(embeddings, np.arange(len(embeddings)))
        cam, target = _explain(bank, maps, embeddings, rationale)
        if mirrored is not None:
            embeddings = of_all(embed, mirrored, mirrored_weights)
            other = _explain(bank, mirrored, embeddings, rationale)[1]
            target = (target + other[:, :, ::-1]) / 2
        loss = fit.to(target, seed + number, progress.advance)
        before, weights = weights, of_all(branch, maps)
        history.append(measured(loss, cam, target, norms, weights, before))
        _check_finite(branch, history[-1], number + 1)
        last = number + 1 == rounds
        if thumbnails and last and doubt_of(history[-1]):
            progress.advance(PASSES * last_epochs)  # which are left out
            branch = _with_copies(encoder.branch, branch)
        elif thumbnails and last:
            del fit  # and with it a copy of the maps
            branch = fresh_branch(encoder.branch, seed)
            sizes = {"epochs": last_epochs, "batch_size": batch_size, "seed": seed}
            weights = self_train(
                branch, maps, weights, thumbnails, on_epoch=progress.advance, **sizes, **fit_options
            )
            history[-1] = measured(loss, cam, target, norms, weights, before)
            _check_finite(branch, history[-1], number + 1)
        if mirrored is not None:
            mirrored_weights = of_all(branch, mirrored)
        progress.tell(f"round {number + 1}: agreement {history[-1]['agreement']:.2f}")
        if on_round is not None:
            on_round(number + 1, history[-1])
    if encoder.vocabulary is not None:  # which stays as it was, with the branch, if that fails
        fit_words(encoder.vocabulary, maps, weights, seed)
    encoder.branch.set_weights(branch.get_weights())
    if doubt := doubt_of(history[-1]):
        warnings.warn(doubt, stacklevel=2)
    return history


def _with_copies(branch: RationaleBranch, single: RationaleBranch) -> RationaleBranch:
    """A branch of another's shape, all of whose detectors are the one of `single`: its maps."""
    twin = fresh_branch(branch, 0)
    twin.set_weights([np.repeat(w, twin.num_detectors, axis=-1) for w in single.get_weights()])
    return twin


def _check_kinds(encoder, rationale, on_round) -> None:
    if not isinstance(encoder, CommonRationaleEncoder):
        way_out = ""
        if isinstance(encoder, keras.Model):
            inner = hasattr(encoder, "encoder")
            fitting = "classifier.encoder" if inner else "CommonRationaleEncoder(backbone)"
            way_out = f". Give {fitting}"
        raise ValueError(
            "`encoder` must be a CommonRationaleEncoder. Received: a "
            f"{type(encoder).__name__}{way_out}"
        )
    if not isinstance(rationale, Rationale):
        raise ValueError(f"`rationale` must be a Rationale. Received: {rationale!r}")
    if on_round is not None and not callable(on_round):
        raise ValueError(f"`on_round` must be a function or None. Received: {on_round!r}")


def _check_finite(branch: RationaleBranch, measured: dict[str, float], number: int) -> None:
    """Stops before a branch of NaN or infinity takes the place of the encoder's."""
    wrong = [name for name, value in measured.items() if not np.isfinite(value)]
    wrong += not_finite(branch)
    if wrong:
        raise ValueError(
            f"What round {number} gave is not finite: {', '.join(wrong)}. The encoder's branch is "
            "left as it was. Take a smaller `learning_rate`, or look at the backbone's feature "
            "maps: they may be too large, or the same everywhere."
        )


def check_frozen(rationale: Rationale) -> None:
    """Refuses what a frozen encoder can't give, for want of an objective, and a fit to nothing.

    Raises:
        ValueError: `rationale` explains the objective's loss, or its branch doesn't learn.
    """
    if not rationale.lr_multiplier:
        raise ValueError(
            "`rationale` must have an lr_multiplier above 0: the branch is all that is fitted. "
            "Received: lr_multiplier=0"
        )
    if rationale.explains_objective:
        raise ValueError(
            "`rationale` must have Neighbours(...) as positives: a frozen encoder has no objective "
            f"whose loss could be explained. Received: {rationale.positives}"
        )


def _explain(bank, maps, embeddings, rationale: Rationale) -> tuple[np.ndarray, np.ndarray]:
    """GradCAM and target of every image's comparison with its neighbours: (N, h, w)."""
    gradients = []
    images = np.arange(len(embeddings))
    for rows in np.array_split(images, -(-(len(images) ** 2) // _COMPARED)):
        gradients.append(ops.convert_to_numpy(bank.gradient(embeddings[rows], rows)))

    def explained(maps, gradients):
        return ops.stack(explain(rationale, maps, gradients[:, None, None, :]))

    cam, target = of_all(explained, maps, np.concatenate(gradients), axis=1)
    return cam, target
