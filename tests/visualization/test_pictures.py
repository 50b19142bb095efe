"""Overlays, sheets and curves: pixels where they are known, files that open, clear refusals."""

import builtins

import keras
import matplotlib
import numpy as np
import pytest
from PIL import Image

from keras_cr.visualization import curves, overlay, rationale_grid


def pictures(n=3, height=32, width=48, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, height, width, 3), dtype="uint8"), rng.random((n, 4, 6))


def test_overlay_mixes_image_and_colours():
    images = np.full((2, 8, 8, 3), 100, "uint8")
    maps = np.stack([np.zeros((2, 2)), np.ones((2, 2))])
    ends = 255 * matplotlib.colormaps["inferno"]([0.0, 1.0])[:, :3]
    laid = overlay(images, maps, alpha=0.25)
    assert (laid.shape, laid.dtype) == (images.shape, np.uint8)
    for picture, end in zip(laid, ends, strict=True):
        np.testing.assert_allclose(picture, np.broadcast_to(75 + end / 4, (8, 8, 3)), atol=1)


def test_overlay_enlarges_bilinearly_and_keeps_places():
    images, maps = np.zeros((1, 4, 8, 3), "uint8"), np.array([[[0.0, 1.0]]])
    laid = overlay(images, maps, alpha=1, colormap="gray")[0, :, :, 0]
    expected = 255 * np.array([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    np.testing.assert_allclose(laid, np.tile(expected, (4, 1)), atol=1)


def test_overlay_ends_and_input_types():
    images, maps = pictures()
    np.testing.assert_array_equal(overlay(images, maps, alpha=0), images)
    from_floats = overlay(images.astype("float32"), keras.ops.convert_to_tensor(maps))
    np.testing.assert_array_equal(from_floats, overlay(images, maps))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((3, 32, 48))}, r"`images` must have shape \(N, H, W, 3\)"),
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


def test_curves_of_a_history_and_of_a_csv_log(tmp_path):
    history = {"loss": [3.0, 2.0, float("nan")], "val_loss": [3.5, 2.5, 2.0], "fit_loss": [1, 1, 1]}
    path = curves(history, tmp_path / "new" / "curves.png")
    width, height = Image.open(path).size
    assert (width, height) == (2 * 432, 312)  # two panels: val_loss is drawn with loss
    log = tmp_path / "history.csv"
    log.write_text("epoch,loss,val_loss,lr\n0,3.0,NA,\n1,2.0,2.5,\n")
    assert Image.open(curves(log, tmp_path / "log.png")).size == (432, 312)


def test_curves_refuse(tmp_path):
    for empty in ({}, {"loss": []}, {"loss": [float("nan")]}, {"epoch": [0, 1]}):
        with pytest.raises(ValueError, match="at least one metric"):
            curves(empty, tmp_path / "x.png")
    with pytest.raises(ValueError, match="one value an epoch"):
        curves({"loss": [1, 2], "accuracy": [1]}, tmp_path / "x.png")
    log = tmp_path / "empty.csv"
    log.write_text("")
    with pytest.raises(ValueError, match=r"empty\.csv"):
        curves(log, tmp_path / "x.png")
    with pytest.raises(FileNotFoundError):
        curves(tmp_path / "none.csv", tmp_path / "x.png")


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
