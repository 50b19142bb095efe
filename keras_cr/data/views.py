"""Random views of each image: stateless, in tf.data, resumable at any epoch.

Every number is drawn from a seed that is a function of (seed, epoch) alone, at the image's position
in the dataset and its view, so that a run continued at epoch k sees what the whole run would see.
"""

import tensorflow as tf

from keras_cr.data.augmentation import DRAWS, Augmentation, ViewPlan, uniform
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.images import image_reader, whole_image


def two_views(
    dataset: FineGrainedDataset,
    image_size: int,
    batch_size: int,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    epochs: int = 1,
    first_epoch: int = 0,
    whole_images: bool = True,
) -> tf.data.Dataset:
    """Returns shuffled batches of two views of each image, for a pretrainer's `fit`.

    Each epoch is a new order of the whole dataset, and leaves out the images that do not fill its
    last batch. An image is decoded once for its two views.

    Args:
        dataset: The images; labels are not used.
        image_size: Side of the views in pixels.
        batch_size: Images a batch.
        augmentation: What makes a view; None takes `Augmentation.moco_v2()`.
        seed: With the epoch, decides the order and every view.
        epochs: Number of epochs to yield, each of `len(dataset) // batch_size` batches.
        first_epoch: Number of the first of them. A run of 10 epochs stopped after 4 goes on with
            `epochs=6, first_epoch=4`.
        whole_images: Whether batches hold the images themselves too, as evaluation sees them.
            `Rationale(positives="neighbours")` needs them; without them there is less to do.

    Returns:
        A `tf.data.Dataset` of dicts: `query` and `key` (B, image_size, image_size, 3) float32 RGB
        in 0..255, `index` (B,) int32, the images' positions in the dataset, and perhaps `image`,
        of the views' shape.

    Raises:
        ValueError: The dataset holds fewer images than one batch, or `epochs` or `first_epoch` is
            out of range.

    Example:

    >>> views = two_views(train, image_size=224, batch_size=128, epochs=100)
    >>> pretrainer.fit(views, epochs=100, steps_per_epoch=len(train) // 128)
    """
    steps = _steps(dataset, batch_size)
    if epochs < 1 or first_epoch < 0:
        raise ValueError(
            "epochs, first_epoch: must be at least 1 and 0; "
            f"received epochs={epochs}, first_epoch={first_epoch}."
        )
    augmentation = augmentation or Augmentation.moco_v2()
    drawn = _drawn(dataset, augmentation, 2, seed, steps * batch_size)
    read = image_reader(dataset)

    def views(index, plan):
        image = read(index)
        query, key = _render(augmentation, image, image_size, plan)
        batch = {"query": query, "key": key, "index": index}
        return batch | ({"image": whole_image(image, image_size)} if whole_images else {})

    epoch_numbers = tf.data.Dataset.range(first_epoch, first_epoch + epochs)
    batches = _batched(epoch_numbers.flat_map(drawn), views, batch_size)
    return batches.apply(tf.data.experimental.assert_cardinality(steps * epochs))


def random_views(
    dataset: FineGrainedDataset,
    image_size: int,
    batch_size: int,
    augmentation: Augmentation,
    seed: int = 0,
    epoch: int = 0,
) -> tf.data.Dataset:
    """Returns one epoch of shuffled batches of one view of every image; none is left out.

    Args:
        dataset: The images.
        image_size: Side of the views in pixels.
        batch_size: Images a batch; the last batch holds what is left.
        augmentation: What makes a view.
        seed: With the epoch, decides the order and every view.
        epoch: Number of the epoch.

    Returns:
        A `tf.data.Dataset` of (views, index): (B, image_size, image_size, 3) float32 RGB in
        0..255, and the images' positions in the dataset (B,) int32.

    Raises:
        ValueError: The dataset holds fewer images than one batch.
    """
    _steps(dataset, batch_size)
    plans = _drawn(dataset, augmentation, 1, seed, len(dataset))(tf.constant(epoch, tf.int64))
    read = image_reader(dataset)

    def view(index, plan):
        return (*_render(augmentation, read(index), image_size, plan), index)

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


def _drawn(dataset, augmentation: Augmentation, number: int, seed: int, used: int):
    """Returns a function: epoch -> `used` pairs of an image's position and its views' plan."""

    def one_epoch(epoch):
        order_seed, view_seed = tf.unstack(
            tf.random.stateless_uniform((2, 2), [seed, epoch], None, None, tf.int64, alg="philox")
        )
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(dataset)), order_seed, alg="philox"
        )[:used]
        draws = tf.gather(uniform((len(dataset), number, DRAWS), view_seed), order)
        return tf.data.Dataset.from_tensor_slices((order, augmentation.plan(draws)))

    return one_epoch


def _render(augmentation: Augmentation, image, image_size: int, plan: ViewPlan) -> list[tf.Tensor]:
    """The views of one image that a plan, with one leading axis, describes."""
    plans = zip(*(tf.unstack(value, axis=0) for value in plan), strict=True)
    return [augmentation.render(image, image_size, ViewPlan(*each)) for each in plans]


def _batched(pairs: tf.data.Dataset, views, batch_size: int, whole: bool = True):
    batches = pairs.map(views, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1  # the images run in parallel already
    batches = batches.batch(batch_size, drop_remainder=whole)
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)
