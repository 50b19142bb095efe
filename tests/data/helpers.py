"""Small datasets the data tests share."""

from pathlib import Path

import keras
import numpy as np

from keras_cr.data import FineGrainedDataset


def pixels(count: int, height: int = 40, width: int = 48, seed: int = 0) -> np.ndarray:
    """Blocky random images, (count, height, width, 3) uint8."""
    blocks = np.random.default_rng(seed).integers(0, 256, (count, height // 8, width // 8, 3))
    return blocks.repeat(8, axis=1).repeat(8, axis=2).astype("uint8")


def dataset(count: int = 8, **fields) -> FineGrainedDataset:
    """Two classes in turn; the last quarter of the images is for tests."""
    values = {
        "name": "blocks",
        "images": pixels(count),
        "labels": np.arange(count) % 2,
        "class_names": ["even", "odd"],
        "is_train": np.arange(count) < count * 3 // 4,
    }
    return FineGrainedDataset(**{**values, **fields})


def save_image(path: Path, image: np.ndarray) -> None:
    """Writes (H, W, 3) or (H, W) values in 0..255 where the suffix says how."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = image[..., None] if image.ndim == 2 else image
    keras.utils.save_img(path, image, scale=False)


def write_cub(root: Path, count: int = 6) -> Path:
    """A miniature CUB_200_2011 folder whose lines are not in the order of their ids."""
    ids = [3, 1, 6, 2, 5, 4][:count]
    names = {i: f"{1 + i % 2:03d}.Bird/Bird {i}.png" for i in ids}
    for i, image in zip(sorted(ids), pixels(count), strict=True):
        save_image(root / "images" / names[i], image)
    lines = {
        "images.txt": [f"{i} {names[i]}" for i in ids],
        "image_class_labels.txt": [f"{i} {1 + i % 2}" for i in sorted(ids)],
        "train_test_split.txt": [f"{i} {int(i < 5)}" for i in reversed(ids)],
        "bounding_boxes.txt": [f"{i} {i}.0 2.0 10.5 8.0" for i in ids],
        "classes.txt": ["2 002.Bird", "1 001.Bird"],
    }
    for name, text in lines.items():
        (root / name).write_text("\n".join(text) + "\n")
    return root
