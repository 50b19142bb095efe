"""Views a second of `keras_cr.data.two_views`, from decoded images and from JPEG files.

    python benchmarks/views.py [--batches 8] [--repeats 5]

Prints the median and the range over the repeats. The first batch (tracing, warm-up) is not timed.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # before tensorflow is imported

import numpy as np
import tensorflow as tf

from keras_cr.data import FineGrainedDataset, two_views

BATCH = 32


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=8, help="batches timed in each repeat")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    pixels = photos(4 * BATCH, height=375, width=500)
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{i}.jpg") for i in range(len(pixels))]
        for path, image in zip(paths, pixels, strict=True):
            tf.io.write_file(path, tf.io.encode_jpeg(image))
        for image_size in (96, 224):
            for source, images in (("decoded", pixels), ("files", paths)):
                rates = measure(images, image_size, args.batches, args.repeats)
                print(
                    f"{image_size:4d} px, {source:8s} {statistics.median(rates):6.0f} views/s "
                    f"({min(rates):.0f}-{max(rates):.0f}, {os.cpu_count()} cores)",
                    flush=True,
                )


def photos(count: int, height: int, width: int) -> np.ndarray:
    """Smooth random images, (count, height, width, 3) uint8, of CUB's most common size."""
    noise = np.random.default_rng(0).uniform(0, 255, (count, 12, 16, 3)).astype("float32")
    return tf.cast(tf.image.resize(noise, (height, width), "bicubic"), tf.uint8).numpy()


def measure(images, image_size: int, batches: int, repeats: int) -> list[float]:
    """Views a second of each repeat."""
    count = len(images)
    dataset = FineGrainedDataset("photos", images, None, [], np.ones(count, bool))
    epochs = -(-(1 + batches * repeats) * BATCH // count) + 1
    views = iter(two_views(dataset, image_size, BATCH, epochs=epochs, whole_images=False))
    next(views)
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(batches):
            next(views)
        rates.append(2 * BATCH * batches / (time.perf_counter() - start))
    return rates


if __name__ == "__main__":
    main()
