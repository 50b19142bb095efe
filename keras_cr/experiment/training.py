"""The part of a run that trains: from where it is, to its end or to where it is stopped."""

from collections.abc import Sequence
from pathlib import Path

import keras

from keras_cr._progress import announce
from keras_cr.callbacks._history import write_history
from keras_cr.data import Augmentation, FineGrainedDataset, image_batches
from keras_cr.experiment.build import build_pretrainer, build_rationale
from keras_cr.experiment.callbacks import Checkpoint
from keras_cr.experiment.checkpoints import checkpoints_path, last_checkpoint, last_state
from keras_cr.experiment.devices import scope
from keras_cr.experiment.outputs import write_foregrounds
from keras_cr.experiment.settings import Settings
from keras_cr.experiment.stopping import signals
from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining import Pretrainer, Rationale, fit_rationale, pretrain
from keras_cr.pretraining.divergence import DivergedError
from keras_cr.pretraining.loop import kept_maps
from keras_cr.rationale import fit_vocabulary
from keras_cr.rationale.branch_fit import MAX_IMAGES
from keras_cr.rationale.foregrounds import read_maps


def train_encoder(
    settings: Settings,
    encoder: CommonRationaleEncoder,
    train: FineGrainedDataset,
    output: Path,
    watching: Sequence[keras.callbacks.Callback] = (),
    augmentation: Augmentation | None = None,
) -> CommonRationaleEncoder:
    """Trains an encoder as settings say, or goes on with the training that `output` holds.

    Args:
        settings: of the run.
        encoder: as it is before the training.
        train: the training images.
        output: the run's folder; gets `checkpoints/`, `history.csv` and `foregrounds.png`.
        watching: callbacks that see the training before its state is kept.
        augmentation: of the views; None takes the objective's own.

    Returns:
        The trained encoder: `encoder`, or one that was loaded.

    Raises:
        DivergedError: the training diverged; the message names the last state before it.
        KeyboardInterrupt: of Ctrl-C or SIGTERM, after the state was kept.
        ValueError: the states in `output` are all damaged.
    """
    if settings.epochs == 0:
        if settings.rationale == "on":
            _fit_branch(settings, encoder, train, build_rationale(settings, len(train)))  # type: ignore[arg-type]
        return encoder
    steps = len(train) // settings.batch_size
    with scope(settings):
        found = last_checkpoint(output) if settings.resume else None
        pretrainer, reached = found or (build_pretrainer(settings, encoder, train), None)
        pretrainer.encoder.pooling = encoder.pooling  # a run that goes on may have another
    if reached:  # a kill may have come between a state and the history
        write_history(output / "history.csv", reached.history)
    if reached is None or reached.epoch < settings.epochs:
        with signals(at_once=False) as met:
            keeping = Checkpoint(output, steps, reached, settings.save_every, met)
            try:
                pretrain(
                    pretrainer,
                    train,
                    settings.image_size,
                    settings.batch_size,
                    settings.epochs,
                    first_epoch=reached.epoch if reached else 0,
                    first_step=reached.epoch_step if reached else 0,
                    seed=settings.seed,
                    augmentation=augmentation,
                    cache=settings.cache,
                    callbacks=[*watching, keeping],
                    folder=checkpoints_path(output),
                    on_nan=settings.on_nan,
                )
            except DivergedError as error:
                state = last_state(output)
                told = f"The last state before is {state}." if state else "No state was kept yet."
                raise DivergedError(f"{error} {told}") from error
            met.check()  # it may have come after the last step
    _draw_foregrounds(settings, pretrainer, train, output)
    if settings.refits:
        _fit_branch(settings, pretrainer.encoder, train, pretrainer.rationale)  # type: ignore[arg-type]
    elif pretrainer.encoder.vocabulary is not None:
        _fit_vocabulary(settings, pretrainer.encoder, train)
    return pretrainer.encoder


def _draw_foregrounds(
    settings: Settings, pretrainer: Pretrainer, train: FineGrainedDataset, output: Path
) -> None:
    """Draws the objects as the views of the last epochs had them cut out."""
    kept = kept_maps(checkpoints_path(output))
    maps = read_maps(kept[0]) if kept else None
    if maps is not None and maps.size:
        foregrounds = pretrainer.rationale.foregrounds
        write_foregrounds(output / "foregrounds.png", train, maps, foregrounds, settings.image_size)  # type: ignore[arg-type]


def _fit_branch(
    settings: Settings,
    encoder: CommonRationaleEncoder,
    train: FineGrainedDataset,
    rationale: Rationale,
) -> None:
    """Fits the branch to the backbone as it is now."""
    announce("Fitting the rationale to the backbone as it is.")
    fit_rationale(encoder, _shown(settings, train), rationale, seed=settings.seed)


def fit_missing_vocabulary(
    settings: Settings, encoder: CommonRationaleEncoder, train: FineGrainedDataset
) -> None:
    """Fits the vocabulary that an encoder pools by, if it has no words yet.

    So that what an encoder is before its training is told under the pooling that it has after it.
    """
    if encoder.pooling == "rationale_vlad" and not encoder.vocabulary.fitted:  # type: ignore[union-attr]
        _fit_vocabulary(settings, encoder, train)


def _fit_vocabulary(
    settings: Settings, encoder: CommonRationaleEncoder, train: FineGrainedDataset
) -> None:
    announce("Fitting the vocabulary to the backbone as it is.")
    fit_vocabulary(encoder, _shown(settings, train), seed=settings.seed)


def _shown(settings: Settings, train: FineGrainedDataset):
    """The training images that a frozen encoder is fitted to, as evaluation sees them."""
    return image_batches(train.spread(MAX_IMAGES), settings.image_size, settings.batch_size)
