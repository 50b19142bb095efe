"""Accuracy of fine-tuning with a Keras user's defaults, beside logistic regression.

    python benchmarks/fine_tune.py --data-dir CUB_200_2011 --image-size 128

A new head on a pretrained encoder, `compile(OPTIMIZER, "sparse_categorical_crossentropy")`, `fit`
for ten epochs in batches of 32, for some labelled images a class; and `fit_head`, which is the
logistic regression of the frozen encoder's embeddings. All see the same images, drawn by the seed,
and are judged on all test images. Without --data-dir it draws birds, in the folder's place.
"""

import argparse
import math
import os
import statistics
import time

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # before tensorflow is imported

import keras
import numpy as np

from keras_cr import CommonRationaleClassifier
from keras_cr.data import image_batches, read_cub, synthetic_birds

OPTIMIZERS = {
    "adam": lambda: "adam",
    "adamw": lambda: "adamw",
    "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
}
TITLES = {"adam": '`"adam"`', "adamw": '`"adamw"`', "sgd": "`SGD(0.01, momentum=0.9)`"}


class FirstLoss(keras.callbacks.Callback):
    """Keeps the loss of the very first step."""

    value = None

    def on_train_batch_end(self, batch, logs=None):
        self.value = logs["loss"] if self.value is None else self.value


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="in CUB-200-2011's layout")
    parser.add_argument("--preset", default="demo_squeezenet")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--labels", type=int, nargs="+", default=[5, 15, 30], help="a class")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--optimizers", nargs="+", choices=OPTIMIZERS, default=list(OPTIMIZERS))
    args = parser.parse_args()

    dataset = read_cub(args.data_dir) if args.data_dir else synthetic_birds(image_size=96)
    train, test = (pixels(dataset.split(part), args.image_size) for part in ("train", "test"))
    arms = ["fit_head", *args.optimizers]
    found = {}
    for labels in args.labels:
        for seed in args.seeds:
            drawn = draw(train[1], labels, seed)
            images, classes = train[0][drawn].astype("float32"), train[1][drawn]
            for arm in arms:
                start = time.perf_counter()
                accuracy, first = judge(arm, args, seed, images, classes, test, dataset.num_classes)
                found[labels, arm, seed] = accuracy, first
                print(
                    f"{labels} a class, seed {seed}, {arm}: {accuracy:.1%}, first loss "
                    f"{first:.3f} of ln(classes), {time.perf_counter() - start:.0f} s",
                    flush=True,
                )
    report(found, args, arms)


def pixels(dataset, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    batches = image_batches(dataset, image_size, 64).as_numpy_iterator()
    return np.concatenate([batch.astype("uint8") for batch in batches]), dataset.labels


def draw(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Rows of `count` images of every class."""
    rng = np.random.default_rng(seed)
    each = [rng.permutation(np.flatnonzero(labels == label))[:count] for label in np.unique(labels)]
    return np.concatenate(each)


def judge(arm, args, seed, images, classes, test, num_classes) -> tuple[float, float]:
    """Test accuracy, and the first loss as a share of ln(classes)."""
    keras.utils.set_random_seed(seed)
    model = CommonRationaleClassifier.from_preset(args.preset, num_classes=num_classes)
    first = FirstLoss()
    if arm == "fit_head":
        model.fit_head(images, classes)
    else:
        model.compile(OPTIMIZERS[arm](), "sparse_categorical_crossentropy")
        history = model.fit(images, classes, epochs=args.epochs, verbose=0, callbacks=[first])
        if not np.isfinite(history.history["loss"]).all():
            print(f"{arm}: the loss was not finite in some epoch", flush=True)
    batches = (test[0][start : start + 64] for start in range(0, len(test[0]), 64))
    predicted = np.concatenate([model.predict_on_batch(b.astype("float32")) for b in batches])
    accuracy = float(np.mean(predicted.argmax(axis=1) == test[1]))
    return accuracy, (first.value or math.nan) / math.log(num_classes)


def report(found: dict, args, arms: list[str]) -> None:
    titles = ["`fit_head`", *(TITLES[name] for name in args.optimizers)]
    print("\n| labels a class | " + " | ".join(titles) + " |\n| --- |" + " --- |" * len(titles))
    for labels in args.labels:
        cells = []
        for arm in arms:
            values = [100 * found[labels, arm, seed][0] for seed in args.seeds]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{statistics.mean(values):.1f} ± {spread:.1f}")
        print(f"| {labels} | " + " | ".join(cells) + " |")
    shares = [first for (_, arm, _), (_, first) in found.items() if arm != "fit_head"]
    print(f"\nfirst loss / ln(classes): {min(shares):.3f} to {max(shares):.3f}")


if __name__ == "__main__":
    main()
