"""The task that docs/objectives.md shows, word for word."""

import keras
import numpy as np

from keras_cr.data import synthetic_birds
from keras_cr.experiment import Settings
from keras_cr.experiment.build import build_pretrainer
from keras_cr.pretraining import AUXILIARY
from tests.case import run_example, tiny_encoder
from tests.pretraining.auxiliary.test_every_task import smooth


def test_a_task_of_ones_own(tmp_path):
    try:
        run_example("objectives.md", "UpsideDown")
        birds = synthetic_birds(2, 4, 1, image_size=32)
        settings = Settings(
            objective="pretext",
            auxiliary={"upsidedown": 0.5},
            rationale="off",
            batch_size=8,
            optimizer="adamw",
        )
        pretrainer = build_pretrainer(settings, tiny_encoder(num_detectors=1), birds)
        assert pretrainer.auxiliary[0].weight == 0.5
        pretrainer.compile(keras.optimizers.Adam(0.01))
        found = []
        for _ in range(60):
            logs = pretrainer.train_on_batch(smooth(), return_dict=True)
            found.append(float(logs["upsidedown_accuracy"]))
            pretrainer.reset_metrics()
        assert np.mean(found[-10:]) > 0.8
        pretrainer.save(tmp_path / "toy.keras")
        loaded = keras.saving.load_model(tmp_path / "toy.keras")
        for a, b in zip(pretrainer.variables, loaded.variables, strict=True):
            np.testing.assert_array_equal(a, b)
    finally:
        AUXILIARY.pop("upsidedown", None)
