"""The linear probe of the authors' release: a linear layer trained by SGD on augmented images."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

EPOCHS = 100
BATCH_SIZE = 256
LEARNING_RATE = 30.0
DROPS = (0.6, 0.8)  # shares of the epochs after which the rate falls to a tenth
MOMENTUM = 0.9

Batch = tuple[Mapping[str, np.ndarray], np.ndarray]  # features by pooling, and labels


def sgd_probe(
    train: Callable[[int], Iterable[Batch]],
    test_x: Mapping[str, np.ndarray],
    num_classes: int,
    epochs: int = EPOCHS,
    learning_rate: float = LEARNING_RATE,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Trains one linear layer a pooling on features of changing views of the training images.

    The protocol of MoCo's linear classification, which the release of arXiv 2303.01669 uses: SGD
    with learning rate 30, momentum 0.9, no weight decay, batches of 256, 100 epochs, a tenth of
    the rate after 60 and again after 80, weights drawn from N(0, 0.01^2). The last epoch counts;
    the release takes its best epoch on the test set.

    Args:
        train: epoch number -> batches of ({pooling: (B, C)}, labels (B,)); the poolings share the
            pass through the encoder.
        test_x: {pooling: (M, C)}.
        num_classes: number of classes; labels lie below it.
        epochs: number of passes; the drops come after 60 and 80 % of them.
        learning_rate: at the start.
        seed: of the layers' initial weights.

    Returns:
        {pooling: predicted labels (M,)}.

    Raises:
        ValueError: if `epochs` or `learning_rate` is not positive, or a prediction is not finite.
    """
    if epochs < 1 or learning_rate <= 0:
        raise ValueError(
            "`epochs` must be at least 1 and `learning_rate` positive; received "
            f"epochs={epochs}, learning_rate={learning_rate}."
        )
    heads = {name: _head(x.shape[1], num_classes, seed) for name, x in test_x.items()}
    for epoch in range(epochs):
        rate = learning_rate * 0.1 ** sum(epoch >= share * epochs for share in DROPS)
        for head in heads.values():
            head.optimizer.learning_rate = rate
        for features, labels in train(epoch):
            for name, head in heads.items():
                head.train_on_batch(features[name], labels)
    predictions = {}
    for name, head in heads.items():
        logits = head.predict(test_x[name], batch_size=1024, verbose=0)
        if not np.isfinite(logits).all():
            raise ValueError(
                f"The SGD probe diverged at `learning_rate`={learning_rate} ({name} pooling): its "
                "logits are not finite. Take a smaller rate, or the L-BFGS probe."
            )
        predictions[name] = logits.argmax(axis=1)
    return predictions


def augmented_batches(features: Any, seed: int = 0) -> Callable[[int], Iterator[Batch]]:
    """The training images of `Features` under random crops and flips, embedded anew each epoch.

    Args:
        features: what `extract` returned, with its embedder.
        seed: with the epoch, decides order and views.
    """
    from keras_cr.data import Augmentation, random_views

    train = features.dataset.take(features.rows("train"))
    crop_and_flip = Augmentation.crop_and_flip()
    size, embedder = min(BATCH_SIZE, len(train)), features.embedder

    def one_epoch(epoch: int) -> Iterator[Batch]:
        views = random_views(train, features.image_size, size, crop_and_flip, seed, epoch)
        for images, index in views.as_numpy_iterator():
            outputs = embedder.embed(images, features.batch_size, verbose=0)
            vectors = (outputs.embedding, outputs.average_embedding)
            yield dict(zip(features.poolings, vectors, strict=False)), train.labels[index]

    return one_epoch


def _head(channels: int, num_classes: int, seed: int) -> keras.Model:
    initializer = keras.initializers.RandomNormal(stddev=0.01, seed=seed)
    layers = [
        keras.Input((channels,)),
        keras.layers.Dense(num_classes, kernel_initializer=initializer, dtype="float32"),
    ]
    head = keras.Sequential(layers)
    head.compile(
        keras.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    return head
