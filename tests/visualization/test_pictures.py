"""Overlays, rationale sheets, curves: pixels where they are known, files that open, refusals."""

import builtins

import keras
import matplotlib
import numpy as np
import pytest
from PIL import Image

from keras_cr.data import read_images
from keras_cr.visualization import Picture, curves, overlay, rationale_grid
from tests.data.helpers import save_image


def pictures(n=3, height=32, width=48, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, height, width, 3), dtype="uint8"), rng.random((n, 4, 6))


def test_overlay_mixes_image_and_colours():
    images = np.full((2, 8, 8, 3), 100, "uint8")
    maps = np.stack([np.zeros((2, 2)), np.ones((2, 2))])
    ends = 255 * matplotlib.colormaps["inferno"]([0.0, 1.0])[:, :3]
    laid = overlay(images, maps, alpha=0.25)
    assert (laid.shape, laid.dtype) == (images.shape, np.uint8)
    assert [type(picture) for picture in (laid[0], *laid)] == 3 * [Picture]
    for picture, end in zip(laid, ends, strict=True):
        np.testing.assert_allclose(picture, np.broadcast_to(75 + end / 4, (8, 8, 3)), atol=1)


def test_overlay_enlarges_bilinearly_and_keeps_places():
    images, maps = np.zeros((1, 4, 8, 3), "uint8"), np.array([[[0.0, 1.0]]])
    laid = overlay(images, maps, alpha=1, colormap="gray")[0, :, :, 0]
    expected = 255 * np.array([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    np.testing.assert_allclose(laid, np.tile(expected, (4, 1)), atol=1)


def test_the_default_colours_grow_in_lightness():
    ramp = np.linspace(0, 1, 256)[None, None]
    colors = overlay(np.zeros((1, 1, 256, 3), "uint8"), ramp, alpha=1)[0, 0] / 255
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]  # of sRGB
    lightness = np.where(luminance > 0.00886, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
    assert (np.diff(lightness) > 0).mean() > 0.95
    assert np.diff(lightness[::8]).min() > 0.5
    assert lightness[-1] - lightness[0] > 90


def test_files_are_read_in_the_geometry_of_evaluation(tmp_path):
    images, maps = pictures(n=2, height=40, width=60)
    paths = [tmp_path / "0.png", str(tmp_path / "1.png")]
    for path, image in zip(paths, images, strict=True):
        save_image(tmp_path / path, image)
    read = read_images(paths, 32)
    np.testing.assert_array_equal(overlay(paths, maps, image_size=32), overlay(read, maps))
    sheet = rationale_grid(paths, maps, image_size=32)
    np.testing.assert_array_equal(sheet, rationale_grid(read, maps))
    assert overlay(np.array(paths, dtype=str), maps).shape == (2, 224, 224, 3)
    with pytest.raises(ValueError, match=r"none\.png' does not exist"):
        overlay([paths[0], "none.png"], maps)


def test_overlay_ends_and_input_types():
    images, maps = pictures()
    np.testing.assert_array_equal(overlay(images, maps, alpha=0), images)
    from_floats = overlay(images.astype("float32"), keras.ops.convert_to_tensor(maps))
    np.testing.assert_array_equal(from_floats, overlay(images, maps))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((3, 32, 48))}, r"`images` must have shape \(N, H, W, 3\)"),
        ({"images": []}, "or be N files"),
        ({"images": np.full((3, 8, 8, 3), 0.5)}, "Multiply images in 0..1 by 255"),
        ({"images": np.full((3, 8, 8, 3), -9.0)}, "RGB 0..255"),
        ({"maps": np.zeros((2, 4, 6))}, "one map for each of the 3 images"),
        ({"maps": np.full((3, 4, 6), 2.0)}, "`maps` must lie in 0..1"),
        ({"maps": np.full((3, 4, 6), np.nan)}, "`maps` must lie in 0..1"),
        ({"alpha": 1.5}, "`alpha`"),
        ({"colormap": "nope"}, "`colormap`"),
    ],
)
def test_overlay_refuses(change, message):
    images, maps = pictures()
    with pytest.raises(ValueError, match=message):
        overlay(**({"images": images, "maps": maps} | change))


