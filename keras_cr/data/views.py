"""Random views of each image: stateless, in tf.data, resumable at any epoch.

Every number is drawn from a seed that is a function of (seed, epoch) alone, at the image's position
in the dataset and its view, so that a run continued at epoch k sees what the whole run would see.
"""

import dataclasses
import itertools
import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from keras_cr._numbers import as_whole
from keras_cr.data._arguments import image_side, whole
from keras_cr.data.augmentation import SMALL_SEED, Augmentation, ViewPlan, draw
from keras_cr.data.backgrounds import BackgroundSwap, swaps
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.images import image_reader, whole_image
from keras_cr.data.object_crops import ObjectCrops, placing

_PLANNED = 1024  # images whose views are planned in one go: some megabytes, however long the epoch
_SMALL_SCALE = (0.05, 0.14)  # SwAV's (arXiv 2006.09882), as are six crops of 96 pixels


def two_views(
    dataset: FineGrainedDataset,
    image_size: int,
    batch_size: int,
    augmentation: Augmentation | tuple[Augmentation, Augmentation] | None = None,
    seed: int = 0,
    epochs: int = 1,
    first_epoch: int = 0,
    first_step: int = 0,
    whole_images: bool = True,
    small_crops: int = 0,
    small_size: int = 96,
    small_augmentation: Augmentation | None = None,
    labels: bool = False,
    boxes: bool = False,
    cache: str | os.PathLike | None = None,
    backgrounds: BackgroundSwap | None = None,
    crops: ObjectCrops | None = None,
) -> tf.data.Dataset:
    """Returns shuffled batches of two views of each image, for a pretrainer's `fit`.

    Each epoch is a new order of the whole dataset, and leaves out the images that do not fill its
    last batch. An image is decoded once for all its views. The same arguments give the same
    batches, whatever the number of threads.

    Args:
        dataset: The images.
        image_size: Side of the views in pixels.
        batch_size: Images a batch.
        augmentation: What makes a view, or a pair for the query and the key, such as
            `Augmentation.byol()`; None takes `Augmentation.moco_v2()`.
        seed: With the epoch, decides the order and every view.
        epochs: Number of epochs to yield, each of `len(dataset) // batch_size` batches.
        first_epoch: Number of the first of them. A run of 10 epochs stopped after 4 goes on with
            `epochs=6, first_epoch=4`.
        first_step: Number of that epoch's batches that are left out at its beginning.
        whole_images: Whether batches hold the images themselves too, as evaluation sees them.
            `Rationale(positives="neighbours")` needs them; without them there is less to do.
        small_crops: Number of small views of each image beside the two (multi-crop, arXiv
            2006.09882, which takes 6). The two are the same with and without them.
        small_size: Side of the small views in pixels.
        small_augmentation: What makes a small view; None takes the query's, with crops of 5 to 14 %
            of the image's area.
        labels: Whether batches hold the images' labels, for supervised objectives and tasks.
        boxes: Whether batches say where in its image each view lies, for objectives that match
            places of two views. The views are the same.
        cache: Keeps decoded images, so that each file is decoded once: `"memory"`, while `dataset`
            lives, or a folder, for later runs too. See `keras_cr.data.cache`. None decodes a file
            in every epoch. The batches are the same.
        backgrounds: Puts the objects of some views before other backgrounds; the crops and colours
            are those without it, and the whole images are left as they are.
        crops: Moves crops to where they hold their object; their sizes and colours are those
            without it.

    Returns:
        A `tf.data.Dataset` of dicts: `query` and `key` (B, image_size, image_size, 3) float32 RGB
        in 0..255, `index` (B,) int32, the images' positions in the dataset, and perhaps `image`,
        of the views' shape, `small` (B, small_crops, small_size, small_size, 3), `label` (B,)
        int32, and, with `boxes`, `query_box` (B, 4) float32, the crop's top, left, bottom and right
        as fractions of the image, `query_flip` (B,) int32, 1 where the crop was flipped, the same
        of the key, and `small_box`, `small_flip` (B, small_crops, ...).

    Raises:
        ValueError: The dataset holds fewer images than one batch, an argument is out of range,
            `backgrounds` or `crops` has not a map for each image, or the cache can't be written or
            is too large for the machine.

    Example:

    >>> views = two_views(train, image_size=224, batch_size=128, epochs=100)
    >>> pretrainer.fit(views, epochs=100, steps_per_epoch=len(train) // 128)
    """
    image_size = image_side(image_size)
    batch_size = whole("batch_size", batch_size, least=0)
    steps = _steps(dataset, batch_size)
    numbers = as_whole(epochs), as_whole(first_epoch)
    if None in numbers or numbers[0] < 1 or numbers[1] < 0:
        raise ValueError(
            "epochs, first_epoch: must be integers, at least 1 and 0; "
            f"received epochs={epochs}, first_epoch={first_epoch}."
        )
    epochs, first_epoch = numbers
    numbers = as_whole(small_crops), as_whole(small_size)
    few = None in numbers or numbers[0] < 0 or numbers[1] < 1
    if few or (small_augmentation and not small_crops):
        raise ValueError(
            "small_crops, small_size: must be at least 0 and 1, and small_crops 1 or more with a "
            f"small_augmentation; received small_crops={small_crops}, small_size={small_size}."
        )
    first_step = whole("first_step", first_step, least=0)
    if first_step >= steps:
        raise ValueError(f"first_step: must be below {steps}; received {first_step}.")
    query, key = _pair(augmentation)
    small = small_augmentation or dataclasses.replace(query, scale=_SMALL_SCALE)
    kinds = [query, key] + small_crops * [small]
    sizes = [image_size, image_size] + small_crops * [small_size]
    read = image_reader(dataset, cache)
    drawing = []
    if backgrounds is not None:
        names = ["query", "key"] + small_crops * ["small"]
        draw_swaps, changes_of = swaps(backgrounds, dataset, read, image_size, names)
        drawing.append(draw_swaps)
    if crops is not None:
        draw_places, placed = placing(crops, dataset, kinds, small_crops)
        drawing.append(draw_places)
    drawn = _drawn(dataset, kinds, seed, steps * batch_size, small_crops, drawing)
    if labels:
        dataset.need_labels("labels", "batches can't hold them")
    numbers = tf.constant(dataset.labels, tf.int32) if labels else None

    def views(index, plan, *by_maps):
        image = read(index)
        plans, changes = _unstacked(plan), None
        if crops is not None:
            *by_maps, corners = by_maps
            plans = placed(index, tf.shape(image), plans, corners)
        if backgrounds is not None:
            changes = changes_of(index, tf.shape(image), *by_maps)
        query, key, *small = _render(kinds, image, sizes, plans, changes)
        batch = {"query": query, "key": key, "index": index}
        if whole_images:
            batch["image"] = whole_image(image, image_size)
        if small:
            batch["small"] = tf.stack(small)
        if labels:
            batch["label"] = numbers[index]
        if boxes:
            batch |= _places(kinds, tf.shape(image), plans)
        return batch

    epoch_numbers = tf.data.Dataset.range(first_epoch, first_epoch + epochs)
    pairs = epoch_numbers.flat_map(drawn).skip(first_step * batch_size)
    batches = _batched(pairs, views, batch_size)
    return batches.apply(tf.data.experimental.assert_cardinality(steps * epochs - first_step))


