"""Networks of torchvision, timm and transformers give the same feature maps once converted."""

import importlib.util
import json
import re

import numpy as np
import pytest

from keras_cr.conversion import convert_checkpoint
from keras_cr.conversion.convert import torchvision_names
from keras_cr.presets import CheckpointError, load_preset
from tests.conversion.libraries import CASES, EVERY, IMAGES, run, stored

TOLERANCE = 1e-4


def converted(name, tensors, tmp_path, **options):
    """What a case becomes, by way of a folder as transformers writes it where heads are needed."""
    case = CASES[name]
    if case.heads is None:
        return convert_checkpoint(tensors, **case.options, **options)
    save_file = pytest.importorskip("safetensors.numpy").save_file
    save_file(tensors, tmp_path / "model.safetensors")
    config = {"model_type": "siglip_vision_model", "num_attention_heads": case.heads}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return convert_checkpoint(tmp_path, **case.options, **options)


@pytest.mark.parametrize("name", CASES)
def test_maps_are_those_of_the_library(name, tmp_path):
    tensors, expected = stored(name)
    made = converted(name, tensors, tmp_path)
    found = np.asarray(made.encoder.feature_map(CASES[name].images))
    difference = np.abs(found.ravel()[::EVERY] - expected).max()
    print(f"{name}: {difference:.1e} of {np.abs(expected).max():.2g}; {made.layout}; {made.taken}")
    assert difference < TOLERANCE
    assert len(made.used) + len(made.passed_over) == len(tensors)


@pytest.mark.parametrize("name", CASES)
def test_what_is_stored_is_what_the_library_gives(name):
    for library in ("torch", "torchvision", "timm", "transformers"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"needs {library}: pip install 'keras-cr[converters-test]'")
    tensors, expected = stored(name)
    shapes, found = run(CASES[name])
    assert shapes == {key: value.shape for key, value in tensors.items()}
    np.testing.assert_allclose(found.ravel()[::EVERY], expected, atol=1e-5)


def as_its_authors_name_convnext(tensors):
    names = {}
    for name, value in tensors.items():
        name = name.replace("stem.", "downsample_layers.0.").replace("head.norm", "norm")
        name = re.sub(r"stages\.(\d)\.downsample", r"downsample_layers.\1", name)
        name = name.replace(".blocks", "").replace("conv_dw", "dwconv").replace("head.fc", "head")
        name = name.replace("grn.weight", "grn.gamma").replace("grn.bias", "grn.beta")
        wide = value.reshape(1, 1, 1, -1) if "grn" in name else value
        names[name.replace("mlp.grn", "grn").replace("mlp.fc", "pwconv")] = wide
    return names


def as_its_authors_name_dinov2(tensors):
    named = dict(tensors)
    named["register_tokens"] = named.pop("reg_token")
    positions = named["pos_embed"]
    named["pos_embed"] = np.concatenate([0 * positions[:, :1] + 1, positions], axis=1)
    named["cls_token"] = named["cls_token"] - 1
    return named | {"mask_token": np.zeros((1, positions.shape[-1]))}


def as_efficientnet_pytorch_names_it(tensors):
    """Blocks counted through; what comes before the depthwise convolution has the number 0."""
    separable = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv"}
    inverted = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv"}
    inverted |= {"bn2": "_bn1", "conv_pwl": "_project_conv", "bn3": "_bn2"}
    squeeze = {"se.conv_reduce": "_se_reduce", "se.conv_expand": "_se_expand"}
    top = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}
    top |= {"classifier": "_fc"}
    blocks = sorted({tuple(key.split(".")[1:3]) for key in tensors if key.startswith("blocks")})
    names = {}
    for name, value in tensors.items():
        own, _, kind = name.rpartition(".")
        if name.startswith("blocks"):
            _, stage, number, part = own.split(".", 3)
            parts = (inverted if stage != "0" else separable | {"bn2": "_bn2"}) | squeeze
            names[f"_blocks.{blocks.index((stage, number))}.{parts[part]}.{kind}"] = value
        else:
            names[f"{top[own]}.{kind}"] = value
    return names


@pytest.mark.parametrize(
    ("name", "rename"),
    [
        ("timm EfficientNet of TensorFlow", as_efficientnet_pytorch_names_it),
        ("timm ConvNeXt V2", as_its_authors_name_convnext),
        ("timm DINOv2 with registers", as_its_authors_name_dinov2),
    ],
)
def test_names_of_their_authors(name, rename):
    tensors, expected = stored(name)
    options = {key: CASES[name].options[key] for key in CASES[name].options.keys() - {"backbone"}}
    made = convert_checkpoint(rename(tensors), **options)
    found = made.encoder.feature_map(CASES[name].images)
    assert np.abs(np.asarray(found).ravel()[::EVERY] - expected).max() < TOLERANCE


@pytest.mark.parametrize("name", ["timm ConvNeXt V2", "timm DINOv2 with registers"])
def test_it_becomes_a_preset(name, tmp_path):
    made = converted(name, stored(name)[0], tmp_path)
    backbone, images = made.encoder.backbone, CASES[name].images
    assert len(torchvision_names(backbone)) == len(backbone.weights)
    loaded = load_preset(made.encoder.save_to_preset(tmp_path / "preset", source=made.origin))
    np.testing.assert_allclose(loaded(images), made.encoder(images), atol=1e-5)
    narrow = images[:1, :, :32]
    assert loaded.feature_map(narrow).shape[1:3] == loaded.map_size.of(*narrow.shape[1:3])


