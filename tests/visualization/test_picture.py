"""Pictures: arrays that a notebook shows, and files that are whole."""

import copy
import io
import os
import pickle

import numpy as np
import pytest
from PIL import Image

from keras_cr.visualization import Picture, Pictures


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


@pytest.fixture
def several():
    return Pictures(np.random.default_rng(1).integers(0, 256, (4, 5, 7, 3), dtype="uint8"))


def test_a_picture_says_its_size_and_no_pixels(picture):
    assert repr(picture) == str(picture) == f"{picture}" == "Picture(5 x 7)"
    assert repr(picture[::2, 1:]) == "Picture(3 x 6)"
    assert repr([picture]) == "[Picture(5 x 7)]"


@pytest.mark.parametrize("change", [lambda p: p / 2, lambda p: p[..., 0], lambda p: p[0, 0]])
def test_what_is_no_picture_is_printed_as_an_array(picture, change):
    plain = change(np.asarray(picture))
    assert repr(change(picture)) == repr(plain)
    assert str(change(picture)) == str(plain)
    for number in (picture.max(), picture.mean(), picture.sum(), np.median(picture)):
        assert np.isscalar(number)


def test_each_of_several_is_a_picture(several, tmp_path):
    assert repr(several) == str(several) == "Pictures(4 of 5 x 7)"
    plain = np.asarray(several)
    assert (type(plain), several.shape, several.dtype) == (np.ndarray, (4, 5, 7, 3), np.uint8)
    for one in (several[0], several[-1], several[np.int64(2)], next(iter(several)), [*several][3]):
        assert repr(one) == "Picture(5 x 7)"
        assert type(one) is Picture
    first, *others = several
    assert {type(one) for one in (first, *others, *reversed(several))} == {Picture}
    for row, one in enumerate(several):
        np.testing.assert_array_equal(one, plain[row])
    assert several[1].save(tmp_path / "1.png").is_file()
    assert several[1]._repr_png_() == Picture(plain[1])._repr_png_()


def test_some_of_several_and_what_is_no_picture(several):
    for some in (several[:2], several[[0, 3]], several[several.max((1, 2, 3)) > 0][:2]):
        assert repr(some) == "Pictures(2 of 5 x 7)"
        assert type(some[0]) is Picture
    assert repr(several[:, ::-1, :3]) == "Pictures(4 of 5 x 3)"
    assert type(several[0, 1:4, :2]) is Picture
    plain = np.asarray(several)
    for other, expected in (
        (several[0, :, :, 0], plain[0, :, :, 0]),
        (several[..., 1], plain[..., 1]),
        (several[:0], plain[:0]),
        ((several / 2)[0], (plain / 2)[0]),
        (several[None], plain[None]),
    ):
        assert type(other) is np.ndarray
        np.testing.assert_array_equal(other, expected)
    assert type(several[0, 0, 0, 0]) is np.uint8
    assert repr(several / 2) == repr(plain / 2)
    assert several.mean() == plain.mean()
    np.testing.assert_array_equal(several // 2 + several % 2, plain // 2 + plain % 2)


def test_pictures_travel(picture, several):
    for one in (picture, several, several[2]):
        for twin in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), copy.copy(one)):
            assert type(twin) is type(one)
            assert repr(twin) == repr(one)
            np.testing.assert_array_equal(twin, one)


def test_pictures_refuse(picture):
    for pixels in (picture, np.zeros((2, 4, 4, 3)), np.zeros((0, 4, 4, 3), "uint8")):
        with pytest.raises(ValueError, match=r"must be of shape \(N, H, W, 3\) and uint8"):
            Pictures(pixels)
