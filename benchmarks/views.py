"""Views a second of `keras_cr.data.two_views`, beside Keras' layers and torchvision.

    python benchmarks/views.py
    python benchmarks/views.py --batches 8 --repeats 5 --train-step
    python benchmarks/views.py --images 100000

All make the same kind of views (crop, colours, grey, blur, flip, two of each image) from images of
CUB's most common size, one after the other in every repeat. Tracing and the first batches are not
timed.

Keras 3.15 has no crop of a random size, and blurs all views of a batch with one sigma or none:
`RandomZoom` and `RandomTranslation` of the resized images stand in for the crop. The layers run on
batches in `tf.data`, torchvision on one image after the other in a thread for each processor.

"swapped" gives every second view the background of another image, as a rationale's maps do; "moved"
moves crops to where such maps say that the object is.

--train-step compares the views from files with what a ResNet-18 under MoCo takes of them on this
machine. --images measures instead how the process grows in an epoch over so many images.
"""

import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks import steps
from benchmarks.photos import dataset, files, photos
from benchmarks.process import Process, peak_bytes
from benchmarks.program import main, optional
from benchmarks.rows import NotMeasured, Row, not_measured
from benchmarks.timing import Times, interleaved

BATCH = 32
WARM_UP = 3  # batches


def benchmark(
    sizes: tuple[int, ...] = (96, 224),
    batches: int = 4,
    repeats: int = 2,
    train_step: bool = False,
    images: int = 0,
) -> Iterator[Row]:
    pixels = photos(4 * BATCH)
    with tempfile.TemporaryDirectory() as folder:
        paths = files(pixels, folder)
        if images:
            yield from memory(list(itertools.islice(itertools.cycle(paths), images)), sizes[0])
            return
        for size in sizes:
            yield from compare(pixels, paths, size, batches, repeats, train_step)


def compare(pixels, paths, size: int, batches: int, repeats: int, train_step: bool):
    """Times every source of views of one size."""
    sources: dict[str, Callable[[], Iterator]] = {
        "decoded": lambda: ours(pixels, size),
        "decoded, swapped": lambda: ours(pixels, size, swap=True),
        "decoded, swapped and moved": lambda: ours(pixels, size, swap=True, move=True),
        "files": lambda: ours(paths, size),
        "files, cached": lambda: ours(paths, size, cache="memory"),
        "Keras' layers, decoded": lambda: keras_layers(pixels, size),
    }
    times = Times((name, []) for name in sources)
    others = ("PIL", "tensors")
    try:
        with Process(torchvision_works, pixels, size, batches) as other:
            asked = {f"torchvision v2 on {name}": other.work(name) for name in others}
            times |= {name: [] for name in asked}
            for _ in range(repeats):
                for name, source in sources.items():
                    times[name].append(seconds_of(source(), batches))
                for name, work in asked.items():
                    times[name].append(work())
    except NotMeasured as reason:
        asked = {}
        for _ in range(repeats):
            for name, source in sources.items():
                times[name].append(seconds_of(source(), batches))
        for name in others:
            yield not_measured(f"{size} px, torchvision v2 on {name}", reason)
    count = 2 * BATCH * batches
    yield times.rate(f"{size} px, ours, decoded", "decoded", count, "views/s")
    for name in [*sources, *asked][1:]:
        yield times.rate(f"{size} px, {name}", name, count, "views/s", against="decoded")
    if train_step:
        batch = steps.batch(BATCH, size)
        taken = interleaved({"step": steps.step(steps.moco(arm="whole"), batch)}, repeats)
        rate = 2 * BATCH / taken.median("step")
        given = count / times.median("files")
        what = f"{size} px, taken by ResNet-18 under MoCo"
        yield Row(what, rate, "views/s", ratio=given / rate, against="what files give, as many")


def seconds_of(batches: Iterator, count: int) -> float:
    """Of a fresh iterator, which has made few batches ahead when the clock starts."""
    for _ in range(WARM_UP):
        next(batches)
    start = time.perf_counter()
    for _ in range(count):
        next(batches)
    return time.perf_counter() - start


