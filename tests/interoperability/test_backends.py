"""Presets saved under TensorFlow, used under JAX and PyTorch, each in a process of its own."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_cr.data import synthetic_birds
from keras_cr.models import CommonRationaleEncoder, ResNet
from tests.case import images
from tests.interoperability import other_backend
from tests.interoperability.models import small_classifier, small_encoder

ROOT = Path(__file__).parents[2]
BACKENDS = {"jax": "pip install keras-cr[dev]", "torch": "pip install keras-cr[torch]"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What every backend reads, and in `tensorflow` what comes of it there."""
    folder = tmp_path_factory.mktemp("backends")
    backbone = ResNet((1,), bottleneck=False, width=8, seed=0)
    small_encoder(backbone=backbone).save_to_preset(folder / "encoder")
    small_classifier(backbone=backbone).save_to_preset(folder / "classifier")
    np.save(folder / "images.npy", images(3))
    birds = synthetic_birds(3, 12, 0, image_size=other_backend.SIDE)
    np.save(folder / "birds.npy", birds.images)
    for number, (image, label) in enumerate(zip(birds.images, birds.labels, strict=True)):
        path = folder / "photos" / f"kind_{label}" / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    (folder / "tensorflow").mkdir()
    other_backend.main(folder, folder / "tensorflow")
    return folder


def outcome(output: Path) -> tuple[dict, dict]:
    return dict(np.load(output / "results.npz")), json.loads((output / "facts.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_under_another_backend(backend, folder, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: {BACKENDS[backend]}")
    command = [sys.executable, "-m", "tests.interoperability.other_backend", folder, tmp_path]
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results, facts = outcome(tmp_path)
    expected, told = outcome(folder / "tensorflow")
    assert (facts["backend"], facts["tensorflow"]) == (backend, False)

    assert set(results) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(results[name], values, atol=1e-4, err_msg=name)
    for name in ("load_model", "predict", "embed"):
        np.testing.assert_allclose(results[name], expected["embedding"], atol=1e-4, err_msg=name)
    again = CommonRationaleEncoder.from_preset(str(tmp_path / "again"))
    np.testing.assert_allclose(again(images(3)), expected["embedding"], atol=1e-4)
    np.testing.assert_allclose(facts["losses"], told["losses"], rtol=1e-3)
    assert flat(facts["metrics"]) == pytest.approx(flat(told["metrics"]), abs=1e-4)

    used = {"attribution", "callbacks", "data", "evaluation", "presets", "rationale"}
    assert set(facts["packages"]) >= used
    for name, error in facts["errors"].items():
        assert "TensorFlow backend" in error, name
        assert f"Running: {backend}" in error, name
        assert "KERAS_BACKEND=tensorflow" in error, name


def flat(metrics: dict, under: str = "") -> dict[str, float]:
    """Numbers of nested dicts by their path."""
    found = {}
    for name, value in metrics.items():
        path = f"{under}/{name}"
        found |= flat(value, path) if isinstance(value, dict) else {path: value}
    return found
