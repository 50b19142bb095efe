"""A whole training on a data set's images: views, epochs, and the rationale's maps in the loop."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_cr._numbers import whole_number
from keras_cr._progress import announce
from keras_cr.data import Augmentation, FineGrainedDataset, image_batches, two_views
from keras_cr.pretraining.pretrainer import Pretrainer
from keras_cr.rationale.foregrounds import foreground_maps, read_maps, write_maps
from keras_cr.rationale.posthoc import doubt_of, fit_rationale

_SMALL_SIDE = 96 / 224  # of a small crop, to the views'; SwAV's (arXiv 2006.09882)


def pretrain(
    pretrainer: Pretrainer,
    dataset: FineGrainedDataset,
    image_size: int,
    batch_size: int,
    epochs: int,
    first_epoch: int = 0,
    seed: int = 0,
    augmentation: Augmentation | tuple[Augmentation, Augmentation] | None = None,
    cache: str | os.PathLike | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    folder: str | os.PathLike | None = None,
) -> None:
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
        seed: of order, views, swaps and fits.
        augmentation: of the views, see `two_views`; None takes the objective's own.
        cache: as for `two_views`.
        callbacks: as for `keras.Model.fit`.
        folder: where the maps in use are kept, without which a training that goes on between two
            fits can't be the one that was stopped; None keeps none, and fits anew.

    Raises:
        ValueError: the rationale's foregrounds need masks, neighbours or images that there are
            not; or as `two_views`.

    Example:

    >>> pretrainer = MoCo(encoder, rationale=Rationale(foregrounds=Foregrounds()))
    >>> pretrainer.compile(keras.optimizers.SGD(0.03, momentum=0.9))
    >>> pretrain(pretrainer, train, image_size=224, batch_size=64, epochs=40)
    """
    rationale = pretrainer.rationale
    foregrounds = rationale.foregrounds if rationale else None
    small_size = round(image_size * _SMALL_SIDE)
    if pretrainer.small_crops:
        small_size = max(small_size, pretrainer.encoder.map_size.smallest)
    length = whole_number("epochs", epochs, least=0)
    if foregrounds:
        length = foregrounds.fit_every
    while first_epoch < epochs:
        begun = first_epoch - first_epoch % length if foregrounds else first_epoch
        last = min(begun + length, epochs)
        swap = None
        if foregrounds:
            maps = _maps(
                pretrainer, dataset, image_size, batch_size, begun, first_epoch, seed, folder
            )
            swap = None if maps is None else foregrounds.swap(maps)
        views = two_views(
            dataset,
            image_size,
            batch_size,
            augmentation=augmentation or pretrainer.augmentation(),
            seed=seed,
            epochs=last - first_epoch,
            first_epoch=first_epoch,
            whole_images=bool(rationale and rationale.whole_images),
            small_crops=pretrainer.small_crops,
            small_size=small_size,
            labels=pretrainer.needs_labels,
            boxes=pretrainer.boxes,
            cache=cache,
            backgrounds=swap,
        )
        pretrainer.fit(
            views,
            epochs=last,
            initial_epoch=first_epoch,
            steps_per_epoch=len(dataset) // batch_size,
            shuffle=False,
            verbose=0,
            callbacks=list(callbacks),
        )
        first_epoch = last


def maps_path(folder: str | os.PathLike) -> Path:
    """Where the maps that cut are kept."""
    return Path(folder) / "foregrounds.npz"


def _maps(pretrainer, dataset, image_size, batch_size, begun, epoch, seed, folder):
    """The maps that cut from epoch `begun` on, now that `epoch` begins; None where none can."""
    choices = pretrainer.rationale
    decides = {
        "epoch": begun,
        "foregrounds": choices.foregrounds,
        "images": len(dataset),
        "image_size": image_size,
        "seed": seed,
    }
    path = None if folder is None else maps_path(folder)
    if path and epoch > begun:
        if (kept := read_maps(path, **decides)) is not None:
            return kept if kept.size else None
        announce(f"{path} holds no maps of epoch {begun + 1}: the branch is fitted anew.")
    announce(f"Epoch {epoch + 1}: cutting out the objects of the images.")
    encoder, cut = pretrainer.encoder, choices.foregrounds.cut
    doubt = None
    if cut in ("rationale", "shuffled"):
        images = image_batches(dataset, image_size, batch_size)
        with warnings.catch_warnings():  # of a doubt, told of below
            warnings.simplefilter("ignore", UserWarning)
            doubt = doubt_of(fit_rationale(encoder, images, choices, seed=seed)[-1])
    if doubt:
        announce(f"Views keep their backgrounds. {doubt}")
        maps = None
    else:
        maps = foreground_maps(encoder, dataset, image_size, batch_size, cut, seed)
    if path:
        kept = np.zeros((0, 1, 1), "float16") if maps is None else maps
        write_maps(path, kept, **decides)
    return maps
