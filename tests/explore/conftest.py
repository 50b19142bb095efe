"""One small index of drawn birds, and the page of it."""

import io

import numpy as np
import pytest
from PIL import Image

from keras_cr import CommonRationaleEncoder
from keras_cr.data import synthetic_birds
from keras_cr.search import Index
from tests.case import tiny_backbone
from tests.data.helpers import pixels, save_image

SIDE, SHIFT = 96, 32  # two places of the map
HOSTILE = "<img src=x onerror=alert(1)>&'\".png"
PASTED = "pasted.png"  # its upper half is that of QUERY, further to the left
QUERY = "a bird.png"
HEAD = 0.7, 0.3  # of the bird of QUERY: a place of the map
NAMES = [QUERY, PASTED, HOSTILE, *(f"{number:02}.png" for number in range(3, 24))]


@pytest.fixture(scope="package")
def birds():
    """(24, 96, 96, 3) uint8."""
    images = synthetic_birds(6, train_per_class=4, test_per_class=0, image_size=SIDE).images
    images[1, : SIDE // 2] = np.roll(images[0, : SIDE // 2], -SHIFT, axis=1)
    return images


@pytest.fixture(scope="package")
def index(birds, tmp_path_factory):
    pytest.importorskip("flask", reason="Flask is not installed")
    pytest.importorskip("waitress", reason="Waitress is not installed")
    folder = tmp_path_factory.mktemp("explored")
    for name, image in zip(NAMES, birds, strict=True):
        save_image(folder / "birds" / name, image)
    encoder = CommonRationaleEncoder.from_preset("demo_squeezenet")
    metadata = {"note": [f"<b>{number}</b>" for number in range(len(NAMES))]}
    paths = [folder / "birds" / name for name in NAMES]
    return Index.build(
        encoder,
        paths,
        metadata,
        image_size=SIDE,
        preset="demo_squeezenet",
        folder=folder / "birds",
        verbose=0,
    )


@pytest.fixture(scope="package")
def explorer(index):
    from keras_cr.explore import Explorer

    return Explorer(index, k=6, verbose=0)


@pytest.fixture(scope="package")
def app(explorer):
    from keras_cr.explore import create_app
    from keras_cr.explore.serve import trusted_hosts

    return create_app(explorer, "birds.index", trusted_hosts("127.0.0.1"), max_megabytes=1)


@pytest.fixture(scope="package")
def small(tmp_path_factory):
    """An index of 24 images of 32 pixels, in a file beside them, with an encoder that is small."""
    pytest.importorskip("flask", reason="Flask is not installed")
    pytest.importorskip("waitress", reason="Waitress is not installed")
    folder = tmp_path_factory.mktemp("small")
    encoder = CommonRationaleEncoder(tiny_backbone(), num_detectors=2, image_size=32, seed=0)
    preset = str(encoder.save_to_preset(folder / "preset"))
    for name, image in zip(NAMES, pixels(len(NAMES)), strict=True):
        save_image(folder / "images" / name, image)
    index = Index.build(encoder, folder / "images", preset=preset, verbose=0)
    index.save(folder / "birds.index")
    return folder / "birds.index"


def png(image: np.ndarray) -> bytes:
    """The content of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
