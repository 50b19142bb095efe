"""Pictures: arrays that a notebook shows, and files that are whole."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from keras_cr.visualization import Picture


@pytest.fixture
def picture():
    return Picture(np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype="uint8"))


def test_a_notebook_gets_the_pixels(picture):
    shown = Image.open(io.BytesIO(picture._repr_png_()))
    assert shown.format == "PNG"
    np.testing.assert_array_equal(np.asarray(shown), picture)
    assert type(np.asarray(picture)) is np.ndarray


def test_what_is_made_of_a_picture_is_shown_only_while_it_is_one(picture):
    part = Image.open(io.BytesIO(picture[1:4, ::2]._repr_png_()))
    np.testing.assert_array_equal(np.asarray(part), np.asarray(picture)[1:4, ::2])
    for other in (picture / 2, picture[..., 0], picture[:0], picture > 3, picture[None]):
        assert other._repr_png_() is None
        with pytest.raises(ValueError, match="received"):
            other.save("never.png")
    assert picture.mean() == np.asarray(picture).mean()


def test_save_makes_the_folder_and_replaces_whole_files(tmp_path, picture, monkeypatch):
    path = tmp_path / "a" / "b.PNG"
    assert picture.save(str(path)) == path
    assert picture[::-1].save(path) == path
    np.testing.assert_array_equal(np.asarray(Image.open(path)), picture[::-1])

    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="full"):
        picture.save(path)
    assert list(path.parent.iterdir()) == [path]
    np.testing.assert_array_equal(np.asarray(Image.open(path)), picture[::-1])


def test_picture_refuses(picture):
    for pixels in (np.zeros((4, 4), "uint8"), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), "uint8")):
        with pytest.raises(ValueError, match=r"must be of shape \(H, W, 3\) and uint8"):
            Picture(pixels)
    with pytest.raises(ValueError, match=r"must end in '\.png'; received 'x\.jpg'"):
        picture.save("x.jpg")
