"""The objective that docs/objectives.md shows, word for word."""

import keras
import numpy as np

from keras_cr.data import synthetic_birds
from keras_cr.experiment import Settings
from keras_cr.experiment.build import build_pretrainer
from keras_cr.pretraining import OBJECTIVES
from tests.case import run_example, tiny_encoder
from tests.pretraining.objectives.test_moco import batch


def test_a_toy_of_ones_own(tmp_path):
    try:
        run_example("objectives.md", "Centred")
        birds = synthetic_birds(2, 4, 1, image_size=32)
        settings = Settings(objective="centred", batch_size=8, optimizer="adamw")
        pretrainer = build_pretrainer(settings, tiny_encoder(num_detectors=1), birds)
        assert pretrainer.twin is None
        losses = [
            float(pretrainer.train_on_batch(batch(), return_dict=True)["ssl_loss"])
            for _ in range(12)
        ]
        assert losses[-1] < 0.8 * losses[0]
        pretrainer.save(tmp_path / "toy.keras")
        loaded = keras.saving.load_model(tmp_path / "toy.keras")
        for a, b in zip(pretrainer.weights, loaded.weights, strict=True):
            np.testing.assert_array_equal(a, b)
    finally:
        OBJECTIVES.pop("centred", None)
