"""A preset and photos that the commands' tests share."""

import numpy as np
import pytest

from keras_cr import CommonRationaleEncoder
from keras_cr.data import FineGrainedDataset, image_batches, synthetic_birds, write_cub_layout
from tests.case import tiny_backbone
from tests.data.helpers import pixels, save_image

NAMES = ("a/1.png", "a/2.jpg", "b/1.png", "b/deep/3.bmp", "c.png", "d.jpeg")


def as_evaluated(photos):
    """The images `NAMES`, (6, 32, 32, 3), as every command has to read them."""
    paths = [photos / name for name in NAMES]
    data = FineGrainedDataset("photos", paths, None, [], np.ones(len(paths)))
    return next(image_batches(data, 32, len(paths)).as_numpy_iterator())


@pytest.fixture(scope="package")
def preset(tmp_path_factory):
    """A preset's folder: an encoder of two detectors for images of 32 pixels."""
    encoder = CommonRationaleEncoder(tiny_backbone(), num_detectors=2, image_size=32, seed=0)
    return str(encoder.save_to_preset(tmp_path_factory.mktemp("presets") / "tiny"))


@pytest.fixture(scope="package")
def photos(tmp_path_factory):
    """A folder with the images `NAMES` and things that are none."""
    folder = tmp_path_factory.mktemp("photos")
    for name, image in zip(NAMES, pixels(len(NAMES)), strict=True):
        save_image(folder / name, image)
    for name in ("notes.txt", "a/._1.png", ".hidden.png", ".cache/4.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("no image")
    return folder


@pytest.fixture(scope="package")
def birds(tmp_path_factory):
    """A miniature of the official CUB layout: 3 classes, 12 training and 9 test images."""
    dataset = synthetic_birds(num_classes=3, train_per_class=4, test_per_class=3, image_size=48)
    return write_cub_layout(dataset, tmp_path_factory.mktemp("birds") / "data")


@pytest.fixture
def broken(tmp_path):
    """A file that is no image, whatever its name says."""
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG but no more")
    return path
