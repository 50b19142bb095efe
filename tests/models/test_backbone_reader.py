"""Backbones in KerasHub's and transformers' formats, pinned and read by KerasHub."""

import json

import keras
import numpy as np
import pytest
from huggingface_hub import HfApi

from keras_cr import CommonRationaleEncoder
from keras_cr.models import load_backbone
from keras_cr.presets import BackboneError, load_preset
from tests.presets.with_backbone import assert_same, size

keras_hub = pytest.importorskip("keras_hub", reason="keras_hub is not installed")
WRITER = {"token": "hf_writer"}
SIZES = {"patch_size": 16, "num_layers": 2, "hidden_dim": 8, "num_heads": 2, "intermediate_dim": 16}


def dino(seed):
    """A small DINOv2 of images of 64 x 64, with random weights."""
    model = keras_hub.models.DINOV2Backbone(
        **SIZES, image_shape=(64, 64, 3), position_embedding_shape=(64, 64)
    )
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(rng.normal(0, 0.5, variable.shape))
    return model


def transformers_folder(folder):
    """The same kind of model as transformers saves it."""
    from safetensors.numpy import save_file

    config = {
        "model_type": "dinov2",
        "image_size": 64,
        "patch_size": 16,
        "num_hidden_layers": 1,
        "hidden_size": 8,
        "num_attention_heads": 2,
        "mlp_ratio": 2,
        "layerscale_value": 1.0,
        "use_swiglu_ffn": False,
        "hidden_dropout_prob": 0.0,
        "drop_path_rate": 0.0,
    }
    shapes = {
        "embeddings.cls_token": (1, 1, 8),
        "embeddings.mask_token": (1, 8),
        "embeddings.position_embeddings": (1, 17, 8),
        "embeddings.patch_embeddings.projection.weight": (8, 3, 16, 16),
        "embeddings.patch_embeddings.projection.bias": (8,),
        "encoder.layer.0.layer_scale1.lambda1": (8,),
        "encoder.layer.0.layer_scale2.lambda1": (8,),
    }
    dense = {f"attention.attention.{name}": (8, 8) for name in ("query", "key", "value")}
    dense |= {"attention.output.dense": (8, 8), "mlp.fc1": (16, 8), "mlp.fc2": (8, 16)}
    for name, shape in dense.items():
        shapes[f"encoder.layer.0.{name}.weight"] = shape
        shapes[f"encoder.layer.0.{name}.bias"] = shape[:1]
    for name in ("encoder.layer.0.norm1", "encoder.layer.0.norm2", "layernorm"):
        shapes |= {f"{name}.weight": (8,), f"{name}.bias": (8,)}
    rng = np.random.default_rng(0)
    folder.mkdir()
    tensors = {name: rng.normal(0, 0.5, shape).astype("float32") for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")


def encoder_over(model, source):
    """An encoder over the patch tokens as a map."""
    images = keras.Input((64, 64, 3))
    tokens = model(keras.layers.Rescaling(1 / 255)(images))
    patches = keras.layers.Reshape((4, 4, 8))(keras.layers.Cropping1D((1, 0))(tokens))
    backbone = keras.Model(images, patches)
    return CommonRationaleEncoder(
        backbone, num_detectors=2, image_size=64, seed=0, backbone_source=source
    )


@pytest.fixture(params=["keras_hub", "transformers"])
def repository(request, hub, tmp_path):
    """A folder in one of the formats, and the repository that it was uploaded to."""
    folder = tmp_path / "model"
    if request.param == "keras_hub":
        dino(seed=0).save_to_preset(str(folder))
    else:
        transformers_folder(folder)
    api = HfApi(**WRITER)
    api.create_repo("org/dino")
    api.upload_folder(repo_id="org/dino", folder_path=folder)
    return folder


def test_a_branch_over_it(repository, tmp_path):
    model, source = load_backbone("hf://org/dino")
    assert source.converter == "keras_hub"
    assert source.converter_version == keras_hub.__version__
    assert "config.json" in source.files
    assert any(name.startswith("model.") for name in source.files)
    encoder = encoder_over(model, source)
    branch = encoder.save_to_preset(tmp_path / "branch", backbone="reference")
    whole = encoder.save_to_preset(tmp_path / "whole")
    loaded = load_preset(branch, cache_dir=tmp_path / "empty")
    assert_same(loaded, load_preset(whole))
    assert_same(load_preset(branch, backbone=repository), encoder)
    assert loaded.backbone_source == source
    assert size(branch) < size(whole)


def test_position_embeddings_are_pinned_too(repository, tmp_path):
    model, source = load_backbone(repository)
    encoder = encoder_over(model, source)
    positions = model.embeddings.interpolated_position_embeddings
    rng = np.random.default_rng(0)
    positions.assign(positions + 1e-3 * np.abs(rng.normal(size=positions.shape)))
    with pytest.raises(BackboneError, match="has other weights than"):
        encoder.save_to_preset(tmp_path / "branch", backbone="reference")


def test_another_commit_is_not_taken(repository, tmp_path):
    encoder = encoder_over(*load_backbone("hf://org/dino"))
    branch = encoder.save_to_preset(tmp_path / "branch", backbone="reference")
    weights = next(path for path in repository.iterdir() if path.suffix in (".h5", ".safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    HfApi(**WRITER).upload_folder(repo_id="org/dino", folder_path=repository)
    assert_same(load_preset(branch, cache_dir=tmp_path / "empty"), encoder)
    with pytest.raises(BackboneError, match="It is not the backbone"):
        load_preset(branch, backbone="hf://org/dino")


@pytest.mark.parametrize("size", [64, 96])
def test_from_backbone_keeps_the_source(repository, tmp_path, size):
    """The pinned backbone of an encoder, for images of its own size and of another."""
    encoder = CommonRationaleEncoder.from_backbone(
        "hf://org/dino", image_size=size, num_detectors=2
    )
    branch = encoder.save_to_preset(tmp_path / "branch", backbone="reference")
    loaded = load_preset(branch, cache_dir=tmp_path / "empty")
    assert loaded.backbone_source == encoder.backbone_source
    assert_same(loaded, encoder, size)
