"""What an earlier version stored: made by 0.1.0 before it had objectives beside MoCo."""

import pathlib
import shutil

import keras
import numpy as np
import pytest

from keras_cr import CommonRationaleEncoder
from keras_cr.experiment.checkpoints import last_checkpoint
from keras_cr.pretraining import MoCo

FOLDER = pathlib.Path(__file__).parent / "data"


@pytest.fixture
def encoder():
    return keras.saving.load_model(FOLDER / "encoder.keras")


def test_an_encoder_and_its_preset_give_the_embeddings_they_gave(encoder):
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    preset = CommonRationaleEncoder.from_preset(FOLDER / "preset")
    found, other = (model.encode(images) for model in (encoder, preset))
    expected = np.load(FOLDER / "expected.npz")
    for name in ("embedding", "rationale"):
        np.testing.assert_array_equal(found[name], other[name])
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6)  # other CPUs round


def test_a_pretrainer_cannot_go_on_but_gives_its_encoder(encoder, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(FOLDER / "moco.keras", tmp_path / "checkpoints" / "last.keras")
    with pytest.raises(ValueError, match="`resume`: .*of an earlier version.*Begin the run anew"):
        last_checkpoint(tmp_path)
    fresh = MoCo(CommonRationaleEncoder.from_preset(FOLDER / "preset", load_weights=False))
    with pytest.warns(UserWarning, match="objects could not be loaded"):
        fresh.load_weights(FOLDER / "moco.keras", skip_mismatch=True)
    for one, other in zip(fresh.encoder.weights, encoder.weights, strict=True):
        np.testing.assert_array_equal(one, other)
