"""Views a second of `keras_cr.data.two_views`, beside Keras' layers and torchvision on PIL.

    python benchmarks/views.py [--batches 8] [--repeats 5] [--train-step] [--images 100000]

All make the same kind of views (crop, colours, grey, blur, flip, two of each image) from images of
CUB's most common size, one after the other in every repeat; the medians over the repeats, their
ranges and the medians of the ratios are printed. Tracing and the first batches are not timed.

Keras 3.15 has no crop of a random size, and blurs all views of a batch with one sigma or none:
`RandomZoom` and `RandomTranslation` of the resized images stand in for the crop. The layers run on
batches in `tf.data`, torchvision on one image after the other in a thread for each processor.

"swapped" gives every second view the background of another image, as a rationale's maps do.

--train-step compares the views from files with what a ResNet-18 under MoCo takes of them on this
machine. --images measures instead how the process grows in an epoch over so many images.
"""

import argparse
import itertools
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # before tensorflow is imported

try:  # before tensorflow is imported: after it, torchvision's import can crash
    import torch
    from torchvision.transforms import v2
except ImportError:
    v2 = None
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from keras_cr import CommonRationaleEncoder
from keras_cr.data import BackgroundSwap, FineGrainedDataset, two_views
from keras_cr.pretraining import MoCo

BATCH = 32
WARM_UP = 3  # batches
SIZES = (96, 224)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=8, help="batches timed in each repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--train-step", action="store_true", help="time a ResNet-18's steps too")
    parser.add_argument("--images", type=int, help="measure the memory of so many images' plan")
    args = parser.parse_args()
    pixels = photos(4 * BATCH, height=375, width=500)
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{i}.jpg") for i in range(len(pixels))]
        for path, image in zip(paths, pixels, strict=True):
            tf.io.write_file(path, tf.io.encode_jpeg(image))
        if args.images:
            print_memory(list(itertools.islice(itertools.cycle(paths), args.images)))
            return
        print(f"views/s, median of {args.repeats} (range), {os.cpu_count()} cores", flush=True)
        if v2 is None:
            print("torchvision: not installed")
        for image_size in SIZES:
            compare(pixels, paths, image_size, args)


def photos(count: int, height: int, width: int) -> np.ndarray:
    """Smooth random images, (count, height, width, 3) uint8, of CUB's most common size."""
    noise = np.random.default_rng(0).uniform(0, 255, (count, 12, 16, 3)).astype("float32")
    return tf.cast(tf.image.resize(noise, (height, width), "bicubic"), tf.uint8).numpy()


def compare(pixels: np.ndarray, paths: list[str], image_size: int, args) -> None:
    """Times every source of views of one size, and prints what came out."""
    sources = {
        "decoded": lambda: ours(pixels, image_size),
        "decoded, swapped": lambda: ours(pixels, image_size, swap=True),
        "files": lambda: ours(paths, image_size),
        "files, cached": lambda: ours(paths, image_size, cache="memory"),
        "keras layers, decoded": lambda: keras_layers(pixels, image_size),
    }
    if v2 is not None:
        sources["torchvision, decoded"] = lambda: torchvision(pixels, image_size)
    rates = {name: [] for name in sources}
    for _ in range(args.repeats):
        for name, source in sources.items():
            rates[name].append(2 * BATCH * batches_a_second(source(), args.batches))
    for name, values in rates.items():
        ratio = statistics.median(v / d for v, d in zip(values, rates["decoded"], strict=True))
        print(
            f"{image_size:4d} px, {name:22s} {statistics.median(values):6.0f} "
            f"({min(values):.0f}-{max(values):.0f}), {ratio:.2f} of decoded",
            flush=True,
        )
    if args.train_step:
        taken = 2 * BATCH * train_steps_a_second(image_size, args.repeats)
        print(
            f"{image_size:4d} px, {'ResNet-18 under MoCo':22s} {taken:6.0f}; files give "
            f"{statistics.median(rates['files']) / taken:.1f} times as many",
            flush=True,
        )


def batches_a_second(batches: Iterator, count: int) -> float:
    """Of a fresh iterator, which has made few batches ahead when the clock starts."""
    for _ in range(WARM_UP):
        next(batches)
    start = time.perf_counter()
    for _ in range(count):
        next(batches)
    return count / (time.perf_counter() - start)


