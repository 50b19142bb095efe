"""A run's line: it counts from the first step on, ends with the run, and every phase is named."""

import keras
import numpy as np
import pytest

from keras_cr import _progress
from keras_cr._progress import Progress
from keras_cr.data import synthetic_birds
from keras_cr.experiment import Settings, run
from keras_cr.pretraining.reporting import ProgressBar
from tests.case import tiny_backbone


def test_the_bar_counts_the_steps_of_the_whole_run():
    """The first step, whose compilation takes long, is no part of what the rest is reckoned by."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    seconds = [0.0]

    class Passing(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seconds[0] += 300 if self.model.optimizer.iterations == 0 else 1

    x = np.zeros((4, 1), "float32")
    with Progress("Training", total=12, done=4, clock=lambda: seconds[0]) as progress:
        model.fit(
            x,
            x,
            batch_size=1,
            epochs=2,
            initial_epoch=1,
            verbose=0,
            callbacks=[Passing(), ProgressBar(progress, 3)],
        )
        assert progress.done == 8
        assert progress.left == pytest.approx(4)
        assert progress.title == "Training, epoch 2/3"
        assert progress.note.startswith("loss 0")


def test_every_phase_of_a_run_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_progress, "_SHORT", -1.0)
    birds = synthetic_birds(2, train_per_class=8, test_per_class=3, image_size=48)
    settings = Settings(
        dataset="birds",
        output=str(tmp_path / "out"),
        epochs=1,
        batch_size=8,
        image_size=32,
        protocols=("retrieval",),
        controls=("activation_norm",),
        rationale_options={"k": 3, "foregrounds": "off"},
    )
    run(settings, lambda _: birds, build_backbone=tiny_backbone)
    printed = capsys.readouterr()
    phases = [
        "Evaluating the encoder before training.",
        "Fitting the vocabulary to the backbone as it is.",
        "Training",
        "Fitting the rationale to the backbone as it is.",
        "Computing feature maps",
        "Fitting the rationale:",
        "Evaluating the trained encoder.",
        "Pooling by controls",
        "Writing the preset, pictures and the report.",
        "Writing the report",
    ]
    place = 0
    for phase in phases:
        assert (place := printed.err.find(phase, place)) >= 0, (phase, printed.err)
    assert not any(phase in printed.out for phase in phases)
    assert not _progress._open


def test_a_run_that_fails_leaves_no_line_behind(tmp_path, monkeypatch):
    birds = synthetic_birds(2, train_per_class=8, test_per_class=3, image_size=48)

    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(ProgressBar, "on_train_batch_end", fail)
    settings = Settings(
        output=str(tmp_path / "out"),
        epochs=1,
        batch_size=8,
        image_size=32,
        protocols=("knn",),
        rationale="off",
    )
    with pytest.raises(KeyboardInterrupt):
        run(settings, lambda _: birds, build_backbone=tiny_backbone)
    assert not _progress._open
