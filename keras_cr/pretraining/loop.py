"""A whole training on a data set's images: views, epochs, and the rationale's maps in the loop."""

import dataclasses
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_cr._numbers import square_side, whole_number
from keras_cr._progress import Progress, Verbose, announce
from keras_cr._replicas import number_of
from keras_cr.data import (
    Augmentation,
    FineGrainedDataset,
    image_batches,
    two_views,
)
from keras_cr.data.digest import digest, foreground_digest
from keras_cr.data.views import images_of_step
from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining.divergence import WatchNotFinite
from keras_cr.pretraining.pretrainer import Pretrainer
from keras_cr.pretraining.reporting import OneTraining, ProgressBar
from keras_cr.rationale.branch_fit import MAX_IMAGES
from keras_cr.rationale.choices import Rationale
from keras_cr.rationale.doubt import doubt_of
from keras_cr.rationale.foregrounds import foreground_maps, mask_batches, read_maps, write_maps
from keras_cr.rationale.posthoc import fit_rationale

_SMALL_SIDE = 96 / 224  # of a small crop, to the views'; SwAV's (arXiv 2006.09882)


def pretrain(
    pretrainer: Pretrainer,
    dataset: FineGrainedDataset,
    image_size: int,
    batch_size: int,
    epochs: int,
    first_epoch: int = 0,
    first_step: int = 0,
    seed: int = 0,
    augmentation: Augmentation | tuple[Augmentation, Augmentation] | None = None,
    cache: str | os.PathLike | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    folder: str | os.PathLike | None = None,
    on_nan: str = "stop",
    verbose: Verbose = "auto",
) -> keras.callbacks.History:
    """Trains a compiled pretrainer on a data set's images, as its objective and rationale need.

    With `Rationale(foregrounds=Foregrounds())` the branch is fitted before the first epoch and
    again every few, and the views' backgrounds are swapped by its maps. Without it this is one
    `fit` on `two_views`.

    Args:
        pretrainer: an objective of `keras_cr.pretraining`, compiled.
        dataset: the training images.
        image_size: side of views and images in pixels.
        batch_size: images a step.
        epochs: of the whole training.
        first_epoch: where it goes on, from 0.
        first_step: steps of that epoch that are done.
        seed: of order, views, swaps and fits.
        augmentation: of the views, see `two_views`; None takes the objective's own.
        cache: as for `two_views`.
        callbacks: as for `keras.Model.fit`; they see one training.
        folder: where the maps of the last two fits are kept, without which a training that goes on
            between two fits can't be the one that was stopped; None keeps none, and fits anew.
        on_nan: what becomes of a step whose loss or gradient is not finite: `"stop"` ends the
            training there; `"skip"` leaves weights, optimizer, queues and running means as they
            were, warns, logs `skipped_steps`, and ends it after ten in a row, or an epoch of them.
        verbose: 0 shows no progress, 1 and `"auto"` show it on stderr; 2 in few lines.

    Returns:
        What was logged, as `keras.Model.fit` returns it.

    Raises:
        ValueError: the rationale's foregrounds need masks, neighbours or images that there are
            not, or a batch does not divide by the replicas; or as `two_views`.
        DivergedError: the loss or a gradient is not finite, and `on_nan` skips no more; the message
            names step and images.

    Example:

    >>> pretrainer = MoCo(encoder, rationale=Rationale(foregrounds=Foregrounds()))
    >>> pretrainer.compile(keras.optimizers.SGD(0.03, momentum=0.9))
    >>> pretrain(pretrainer, train, image_size=224, batch_size=64, epochs=40)
    """
    epochs, seed = whole_number("epochs", epochs, least=0), whole_number("seed", seed, least=0)
    first_epoch = whole_number("first_epoch", first_epoch, least=0)
    first_step = whole_number("first_step", first_step, least=0)
    image_size = square_side("image_size", image_size)
    batch_size = whole_number("batch_size", batch_size)
    if batch_size % number_of(pretrainer):
        raise ValueError(
            f"`batch_size` must divide by the {number_of(pretrainer)} replicas that the pretrainer "
            f"was built on. Received: {batch_size}"
        )
    rationale = pretrainer.rationale
    foregrounds = rationale.foregrounds if rationale else None
    if foregrounds:
        seen = (*pretrainer.views, *pretrainer.taught)
        foregrounds.check_views(seen, type(pretrainer).__name__)
    pretrainer.set_on_nan(on_nan)
    length = foregrounds.fit_every if foregrounds else max(epochs, 1)

    def views(begun: int, ended: int, maps=None, first_step: int = 0):
        small_size = round(image_size * _SMALL_SIDE)
        if pretrainer.small_crops:
            small_size = max(small_size, pretrainer.encoder.map_size.smallest)
        return two_views(
            dataset,
            image_size,
            batch_size,
            augmentation=augmentation or pretrainer.augmentation(),
            seed=seed,
            epochs=ended - begun,
            first_epoch=begun,
            first_step=first_step,
            whole_images=bool(rationale and rationale.whole_images),
            small_crops=pretrainer.small_crops,
            small_size=small_size,
            labels=pretrainer.needs_labels,
            boxes=pretrainer.boxes,
            cache=cache,
            backgrounds=None if maps is None else foregrounds.swap(maps),
            crops=None if maps is None else foregrounds.crops(maps),
        )

    if first_epoch >= epochs:
        return keras.callbacks.History()
    if foregrounds:  # for their errors, before minutes are spent on a fit
        views(first_epoch, epochs)
        if foregrounds.cut == "mask":
            mask_batches(dataset, image_size)
        elif rationale and foregrounds.cut != "center":
            rationale.positives.check_enough("dataset", len(dataset))  # type: ignore[union-attr]
    steps = len(dataset) // batch_size
    total, done = epochs * steps, first_epoch * steps + first_step

    def names(epoch: int, step: int) -> list[str]:
        rows = images_of_step(dataset, batch_size, seed, epoch, step)
        if isinstance(dataset.images, np.ndarray):
            return [f"number {row}" for row in rows]
        return [os.path.basename(dataset.images[row]) for row in rows]

    of_cuts = (dataset, image_size, batch_size, seed, folder, verbose)
    cuts = _Cuts(pretrainer.encoder, rationale, *of_cuts) if rationale and foregrounds else None
    with Progress("Training", total, done=done, verbose=verbose) as progress:
        watching = WatchNotFinite(names, first_step)
        told = [ProgressBar(progress, epochs), watching, *callbacks]
        training = OneTraining(told, pretrainer, epochs, steps)
        fitted, maps = None, None
        while first_epoch < epochs:
            begun = first_epoch - first_epoch % length
            ended = min(begun + length, epochs)
            if cuts and fitted != begun:
                maps = cuts.maps(begun, goes_on=first_epoch > begun or first_step > 0)
                fitted = begun
            if first_step:  # what is left of an epoch
                ended = first_epoch + 1
            pretrainer.fit(
                views(first_epoch, ended, maps, first_step),
                epochs=ended,
                initial_epoch=first_epoch,
                steps_per_epoch=steps - first_step,
                shuffle=False,
                verbose=0,
                callbacks=training,
            )
            first_epoch, first_step = ended, 0
            if pretrainer.stop_training:
                break
        training.end()
    return pretrainer.history


