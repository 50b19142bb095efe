"""Weights that are no numbers are refused, wherever they come in or go out."""

import keras
import numpy as np
import pytest

from keras_cr.conversion.convert import convert_checkpoint, from_keras_resnet50
from keras_cr.models import CommonRationaleEncoder, ResNet
from keras_cr.models.torchvision import load_torchvision_weights, torchvision_names
from keras_cr.presets import PresetError, load_preset
from keras_cr.presets import save as saving
from keras_cr.presets.errors import CheckpointError
from tests.case import images
from tests.case import tiny_encoder as encoder


def spoil(variable, value=np.nan):
    values = np.array(variable)
    values.flat[-1] = value
    variable.assign(values)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("part", ["kernel", "moving_mean"])
def test_save_names_the_variable_and_leaves_what_was_there(part, value, tmp_path):
    model = encoder()
    model.save_to_preset(tmp_path / "preset")
    before = {path: path.read_bytes() for path in (tmp_path / "preset").iterdir()}
    spoil(next(each for each in model.weights if each.path.endswith(part)), value)
    with pytest.raises(PresetError, match=f"{part}.* hold NaN or infinity"):
        model.save_to_preset(tmp_path / "preset")
    assert before == {path: path.read_bytes() for path in (tmp_path / "preset").iterdir()}
    with pytest.raises(PresetError):
        model.save_to_preset(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_load_names_the_variable(tmp_path, monkeypatch):
    model = encoder()
    spoil(model.branch.detectors.kernel)
    with monkeypatch.context() as patched:
        patched.setattr(saving, "check_finite", lambda *_: None)  # as an earlier version saved it
        patched.setattr(saving, "load_folder", lambda *_, **__: None)
        model.save_to_preset(tmp_path / "preset")
    with pytest.raises(
        PresetError, match="'branch/detectors/vars/0' holds NaN.*train or convert it"
    ):
        load_preset(tmp_path / "preset")
    load_preset(tmp_path / "preset", load_weights=False)


def test_load_in_a_dtype_that_can_not_hold_them(tmp_path):
    model = encoder()
    spoil(model.branch.detectors.kernel, 1e6)
    model.save_to_preset(tmp_path / "preset")
    assert np.isfinite(load_preset(tmp_path / "preset")(images(2))).all()
    with pytest.raises(PresetError, match="branch/detectors/kernel hold NaN or infinity"):
        load_preset(tmp_path / "preset", dtype="float16")


def checkpoint(seed=0):
    """Tensors of a small ResNet under torchvision's names."""
    rng = np.random.default_rng(seed)
    shapes = torchvision_names(ResNet((1, 1), bottleneck=False, width=4))
    shapes = {name: tuple(variable.shape) for name, variable in shapes.items()}
    return {
        name: rng.uniform(0.5, 1, (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape)
        for name, shape in shapes.items()
    }


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_convert_names_the_tensor(value):
    tensors = checkpoint()
    assert isinstance(convert_checkpoint(tensors).encoder, CommonRationaleEncoder)
    tensors["layer2.0.bn1.running_var"][1] = value
    with pytest.raises(CheckpointError, match="layer2.0.bn1.running_var. Take an earlier"):
        convert_checkpoint(tensors)
    backbone = ResNet((1, 1), bottleneck=False, width=4)
    before = backbone.get_weights()
    with pytest.raises(ValueError, match="layer2.0.bn1.running_var"):
        load_torchvision_weights(backbone, tensors)
    for old, new in zip(before, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.slow
def test_keras_resnet50():
    application = keras.applications.ResNet50(weights=None, include_top=False)
    spoil(application.get_layer("conv1_bn").moving_mean)
    with pytest.raises(CheckpointError, match="conv1_bn/moving_mean hold NaN"):
        from_keras_resnet50(application)
