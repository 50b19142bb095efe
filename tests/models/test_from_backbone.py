"""Encoders by a backbone's name, folder or handle, and the class token in their embeddings."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_cr import CommonRationaleEncoder
from keras_cr.data import synthetic_birds
from keras_cr.evaluation import add_controls, extract
from keras_cr.models import VisionTransformer, adapt_backbone, load_backbone, open_backbone
from keras_cr.models.open_backbone import may_be_backbone
from keras_cr.presets import cards
from tests.case import images, tiny_backbone, tiny_encoder
from tests.models.test_adapt_backbone import needs_hub
from tests.models.zoo import checks
from tests.models.zoo.hub import KERAS_HUB

CASES = {case.name: case for case in KERAS_HUB}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A DINOv2 that KerasHub saved."""
    folder = tmp_path_factory.mktemp("dinov2")
    checks.build(CASES["DINOv2"]).save_to_preset(str(folder))
    return folder


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@needs_hub
def test_the_class_token_joins_the_embedding(folder, tmp_path):
    case, shown = CASES["DINOv2"], images(4, 56)
    model, _ = load_backbone(folder)
    token = np.asarray(model({"images": case.preprocess(shown)}))[:, 0]
    backbone = adapt_backbone(model)
    for pooling in ("rationale", "concat", "rationale_max", "rationale_vlad"):
        options = {"pooling": pooling, "num_detectors": 2, "seed": 0}
        plain = CommonRationaleEncoder(backbone, **options)
        joined = CommonRationaleEncoder(backbone, concat_class_token=True, **options)
        expected = np.concatenate([plain(shown), unit(token)], axis=-1) / np.sqrt(2)
        np.testing.assert_allclose(joined(shown), expected, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(joined(shown), axis=-1), 1, rtol=1e-5)
        np.testing.assert_allclose(joined(shown[2:3]), expected[2:3], atol=1e-5)  # alone in a batch
        assert joined.compute_output_shape((4, 56, 56, 3)) == expected.shape
        average = joined.encode(shown)["average_embedding"]
        expected = np.concatenate([plain.encode(shown)["average_embedding"], unit(token)], axis=-1)
        np.testing.assert_allclose(average, expected / np.sqrt(2), atol=1e-5)
    checks.check_reload(case, joined, tmp_path)
    checks.check_export(case, joined, tmp_path, "tf_saved_model")


def test_the_class_token_of_a_vision_transformer(tmp_path):
    options = {"patch": 8, "grid": 4, "width": 8, "depth": 1, "heads": 2, "seed": 0}
    backbone, shown = VisionTransformer(prefix=3, **options), images(4, 32)
    tokens = keras.Model(backbone.inputs, backbone.get_layer("norm").output)(shown)
    plain = CommonRationaleEncoder(backbone, num_detectors=1, seed=0)
    joined = CommonRationaleEncoder.from_backbone(
        backbone, concat_class_token=True, num_detectors=1, seed=0
    )
    assert joined.backbone is backbone
    expected = np.concatenate([plain(shown), unit(np.asarray(tokens)[:, 0])], axis=-1) / np.sqrt(2)
    np.testing.assert_allclose(joined(shown), expected, atol=1e-6)
    assert len(joined.weights) == len(plain.weights)
    joined.save_to_preset(tmp_path / "preset")
    again = CommonRationaleEncoder.from_preset(tmp_path / "preset")
    np.testing.assert_array_equal(again(shown), joined(shown))
    for without in ({"prefix": 0}, {"prefix": 2, "class_token": False}):
        with pytest.raises(ValueError, match="needs a backbone with a class token: Vision"):
            adapt_backbone(VisionTransformer(**options, **without), concat_class_token=True)


