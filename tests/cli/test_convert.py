"""keras-cr convert: a checkpoint in, a preset out."""

import json

import numpy as np
import pytest

from keras_cr.cli import main
from keras_cr.conversion.convert import torchvision_names
from keras_cr.models import ResNet
from keras_cr.presets import load_preset
from tests.conversion.libraries import stored


@pytest.fixture
def checkpoint(tmp_path):
    tensors = {"queue": np.ones(3), "encoder_q.fc.weight": np.ones((2, 16))}
    for name, variable in torchvision_names(ResNet((1, 1), False, width=8, seed=0)).items():
        value = np.asarray(variable)
        value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
        tensors[f"encoder_q.{name}"] = value
    np.savez(tmp_path / "moco.npz", **tensors)
    return tmp_path / "moco.npz"


def test_a_preset_is_written(checkpoint, tmp_path, capsys):
    folder = tmp_path / "preset"
    argv = ["convert", str(checkpoint), "-o", str(folder), "--licence", "MIT"]
    assert main(argv) == 0
    printed = capsys.readouterr().out
    assert "resnet as torchvision names it, under 'encoder_q.': 30 tensors used." in printed
    assert "Taken: images less (0.485, 0.456, 0.406) over" in printed
    assert "Passed over: encoder_q.fc, queue." in printed
    assert load_preset(folder).pooling == "average"
    manifest = json.loads((folder / "preset.json").read_text())
    assert manifest["licence"] == "MIT"
    assert manifest["source"]["converted_from"] == "moco.npz"
    assert manifest["source"]["size"] == checkpoint.stat().st_size
    assert main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed_over"] == ["queue", "encoder_q.fc.weight"]


def test_a_token_is_not_kept(checkpoint, tmp_path):
    folder = tmp_path / "preset"
    assert main(["convert", str(checkpoint), "-o", str(folder), "--token", "hf_secret"]) == 0
    manifest = (folder / "preset.json").read_text()
    assert "--token TOKEN" in manifest
    assert "hf_secret" not in manifest


def test_mistakes(checkpoint, tmp_path, capsys):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    assert main(["convert", str(checkpoint), "-o", str(tmp_path / "taken")]) == 1
    assert "which is not part of a preset" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "no.pth"), "-o", str(tmp_path / "new")]) == 1
    said = capsys.readouterr().err
    assert f"convert: error: SOURCE: No such file: '{tmp_path / 'no.pth'}'. Name a" in said
    assert main(["convert", str(tmp_path / "taken"), "-o", str(tmp_path / "new")]) == 1
    assert (
        f"SOURCE: a folder without model.safetensors: '{tmp_path / 'taken'}'"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "new").exists()


def test_what_the_file_leaves_open_is_said_by_flags(tmp_path, capsys):
    name = "timm EfficientNet of TensorFlow"
    np.savez(tmp_path / "net.npz", **stored(name)[0])
    argv = ["convert", str(tmp_path / "net.npz"), "-o", str(tmp_path / "preset")]
    assert main([*argv, "--backbone", "convnext_tiny"]) == 1
    assert "say which, --backbone efficientnet or" in capsys.readouterr().err
    argv += ["--backbone", "tf_efficientnet_b0", "--mean", *["0.5", "0.5", "0.5"]]
    assert main(argv) == 1
    assert "go together" in capsys.readouterr().err
    assert main([*argv, "--std", *["0.5", "0.5", "0.5"]]) == 0
    assert "padding 'same', epsilon 0.001" in capsys.readouterr().out
    backbone = load_preset(tmp_path / "preset").backbone
    assert (backbone.padding, backbone.mean) == ("same", (0.5, 0.5, 0.5))