def test_grid_writes_what_it_returns(tmp_path):
    images, maps = pictures(n=5)
    path = tmp_path / "new" / "rationales.png"
    sheet = rationale_grid(images, maps, path, columns=2, titles=["a", "b" * 200, "", 4, "é\nx"])
    np.testing.assert_array_equal(np.asarray(Image.open(path)), sheet)
    # three rows of two pairs of 192 x 128, 26 pixels of title above each
    assert sheet.shape == (16 + 3 * (26 + 128 + 16), 16 + 2 * (2 * 192 + 2 + 16), 3)
    assert (sheet[-16:] == 255).all()
    long_title = sheet[16 : 16 + 22, 16 + 386 + 16 :]
    assert (long_title[:, :300] < 128).any()
    assert (long_title[:, -16:] == 255).all()  # cut within its pair


def test_grid_without_titles_shows_the_pictures_themselves():
    images, maps = pictures(n=1, height=192, width=192)
    sheet = rationale_grid(images, maps)
    np.testing.assert_array_equal(sheet[16:208, 16:208], images[0])
    np.testing.assert_array_equal(sheet[16:208, 210:402], overlay(images, maps)[0])


def test_grid_refuses():
    images, maps = pictures()
    with pytest.raises(ValueError, match="`titles` must have one line"):
        rationale_grid(images, maps, titles=["a"])
    with pytest.raises(ValueError, match="`columns`"):
        rationale_grid(images, maps, columns=0)


def test_titles_are_written_in_any_european_alphabet():
    images, maps = pictures(n=1)
    heads = [rationale_grid(images, maps, titles=[t])[16:42] for t in "éñłЖΩ"]
    assert all((head < 128).any() for head in heads)
    different = {head.tobytes() for head in heads}  # and not one box for all
    assert len(different) == 5


def test_a_sheet_too_large_to_open_is_refused():
    images = np.zeros((400, 8, 8, 3), "uint8")
    with pytest.raises(ValueError, match=r"at most 65535 pixels .* Draw fewer"):
        rationale_grid(images, np.zeros((400, 1, 1)), columns=1)


def test_curves_of_a_history_and_of_a_csv_log(tmp_path):
    history = {"loss": [3.0, 2.0, float("nan")], "val_loss": [3.5, 2.5, 2.0], "fit_loss": [1, 1, 1]}
    path = tmp_path / "new" / "curves.png"
    picture = curves(history, path)
    assert picture.shape == (312, 2 * 432, 3)  # two panels: val_loss is drawn with loss
    assert isinstance(picture, Picture)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), picture)
    for color in ("#0072B2", "#D55E00"):
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        drawn = (picture == rgb).all(axis=-1)
        assert drawn[:, :432].any()
    log = tmp_path / "history.csv"
    log.write_text("epoch,loss,val_loss,lr\n0,3.0,NA,\n1,2.0,2.5,\n")
    assert curves(log).shape == (312, 432, 3)


def test_curves_refuse(tmp_path):
    for empty in ({}, {"loss": []}, {"loss": [float("nan")]}, {"epoch": [0, 1]}):
        with pytest.raises(ValueError, match="at least one metric"):
            curves(empty)
    with pytest.raises(ValueError, match="one value an epoch"):
        curves({"loss": [1, 2], "accuracy": [1]})
    log = tmp_path / "empty.csv"
    log.write_text("")
    with pytest.raises(ValueError, match=r"empty\.csv"):
        curves(log)
    with pytest.raises(FileNotFoundError):
        curves(tmp_path / "none.csv")


@pytest.mark.parametrize("missing", ["matplotlib", "PIL"])
def test_a_missing_library_names_the_extra(monkeypatch, missing):
    import importlib

    def fake(name, *args):
        if name.split(".")[0] == missing:
            raise ImportError(name)
        return builtins.__import__(name, fromlist=["_"])

    monkeypatch.setattr(importlib, "import_module", fake)
    with pytest.raises(ImportError, match=r"keras-cr\[recipes\]"):
        rationale_grid(*pictures())
