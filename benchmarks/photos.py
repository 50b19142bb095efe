"""Images that benchmarks of the input share: smooth random ones, of CUB's most common size."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def photos(count: int, height: int = 375, width: int = 500) -> np.ndarray:
    """Images, (count, height, width, 3) uint8."""
    import tensorflow as tf

    noise = np.random.default_rng(0).uniform(0, 255, (count, 12, 16, 3)).astype("float32")
    return tf.cast(tf.image.resize(noise, (height, width), "bicubic"), tf.uint8).numpy()


def files(images: np.ndarray, folder: str | Path) -> list[str]:
    """Writes images as JPEG files, and returns their paths."""
    import tensorflow as tf

    paths = [str(Path(folder) / f"{number}.jpg") for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        tf.io.write_file(path, tf.io.encode_jpeg(image))
    return paths


def dataset(images: np.ndarray | Sequence[str]) -> Any:
    """Pixels or paths as training images without labels."""
    from keras_cr.data import FineGrainedDataset

    return FineGrainedDataset("photos", images, None, [], np.ones(len(images), bool))
