"""Two random views of each image: stateless, in tf.data, resumable at any epoch.

Every number is drawn from a seed that is a function of (seed, epoch) alone, at the image's position
in the dataset and its view, so that a run continued at epoch k sees what the whole run would see.
"""

import tensorflow as tf

from keras_cr.data.augmentation import DRAWS, Augmentation, ViewPlan, uniform
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.images import image_reader


def two_views(
    dataset: FineGrainedDataset,
    image_size: int,
    batch_size: int,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    epochs: int = 1,
    first_epoch: int = 0,
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

    Returns:
        A `tf.data.Dataset` of dicts: `query` and `key` (B, image_size, image_size, 3) float32 RGB
        in 0..255, and `index` (B,) int32, the images' positions in the dataset.

    Raises:
        ValueError: The dataset holds fewer images than one batch, or `epochs` or `first_epoch` is
            out of range.

    Example:

    >>> views = two_views(train, image_size=224, batch_size=128, epochs=100)
    >>> pretrainer.fit(views, epochs=100, steps_per_epoch=len(train) // 128)
    """
    steps = len(dataset) // batch_size if batch_size > 0 else 0
    if not steps:
        raise ValueError(
            f"batch_size: must lie between 1 and the number of images, {len(dataset)} in "
            f"{dataset.name!r}; received {batch_size}."
        )
    if epochs < 1 or first_epoch < 0:
        raise ValueError(
            "epochs, first_epoch: must be at least 1 and 0; "
            f"received epochs={epochs}, first_epoch={first_epoch}."
        )
    augmentation = augmentation or Augmentation.moco_v2()
    read = image_reader(dataset)

    def one_epoch(epoch):
        order_seed, view_seed = tf.unstack(
            tf.random.stateless_uniform((2, 2), [seed, epoch], None, None, tf.int64, alg="philox")
        )
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(dataset)), order_seed, alg="philox"
        )[: steps * batch_size]
        draws = tf.gather(uniform((len(dataset), 2, DRAWS), view_seed), order)
        return tf.data.Dataset.from_tensor_slices((order, augmentation.plan(draws)))

    def views(index, plan):
        image = read(index)
        plans = (ViewPlan(*(value[view] for value in plan)) for view in range(2))
        query, key = (augmentation.render(image, image_size, plan) for plan in plans)
        return {"query": query, "key": key, "index": index}

    batches = (
        tf.data.Dataset.range(first_epoch, first_epoch + epochs)
        .flat_map(one_epoch)
        .map(views, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(batch_size, drop_remainder=True)
    )
    cardinality = tf.data.experimental.assert_cardinality(steps * epochs)
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1  # the images run in parallel already
    return batches.apply(cardinality).prefetch(tf.data.AUTOTUNE).with_options(options)