def ours(
    images: np.ndarray | Sequence[str],
    size: int,
    cache: str | None = None,
    swap: bool = False,
    move: bool = False,
) -> Iterator:
    """Endless batches of ours; with a cache, a first epoch has filled it."""
    from keras_cr.data import BackgroundSwap, ObjectCrops, two_views

    options: dict[str, Any] = {"epochs": 10_000, "whole_images": False, "cache": cache}
    maps = np.random.default_rng(0).uniform(size=(len(images), 14, 14))
    if swap:
        options["backgrounds"] = BackgroundSwap(maps)
    if move:
        options["crops"] = ObjectCrops(maps)
    views = iter(two_views(dataset(images), size, BATCH, **options))
    for _ in range(len(images) // BATCH if cache else 0):
        next(views)
    return views


def keras_layers(pixels: np.ndarray, size: int) -> Iterator:
    """Endless batches of two views by Keras' layers."""
    import keras
    import tensorflow as tf

    values = {"value_range": (0, 255)}
    strength = {f"{name}_factor": 0.4 for name in ("brightness", "contrast", "saturation")}
    layers = [
        keras.layers.RandomZoom((-0.55, 0.0), (-0.55, 0.0)),  # to 20 to 100 % of the area
        keras.layers.RandomTranslation(0.2, 0.2),
        keras.layers.RandomColorJitter(**strength, hue_factor=0.1, **values),
        keras.layers.RandomGrayscale(0.2),
        keras.layers.RandomGaussianBlur(0.5, kernel_size=13, sigma=(0.1, 2.0), **values),
        keras.layers.RandomFlip("horizontal"),
    ]

    def view(images):
        for layer in layers:
            images = layer(images, training=True)
        return images

    def views(images):
        images = tf.image.resize(images, (size, size))
        return view(images), view(images)

    batches = tf.data.Dataset.from_tensor_slices(pixels).batch(BATCH).repeat()
    return iter(batches.map(views, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE))


def torchvision_works(pixels: np.ndarray, size: int, batches: int) -> dict[str, Callable]:
    """Works that return the seconds of so many batches by torchvision, of PIL images or tensors."""
    torch = optional("torch")
    v2 = optional("torchvision.transforms.v2")
    from PIL import Image

    torch.set_num_threads(1)  # the images run in parallel already
    moco_v2 = [
        v2.RandomResizedCrop(size, scale=(0.2, 1.0)),
        v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
        v2.RandomGrayscale(0.2),
        v2.RandomApply([v2.GaussianBlur(13, sigma=(0.1, 2.0))], p=0.5),
        v2.RandomHorizontalFlip(),
    ]
    of_pil, of_tensors = v2.Compose([*moco_v2, v2.PILToTensor()]), v2.Compose(moco_v2)
    sources = {
        "PIL": (of_pil, [Image.fromarray(image) for image in pixels]),
        "tensors": (of_tensors, [torch.from_numpy(i.transpose(2, 0, 1).copy()) for i in pixels]),
    }

    def stream(transform, images):
        endless = itertools.cycle(images)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            while True:
                taken = itertools.islice(endless, BATCH)
                pairs = list(pool.map(lambda image: (transform(image), transform(image)), taken))
                yield [torch.stack(view).numpy() for view in zip(*pairs, strict=True)]

    return {
        name: lambda source=source: seconds_of(stream(*source), batches)
        for name, source in sources.items()
    }


def memory(paths: list[str], size: int) -> Iterator[Row]:
    """How much the process grows over some batches of a data set, against a small one's."""
    from keras_cr.data import two_views

    for count in (4 * BATCH, len(paths)):
        images = dataset(paths[:count])  # the paths are the user's, whatever is planned of them
        before = peak_bytes()
        batches = iter(two_views(images, size, BATCH, epochs=1000, whole_images=False))
        for _ in range(8):
            next(batches)
        yield Row(f"{count:,} images: the process grew by", (peak_bytes() - before) / 1e6, "MB")
        del batches


if __name__ == "__main__":
    main(benchmark)