def dataset_of(images) -> FineGrainedDataset:
    return FineGrainedDataset("photos", images, None, [], np.ones(len(images), bool))


def ours(images, image_size: int, cache: str | None = None, swap: bool = False) -> Iterator:
    """Endless batches of ours; with a cache, a first epoch has filled it."""
    options = {"epochs": 10_000, "whole_images": False, "cache": cache}
    if swap:
        maps = np.random.default_rng(0).uniform(size=(len(images), 14, 14))
        options["backgrounds"] = BackgroundSwap(maps)
    views = iter(two_views(dataset_of(images), image_size, BATCH, **options))
    for _ in range(len(images) // BATCH if cache else 0):
        next(views)
    return views


def keras_layers(pixels: np.ndarray, image_size: int) -> Iterator:
    """Endless batches of two views by Keras' layers."""
    values = {"value_range": (0, 255)}
    layers = [
        keras.layers.RandomZoom((-0.55, 0.0), (-0.55, 0.0)),  # to 20 to 100 % of the area
        keras.layers.RandomTranslation(0.2, 0.2),
        keras.layers.RandomColorJitter(
            brightness_factor=0.4,
            contrast_factor=0.4,
            saturation_factor=0.4,
            hue_factor=0.1,
            **values,
        ),
        keras.layers.RandomGrayscale(0.2),
        keras.layers.RandomGaussianBlur(0.5, kernel_size=13, sigma=(0.1, 2.0), **values),
        keras.layers.RandomFlip("horizontal"),
    ]

    def view(images):
        for layer in layers:
            images = layer(images, training=True)
        return images

    def views(images):
        images = tf.image.resize(images, (image_size, image_size))
        return view(images), view(images)

    batches = tf.data.Dataset.from_tensor_slices(pixels).batch(BATCH).repeat()
    return iter(batches.map(views, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE))


def torchvision_transform(image_size: int) -> Callable:
    """MoCo v2's transform of a PIL image."""
    torch.set_num_threads(1)  # the images run in parallel already
    return v2.Compose(
        [
            v2.RandomResizedCrop(image_size, scale=(0.2, 1.0)),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
            v2.RandomGrayscale(0.2),
            v2.RandomApply([v2.GaussianBlur(13, sigma=(0.1, 2.0))], p=0.5),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
        ]
    )


def torchvision(pixels: np.ndarray, image_size: int) -> Iterator:
    """Endless batches of two views by torchvision."""
    transform = torchvision_transform(image_size)
    images = itertools.cycle([Image.fromarray(image) for image in pixels])

    def views(image):
        return transform(image).numpy(), transform(image).numpy()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while True:
            pairs = list(pool.map(views, itertools.islice(images, BATCH)))
            yield [np.stack(view) for view in zip(*pairs, strict=True)]


def train_steps_a_second(image_size: int, repeats: int) -> float:
    """Of a ResNet-18 with a rationale branch under MoCo, on batches that are there already."""
    shape = (BATCH, image_size, image_size, 3)
    rng = np.random.default_rng(0)
    names = ("query", "key", "image")
    batch = {name: tf.constant(rng.uniform(0, 255, shape), "float32") for name in names}
    pretrainer = MoCo(CommonRationaleEncoder("resnet18", seed=0), queue_size=1024)
    pretrainer.compile(keras.optimizers.SGD(0.03, momentum=0.9))
    pretrainer.train_on_batch(batch)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        pretrainer.train_on_batch(batch, return_dict=True)
        seconds.append(time.perf_counter() - start)
    return 1 / statistics.median(seconds)


def print_memory(paths: list[str]) -> None:
    """How much the process grows over some batches of a data set, against a small one's."""
    grown = {}
    for count in (4 * BATCH, len(paths)):
        dataset = dataset_of(paths[:count])  # the paths are the user's, whatever is planned of them
        before = peak_megabytes()
        batches = iter(two_views(dataset, SIZES[0], BATCH, epochs=1000, whole_images=False))
        for _ in range(8):
            next(batches)
        grown[count] = peak_megabytes() - before
        del batches
    for count, megabytes in grown.items():
        print(f"{count:7d} images: the process grew by {megabytes:.0f} MB")


def peak_megabytes() -> float:
    """The most memory this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