def maps_path(folder: str | os.PathLike, begun: int) -> Path:
    """Where the maps are kept that cut from an epoch on."""
    return Path(folder) / f"foregrounds-{begun:05d}.npz"


def kept_maps(folder: str | os.PathLike) -> list[Path]:
    """The maps that are kept, those of the last fit first."""
    return sorted(Path(folder).glob("foregrounds-*.npz"), reverse=True)


@dataclasses.dataclass
class _Cuts:
    """What the rationale's maps cut, from fit to fit.

    Args:
        encoder: whose branch is fitted.
        rationale: by what, and how its maps cut.
        dataset, image_size, batch_size, seed, folder, verbose: as for `pretrain`.
    """

    encoder: CommonRationaleEncoder
    rationale: Rationale
    dataset: FineGrainedDataset
    image_size: int
    batch_size: int
    seed: int
    folder: str | os.PathLike | None
    verbose: Verbose

    def maps(self, begun: int, goes_on: bool) -> np.ndarray | None:
        """What cuts from epoch `begun` on, which begins or goes on; None: nothing does."""
        foregrounds, maps = self.rationale.foregrounds, None
        path = None if self.folder is None else maps_path(self.folder, begun)
        decides = {
            "epoch": begun,
            "rationale": self.rationale.get_config(),
            "images": digest(self.dataset),
            "image_size": self.image_size,
            "batch_size": self.batch_size,
            "seed": self.seed,
        }
        if foregrounds.cut == "mask":
            decides["masks"] = foreground_digest(self.dataset)
        if path and goes_on:
            if (maps := read_maps(path, **decides)) is not None:
                return maps if maps.size else None
            announce(
                f"{path} holds no maps of epoch {begun + 1}: the branch is fitted anew.",
                self.verbose,
            )
        announce(f"Epoch {begun + 1}: cutting out the objects of the images.", self.verbose)
        if doubt := self._fit(foregrounds.cut):
            announce(f"Views keep their backgrounds. {doubt}", self.verbose)
        else:
            maps = foreground_maps(
                self.encoder,
                self.dataset,
                self.image_size,
                self.batch_size,
                foregrounds.cut,
                self.seed,
                self.verbose,
                foregrounds.refine,
            )
        if path:
            none = np.zeros((0, 1, 1), "float16")
            write_maps(path, none if maps is None else maps, **decides)
            for earlier in kept_maps(path.parent)[2:]:  # a state before the last may go on
                earlier.unlink()
        return maps

    def _fit(self, cut: str) -> str | None:
        """Fits the branch whose maps cut, if they are its; why they can't be trusted, or None."""
        if cut not in ("rationale", "shuffled"):
            return None
        shown = self.dataset.spread(MAX_IMAGES)
        images = image_batches(shown, self.image_size, self.batch_size)
        with warnings.catch_warnings():  # of a doubt, which is told of
            warnings.simplefilter("ignore", UserWarning)
            fitted = fit_rationale(
                self.encoder,
                images,
                self.rationale,
                seed=self.seed,
                verbose=self.verbose,
            )
        return doubt_of(fitted[-1])