@needs_hub
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_a_preset_under_another_dtype_policy(policy, folder, tmp_path):
    encoder = CommonRationaleEncoder.from_backbone(folder, concat_class_token=True, seed=0)
    encoder.save_to_preset(tmp_path / "preset")
    again = CommonRationaleEncoder.from_preset(tmp_path / "preset", dtype=policy)
    shown = images(2, 56)
    compute = keras.dtype_policies.get(policy).compute_dtype
    assert keras.backend.standardize_dtype(again.feature_map(shown).dtype) == compute
    tolerance = 0.05 if compute in ("bfloat16", "float16") else 1e-5
    np.testing.assert_allclose(again(shown), encoder(shown), atol=tolerance)
    direct = CommonRationaleEncoder.from_backbone(
        folder, concat_class_token=True, seed=0, dtype=policy
    )
    maps = [ops.cast(each.feature_map(shown), "float32") for each in (direct, encoder)]
    np.testing.assert_allclose(*maps, atol=2 * tolerance)
    direct.save_to_preset(tmp_path / "direct")
    kept = CommonRationaleEncoder.from_preset(tmp_path / "direct")
    np.testing.assert_array_equal(kept(shown), direct(shown))


@needs_hub
def test_controls_have_the_class_token_too(folder):
    dataset = synthetic_birds(2, 2, image_size=56, seed=0)
    options = {"image_size": 56, "num_detectors": 1, "seed": 0}
    joined = CommonRationaleEncoder.from_backbone(folder, concat_class_token=True, **options)
    features = extract(joined, dataset, image_size=56, verbose=0)
    found = add_controls(features, "rationale_floor,concat", verbose=0).controls
    own = features.embeddings
    for name, size in (("rationale_floor", 32), ("concat", 48)):
        embedding = found[name].embedding
        assert embedding.shape[-1] == size
        np.testing.assert_allclose(np.linalg.norm(embedding, axis=-1), 1, rtol=1e-5)
        np.testing.assert_allclose(embedding[:, -16:], own.embedding[:, -16:], atol=1e-6)
    both = np.concatenate([own.embedding[:, :16], own.average_embedding[:, :16]], axis=-1)
    np.testing.assert_allclose(found["concat"].embedding[:, :32], both / np.sqrt(2), atol=1e-5)


@needs_hub
def test_no_class_token():
    for model in (tiny_backbone(), CASES["SigLIP"].build()):
        with pytest.raises(ValueError, match="`concat_class_token=True` needs a backbone with a"):
            CommonRationaleEncoder.from_backbone(model, concat_class_token=True)


@needs_hub
def test_a_preset_s_own_image_converter(tmp_path):
    import keras_hub

    model = CASES["ResNet"].build()
    model.save_to_preset(str(tmp_path))
    converter = keras_hub.layers.ResNetImageConverter(scale=[0.1, 0.2, 0.3], offset=[1.0, 0, -1.0])
    converter.save_to_preset(str(tmp_path))
    shown = images(2, 64)
    encoder = CommonRationaleEncoder.from_backbone(tmp_path, seed=0)
    expected = model(converter(shown))
    np.testing.assert_allclose(encoder.feature_map(shown), expected, rtol=1e-4, atol=1e-4)
    given = CommonRationaleEncoder.from_backbone(tmp_path, normalization="0..1", seed=0)
    np.testing.assert_allclose(given.feature_map(shown), model(shown / 255), rtol=1e-4, atol=1e-5)