def images_of_step(
    dataset: FineGrainedDataset, batch_size: int, seed: int, epoch: int, step: int
) -> np.ndarray:
    """The positions in the dataset of the images in one batch of `two_views`, from 0."""
    order, _ = _order(dataset, seed, epoch)
    return order.numpy()[step * batch_size : (step + 1) * batch_size]


def random_views(
    dataset: FineGrainedDataset,
    image_size: int,
    batch_size: int,
    augmentation: Augmentation,
    seed: int = 0,
    epoch: int = 0,
    cache: str | os.PathLike | None = None,
) -> tf.data.Dataset:
    """Returns one epoch of shuffled batches of one view of every image; none is left out.

    Args:
        dataset: The images.
        image_size: Side of the views in pixels.
        batch_size: Images a batch; the last batch holds what is left.
        augmentation: What makes a view.
        seed: With the epoch, decides the order and every view.
        epoch: Number of the epoch.
        cache: As for `two_views`; `"memory"` lasts from epoch to epoch of the same `dataset`.

    Returns:
        A `tf.data.Dataset` of (views, index): (B, image_size, image_size, 3) float32 RGB in
        0..255, and the images' positions in the dataset (B,) int32.

    Raises:
        ValueError: The dataset holds fewer images than one batch, or the cache can't be used.
    """
    image_size, batch_size = image_side(image_size), whole("batch_size", batch_size, least=0)
    _steps(dataset, batch_size)
    plans = _drawn(dataset, [augmentation], seed, len(dataset))(tf.constant(epoch, tf.int64))
    read = image_reader(dataset, cache)

    def view(index, plan):
        return (*_render([augmentation], read(index), [image_size], _unstacked(plan)), index)

    return _batched(plans, view, batch_size, whole=False)


def _steps(dataset: FineGrainedDataset, batch_size: int) -> int:
    """Whole batches an epoch, at least one."""
    steps = len(dataset) // batch_size if batch_size > 0 else 0
    if not steps:
        raise ValueError(
            f"batch_size: must lie between 1 and the number of images, {len(dataset)} in "
            f"{dataset.name!r}; received {batch_size}."
        )
    return steps


