"""Presets saved under TensorFlow, used under JAX and PyTorch, each in a process of its own."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from keras_cr.models import CommonRationaleEncoder, ResNet
from tests.case import images
from tests.interoperability.models import small_classifier, small_encoder

ROOT = Path(__file__).parents[2]
BACKENDS = {"jax": "pip install keras-cr[dev]", "torch": "pip install keras-cr[torch]"}


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_under_another_backend(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: {BACKENDS[backend]}")
    backbone, batch = ResNet((1,), bottleneck=False, width=8, seed=0), images(3)
    encoder, classifier = small_encoder(backbone=backbone), small_classifier(backbone=backbone)
    encoder.save_to_preset(tmp_path / "encoder")
    classifier.save_to_preset(tmp_path / "classifier")
    np.save(tmp_path / "images.npy", batch)
    photo = tmp_path / "photo.png"
    Image.fromarray(batch[0].astype("uint8")).save(photo)

    command = [sys.executable, "-m", "tests.interoperability.other_backend"]
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, tmp_path, photo], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert (facts["backend"], facts["tensorflow"]) == (backend, False)

    expected = {name: np.asarray(values) for name, values in encoder.encode(batch).items()}
    for name in ("load_model", "predict", "embed"):
        expected[name] = expected["embedding"]
    expected["probabilities"] = np.asarray(classifier(batch))
    results = np.load(tmp_path / "results.npz")
    assert set(results) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(results[name], values, atol=1e-4, err_msg=name)
    again = CommonRationaleEncoder.from_preset(str(tmp_path / "again"))
    np.testing.assert_allclose(again(batch), expected["embedding"], atol=1e-4)

    optimizer = keras.optimizers.SGD(0.1)
    classifier.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
    losses = classifier.fit(batch, np.array([0, 1, 2]), epochs=2, verbose=0).history["loss"]
    np.testing.assert_allclose(facts["losses"], losses, rtol=1e-3)

    assert set(facts["packages"]) >= {"callbacks", "data", "evaluation", "presets", "visualization"}
    assert facts["status"] == 1
    for name, error in facts["errors"].items():
        assert "TensorFlow backend" in error, name
        assert f"Running: {backend}" in error, name
        assert "KERAS_BACKEND=tensorflow" in error, name
    assert facts["errors"]["keras-cr fit"].count("\n") == 1