@needs_hub
def test_an_image_processor_of_transformers(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    mean, deviation = [0.43, 0.411, 0.296], [0.213, 0.156, 0.143]  # DINOv3's, of satellites
    processor = {"image_mean": mean, "image_std": deviation, "rescale_factor": 1 / 255}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    backbone = CommonRationaleEncoder.from_backbone(tmp_path, seed=0).backbone
    shown = images(2, 56)
    expected = (shown / 255 - mean) / deviation
    found = backbone.get_layer("normalize_images")(shown)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@needs_hub
def test_models_with_two_towers(tmp_path):
    import keras_hub

    vision = CASES["CLIP"].build()
    text = keras_hub.models.CLIPTextEncoder(
        vocabulary_size=16,
        embedding_dim=8,
        hidden_dim=8,
        num_layers=1,
        num_heads=2,
        intermediate_dim=8,
        max_sequence_length=4,
    )
    keras_hub.models.CLIPBackbone(vision, text, projection_dim=8).save_to_preset(str(tmp_path))
    encoder = CommonRationaleEncoder.from_backbone(tmp_path, seed=0)
    checks.check_map(CASES["CLIP"], vision, encoder)


def test_a_keras_file(tmp_path):
    backbone = tiny_backbone()
    backbone.save(tmp_path / "tiny.keras")
    encoder = CommonRationaleEncoder.from_backbone(str(tmp_path / "tiny.keras"), image_size=32)
    np.testing.assert_allclose(encoder.feature_map(images()), backbone(images()), atol=1e-6)
    assert encoder.image_size == (32, 32)


@needs_hub
def test_names_that_kerashub_has_not():
    with pytest.raises(ValueError, match="close ones: .*dinov2_small"):
        CommonRationaleEncoder.from_backbone("dinov2_smal")


@needs_hub
def test_meta_s_names_and_those_on_cards():
    import keras_hub

    known = keras_hub.models.Backbone.presets
    assert set(open_backbone._META.values()) <= known.keys()
    assert may_be_backbone("dinov3_vits16")
    assert not may_be_backbone("dinov3_vits14")
    small = {"num_layers": 12, "hidden_dim": 384, "num_heads": 6, "intermediate_dim": 1536}
    square, zoo = (518, 518, 3), cards()
    built = {
        "dinov2_small": keras_hub.models.DINOV2Backbone(
            14, image_shape=square, position_embedding_shape=square, **small
        ),
        "dinov3_vits16": keras_hub.models.DINOV3Backbone(
            16, image_shape=(224, 224, 3), use_key_bias=False, **small
        ),
    }
    for name, model in built.items():
        assert may_be_backbone(name)
        pooled = {"num_detectors": 1, "pooling": "rationale_vlad"}  # as recipes make it
        encoder = CommonRationaleEncoder.from_backbone(model, image_size=224, **pooled)
        for kind in ("cub", "cars", "aircraft"):
            assert zoo[f"{kind}_{name}"].parameters == encoder.count_params()
            assert f"--init {name} " in zoo[f"{kind}_{name}"].recipe["command"]


@needs_hub
def test_the_licence_of_dinov3_is_told(tmp_path, capsys):
    for name, told in (("DINOv3", True), ("DINOv2", False)):
        CommonRationaleEncoder.from_backbone(CASES[name].build()).save_to_preset(tmp_path / name)
        capsys.readouterr()
        encoder = CommonRationaleEncoder.from_preset(tmp_path / name)
        assert ("is under the licence DINOv3 License, https" in capsys.readouterr().err) == told
        assert bool(encoder.backbone_licence) == told
    CommonRationaleEncoder.from_preset(tmp_path / "DINOv3")
    assert "licence" not in capsys.readouterr().err


@needs_hub
def test_a_handle_that_can_t_be_loaded(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="hf://org/name is not in the cache"):
        CommonRationaleEncoder.from_backbone("hf://org/name")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="is neither a preset .* nor a model that KerasHub reads"):
        CommonRationaleEncoder.from_backbone(tmp_path)


def test_what_is_meant_for_another_way_in(tmp_path):
    tiny_encoder().save_to_preset(tmp_path / "preset")
    for model, message in (
        ("resnet50", "without trained weights: build it with CommonRationaleEncoder"),
        (tmp_path, "must be a folder with a config.json"),
        (tmp_path / "nothing.keras", "nothing.keras' is not there; check the path"),
        ("./nowhere", "must be a folder with a config.json"),
        (3, "must be a Keras model, a preset's name"),
    ):
        with pytest.raises(ValueError, match=message):
            CommonRationaleEncoder.from_backbone(model)


def test_without_kerashub(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "keras_hub", None)
    with pytest.raises(ImportError, match=r'needs KerasHub: pip install "keras-cr\[keras-hub\]"'):
        CommonRationaleEncoder.from_backbone("dinov2_small")