def _pair(augmentation) -> tuple[Augmentation, Augmentation]:
    """The query's augmentation and the key's."""
    if augmentation is None or isinstance(augmentation, Augmentation):
        return (augmentation or Augmentation.moco_v2(),) * 2
    pair = tuple(augmentation) if isinstance(augmentation, (tuple, list)) else ()
    if len(pair) != 2 or not all(isinstance(each, Augmentation) for each in pair):
        raise ValueError(
            "augmentation: must be an Augmentation or a pair of them, for the query and the key; "
            f"received {augmentation!r}."
        )
    return pair


def _drawn(
    dataset,
    kinds: list[Augmentation],
    seed: int,
    used: int,
    small: int = 0,
    drawing: Sequence[Callable] = (),
):
    """Returns a function: epoch -> `used` pairs of an image's position and its views' plan.

    The last `small` kinds are those of the small crops. What each of `drawing` gives for a seed
    comes beside them.
    """

    def one_epoch(epoch):
        order, view_seed = _order(dataset, seed, epoch)
        order = order[:used]
        beside = [each for drawn in drawing for each in drawn(view_seed)]
        draws = [draw((len(dataset), len(kinds) - small), view_seed)]
        if small:  # as `by_kind`, but for a copy of all draws
            draws.append(draw((len(dataset), small), tf.random.fold_in(view_seed, SMALL_SEED)))

        def planned(rows):
            of_rows = tf.concat([tf.gather(each, rows) for each in draws], axis=1)
            of_maps = (tf.gather(each, rows) for each in beside)
            return tf.data.Dataset.from_tensor_slices((rows, _plan(kinds, of_rows), *of_maps))

        return tf.data.Dataset.from_tensor_slices(order).batch(_PLANNED).flat_map(planned)

    return one_epoch


def _order(dataset, seed: int, epoch) -> tuple:
    """The images' positions in the order of an epoch, and the seed of its views."""
    order_seed, view_seed = tf.unstack(
        tf.random.stateless_uniform((2, 2), [seed, epoch], None, None, tf.int64, alg="philox")
    )
    numbers = tf.range(len(dataset))
    return tf.random.experimental.stateless_shuffle(numbers, order_seed, alg="philox"), view_seed


def _plan(kinds: list[Augmentation], draws: tf.Tensor) -> ViewPlan:
    """What is done for some images' views: (images, views) are a plan's leading axes."""
    runs = [(kind, len(list(run))) for kind, run in itertools.groupby(kinds)]
    of_runs = tf.split(draws, [length for _, length in runs], axis=1)
    plans = [kind.plan(of_run) for (kind, _), of_run in zip(runs, of_runs, strict=True)]
    return ViewPlan(*(tf.concat(values, axis=1) for values in zip(*plans, strict=True)))


def _unstacked(plan: ViewPlan) -> list[ViewPlan]:
    """The plans of one image's views, of one with a leading axis."""
    return list(map(ViewPlan, *(tf.unstack(value, axis=0) for value in plan)))


def _render(
    kinds, image: tf.Tensor, sizes: list[int], plans: list[ViewPlan], changes: list | None = None
) -> list[tf.Tensor]:
    """The views of one image."""
    parts = zip(kinds, sizes, plans, changes or [None] * len(kinds), strict=True)
    return [kind.render(image, size, plan, change) for kind, size, plan, change in parts]


def _places(kinds, shape: tf.Tensor, plans: list[ViewPlan]) -> dict[str, tf.Tensor]:
    """Where in its image each view lies, and whether it is flipped, by name."""
    pixels = [kind.crop_box(shape, plan) for kind, plan in zip(kinds, plans, strict=True)]
    pixels = tf.cast(tf.stack(pixels), tf.float32)
    corners = tf.concat([pixels[:, :2], pixels[:, :2] + pixels[:, 2:]], axis=1)
    corners /= tf.tile(tf.cast(shape[:2], tf.float32), [2])
    of_all = {"box": corners, "flip": tf.stack([tf.cast(plan.flip, tf.int32) for plan in plans])}
    found = {}
    for name, values in of_all.items():
        found |= {f"query_{name}": values[0], f"key_{name}": values[1]}
        if len(kinds) > 2:
            found[f"small_{name}"] = values[2:]
    return found


def _batched(pairs: tf.data.Dataset, views, batch_size: int, whole: bool = True):
    # Fixed numbers: autotuning and its shared threads cost 7 % of the views (benchmarks/views.py).
    threads = 2 * (os.cpu_count() or 1)
    views = tf.autograph.experimental.do_not_convert(views)  # which takes longer than to trace it
    batches = pairs.map(views, num_parallel_calls=threads, deterministic=True)
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = threads
    options.threading.max_intra_op_parallelism = 1  # the images run in parallel already
    return batches.batch(batch_size, drop_remainder=whole).prefetch(2).with_options(options)
