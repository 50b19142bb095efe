"""Sheets during training: when, where, and that they show the encoder as it is then."""

import importlib.util

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_cr.callbacks import KNNMonitor, RationaleHealth, RationaleImages
from keras_cr.visualization import rationale_grid
from tests.callbacks.helpers import ColorEncoder, begin, read_events
from tests.callbacks.test_knn_monitor import colors

PICTURES = colors(3).images
MAPS = PICTURES[:, ::2, ::2, 0] / 256


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_sheets_before_training_every_so_many_epochs_and_at_the_end(tmp_path):
    sheets = RationaleImages(PICTURES, tmp_path / "png", tmp_path / "logs", 2, titles="abc")
    begin(sheets, ColorEncoder(), epochs=5)
    for epoch in range(5):
        sheets.on_epoch_begin(epoch)
        sheets.on_epoch_end(epoch, {})
    sheets.on_train_end()
    assert names(tmp_path / "png") == [f"epoch-{done:04d}.png" for done in (0, 2, 4, 5)]
    expected = rationale_grid(PICTURES, MAPS, titles="abc")
    drawn = np.asarray(Image.open(tmp_path / "png" / "epoch-0004.png"))
    np.testing.assert_array_equal(drawn, expected)
    events = read_events(tmp_path / "logs")["rationales"]
    assert [step for step, _ in events] == [0, 2, 4, 5]
    width, height, png = events[-1][1]
    assert (int(height), int(width)) == expected.shape[:2]
    np.testing.assert_array_equal(tf.io.decode_png(png), expected)


def test_a_resumed_run_leaves_the_first_sheet_alone(tmp_path):
    sheets = begin(RationaleImages(PICTURES.astype("float32"), tmp_path), ColorEncoder(), epochs=5)
    sheets.on_epoch_begin(4)
    sheets.on_epoch_end(4, {})
    assert names(tmp_path) == ["epoch-0005.png"]


def test_a_training_stopped_in_its_first_epoch_leaves_it_alone_too(tmp_path):
    encoder = ColorEncoder()
    encoder.compile("sgd")
    sheets = begin(RationaleImages(PICTURES, tmp_path), encoder, epochs=2)
    sheets.on_epoch_begin(0)
    drawn = (tmp_path / "epoch-0000.png").stat().st_mtime_ns
    encoder.optimizer.iterations.assign(3)
    sheets.on_epoch_begin(0)
    assert (tmp_path / "epoch-0000.png").stat().st_mtime_ns == drawn
    (tmp_path / "epoch-0000.png").unlink()
    sheets.on_epoch_begin(0)
    assert names(tmp_path) == ["epoch-0000.png"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": None}, "give `path`, a folder for PNG files, or `tensorboard`"),
        ({"images": PICTURES / 255}, "`images` must be RGB 0..255"),
        ({"images": PICTURES[0]}, "`images` must have shape"),
        ({"images": ["bird.jpg"]}, "`images` must be an array"),
        ({"titles": ["one"]}, "`titles` must have one line for each of the 3 images"),
        ({"every": -1}, "`every` must be a positive integer"),
    ],
)
def test_bad_arguments(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        RationaleImages(**{"images": PICTURES, "path": tmp_path} | change)


def test_a_model_without_an_encoder_is_refused_before_training(tmp_path):
    model = tf.keras.Sequential([tf.keras.layers.Dense(2)])
    for callback in (RationaleImages(PICTURES, tmp_path), KNNMonitor(colors(), 8)):
        with pytest.raises(ValueError, match="have one as `encoder`.*Received: Sequential"):
            callback.set_model(model)


def test_a_missing_tensorboard_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for make in (
        lambda: RationaleImages(PICTURES, tensorboard=tmp_path),
        lambda: KNNMonitor(colors(), 8, tensorboard=tmp_path),
        lambda: RationaleHealth(tensorboard=tmp_path),
    ):
        with pytest.raises(ImportError, match=r"keras-cr\[tensorboard\]"):
            make()
    RationaleImages(PICTURES, tmp_path)  # files need none