OF_EACH_MODEL = {  # a kernel, and the bias of a normalisation
    "timm ConvNeXt": ("stages.0.blocks.0.mlp.fc1.weight", "stages.1.downsample.0.bias"),
    "timm EfficientNet": ("blocks.3.0.conv_pw.weight", "blocks.2.0.bn3.bias"),
    "timm ViT": ("blocks.1.attn.qkv.weight", "blocks.1.norm2.bias"),
}


@pytest.mark.parametrize("name", OF_EACH_MODEL)
def test_a_tensor_that_does_not_fit_is_named(name, tmp_path):
    tensors, (kernel, bias) = stored(name)[0], OF_EACH_MODEL[name]

    def refused(changed, message):
        with pytest.raises(CheckpointError, match=message):
            converted(name, changed, tmp_path)

    refused({key: value for key, value in tensors.items() if key != bias}, f"Missing: {bias}")
    odd = bias.replace(".bias", ".odd")
    refused(tensors | {odd: np.ones(3)}, f"Unknown: {odd}")
    refused(tensors | {bias: np.ones(5)}, f"{bias}: expected .* received \\(5,\\)")
    broken = np.where(np.arange(tensors[kernel].shape[-1]) == 0, np.nan, tensors[kernel])
    refused(tensors | {kernel: broken}, rf"NaN or infinity.*{kernel.removesuffix('qkv.weight')}")


def test_tensorflow_and_pytorch_differ():
    """The control: with the other's padding and epsilon, the maps are others."""
    tensors, expected = stored("timm EfficientNet of TensorFlow")
    options = CASES["timm EfficientNet of TensorFlow"].options | {"backbone": "efficientnet_b0"}
    found = convert_checkpoint(tensors, **options).encoder.feature_map(IMAGES)
    assert np.abs(np.asarray(found).ravel()[::EVERY] - expected).max() > 100 * TOLERANCE


def test_tensorflows_or_pytorchs_must_be_said(tmp_path):
    tensors = stored("timm EfficientNet")[0]
    with pytest.raises(CheckpointError, match=r"say which, backbone='efficientnet' or 'tf_"):
        convert_checkpoint(tensors)
    with pytest.raises(CheckpointError, match="Received: 'convnext_tiny'"):
        convert_checkpoint(tensors, backbone="convnext_tiny")
    with pytest.raises(CheckpointError, match="names 'mobilenetv3_small', but .* of efficientnet"):
        convert_checkpoint(tensors, backbone="mobilenetv3_small")
    np.savez(tmp_path / "anything.npz", **tensors)
    with pytest.raises(CheckpointError, match="say which"):
        convert_checkpoint(tmp_path / "anything.npz")
    np.savez(tmp_path / "tf_efficientnet_b0-0011.npz", **tensors)
    made = convert_checkpoint(tmp_path / "tf_efficientnet_b0-0011.npz")
    assert made.encoder.backbone.padding == "same"


def test_other_inverted_residuals_are_refused():
    tensors = dict(stored("timm EfficientNet")[0])
    for key, value in tensors.items():  # kernels of 7 x 7, as in MnasNet's relatives
        if "conv_dw" in key:
            tensors[key] = np.zeros((*value.shape[:2], 7, 7), "float32")
    with pytest.raises(CheckpointError, match=r"none of efficientnet, .*\('separable', 7, 1"):
        convert_checkpoint(tensors, backbone="efficientnet_b0")


@pytest.fixture
def folder(tmp_path):
    """A folder as timm's on the Hub."""
    save_file = pytest.importorskip("safetensors.numpy").save_file
    save_file(stored("timm ConvNeXt")[0], tmp_path / "model.safetensors")
    return tmp_path


def test_timms_config_says_what_tensors_do_not(folder):
    config = {
        "architecture": "convnext_tiny",
        "pretrained_cfg": {"mean": [0, 0, 0], "std": [1] * 3},
    }
    (folder / "config.json").write_text(json.dumps(config))
    made = convert_checkpoint(folder)
    assert (made.encoder.backbone.mean, made.encoder.backbone.std) == ((0, 0, 0), (1, 1, 1))
    assert "(as given)" in made.taken
    own = convert_checkpoint(folder, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    assert own.encoder.backbone.mean == (0.5, 0.5, 0.5)
    (folder / "config.json").write_text(json.dumps({"architecture": "convnext_blur"}))
    assert convert_checkpoint(folder).layout.startswith("convnext as timm")
    (folder / "config.json").write_text(json.dumps({"architecture": "metaformer"}))
    with pytest.raises(CheckpointError, match="config.json: names 'metaformer'"):
        convert_checkpoint(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="config.json: damaged"):
        convert_checkpoint(folder)


@pytest.mark.parametrize("mean", [(0.5, 0.5), (127, 127, 127)])
def test_a_mean_is_three_shares(folder, mean):
    with pytest.raises(ValueError, match="`mean` must be three numbers in 0..1"):
        convert_checkpoint(folder, mean=mean, std=(1, 1, 1))
    with pytest.raises(ValueError, match="`mean` and `std` go together"):
        convert_checkpoint(folder, std=(1, 1, 1))


def test_a_folder_without_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match="a folder without model.safetensors"):
        convert_checkpoint(tmp_path)
