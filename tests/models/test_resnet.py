import keras
import numpy as np
import pytest

from keras_cr.conversion.convert import load_torchvision_weights, torchvision_names
from keras_cr.models import ResNet, backbone_from_name, resnet18


@pytest.mark.parametrize(
    ("name", "parameters", "channels"),
    [
        # torchvision's counts, less the classifier's.
        ("resnet18", 11_689_512 - 513_000, 512),
        ("resnet34", 21_797_672 - 513_000, 512),
        ("resnet50", 25_557_032 - 2_049_000, 2048),
    ],
)
def test_size(name, parameters, channels):
    backbone = backbone_from_name(name)
    assert sum(int(np.prod(v.shape)) for v in backbone.trainable_variables) == parameters
    assert backbone.compute_output_shape((2, 224, 224, 3)) == (2, 7, 7, channels)
    assert backbone.compute_output_shape((2, 97, 65, 3)) == (2, 4, 3, channels)


def test_images_are_normalised_inside():
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    inside, outside = resnet18(seed=0), resnet18(seed=0, normalize_images=False)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    normalised = ((images / 255 - mean) / std).astype("float32")
    np.testing.assert_allclose(inside(images), outside(normalised), rtol=1e-3, atol=1e-4)


def test_starts_from_he_normal_over_fan_out():
    kernel = np.asarray(resnet18(seed=0).get_layer("layer4_1_conv2").kernel)
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 512)), rel=1e-2)
    assert np.abs(kernel).max() > 2.5 * kernel.std(), "not truncated"
    assert not np.array_equal(kernel, resnet18(seed=1).get_layer("layer4_1_conv2").kernel)


def test_config_round_trip_keeps_the_dtype():
    small = ResNet((1, 1), bottleneck=False, width=8, dtype="mixed_bfloat16", name="small")
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(small))
    twin.set_weights(small.get_weights())
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    assert keras.backend.standardize_dtype(twin(images).dtype) == "bfloat16"
    np.testing.assert_array_equal(
        keras.ops.cast(small(images), "float32"), keras.ops.cast(twin(images), "float32")
    )


def test_unknown_name():
    with pytest.raises(ValueError, match=r"resnet50.*'vgg16'"):
        backbone_from_name("vgg16")


def torch_like(backbone):
    rng = np.random.default_rng(0)
    shapes = {name: tuple(v.shape) for name, v in torchvision_names(backbone).items()}
    weights = {
        name: rng.random((shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape)
        for name, shape in shapes.items()
    }
    return weights | {"fc.weight": rng.random((1000, 16)), "bn1.num_batches_tracked": np.array(1)}


def test_weights_by_torchvision_names():
    small = ResNet((1, 1), bottleneck=False, width=8, name="small")
    weights = torch_like(small)
    assert {"conv1.weight", "layer2.0.downsample.1.running_var"} <= set(weights)
    load_torchvision_weights(small, weights)
    kernel = small.get_layer("layer2_0_conv1").kernel
    np.testing.assert_allclose(kernel[2, 1, 3, 5], weights["layer2.0.conv1.weight"][5, 3, 2, 1])
    np.testing.assert_allclose(small.get_layer("bn1").gamma, weights["bn1.weight"], rtol=1e-6)


def test_weights_that_do_not_fit_change_nothing():
    small = ResNet((1, 1), bottleneck=False, width=8, name="small")
    weights, before = torch_like(small), small.get_weights()
    lacking = {name: value for name, value in weights.items() if name != "bn1.bias"}
    with pytest.raises(ValueError, match=r"Missing: bn1.bias. Unknown: none"):
        load_torchvision_weights(small, lacking)
    with pytest.raises(ValueError, match=r"Unknown: layer9.0.conv1.weight"):
        load_torchvision_weights(small, weights | {"layer9.0.conv1.weight": np.zeros(1)})
    with pytest.raises(ValueError, match=r"bn1.bias: expected \(8,\), received \(9,\)"):
        load_torchvision_weights(small, weights | {"bn1.bias": np.zeros(9)})
    for old, new in zip(before, small.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
