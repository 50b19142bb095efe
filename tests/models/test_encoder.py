import keras
import numpy as np
import pytest

from keras_cr import CommonRationaleEncoder
from keras_cr.models.encoder import POOLINGS
from tests.case import images, tiny_backbone, tiny_encoder


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_outputs(pooling, dtype):
    encoder = tiny_encoder(pooling=pooling, dtype=dtype)
    batch = images(3).astype("uint8")
    outputs = encoder.encode(batch)
    size = {"concat": 16, "rationale_max": 16, "rationale_vlad": 256}.get(pooling, 8)
    assert outputs["embedding"].shape == (3, size) == encoder.compute_output_shape((3, 32, 32, 3))
    assert outputs["average_embedding"].shape == (3, 8)
    assert outputs["rationale"].shape == (3, 4, 4)
    assert outputs["feature_map"].shape == (3, 4, 4, 8)
    for name in ("embedding", "average_embedding"):
        assert outputs[name].dtype == "float32"
        np.testing.assert_allclose(np.linalg.norm(outputs[name], axis=1), 1, rtol=1e-5)
    rounding = 1e-3 if pooling == "rationale_vlad" else 1e-6  # what a root makes of it
    np.testing.assert_allclose(encoder(batch), outputs["embedding"], atol=rounding)


def test_the_map_weighs_the_average_of_the_feature_map():
    outputs = {k: np.asarray(v) for k, v in tiny_encoder().encode(images()).items()}
    pooled = (outputs["rationale"][..., None] * outputs["feature_map"]).sum((1, 2))
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(outputs["embedding"], pooled, rtol=1e-4, atol=1e-6)
    assert not np.allclose(outputs["embedding"], outputs["average_embedding"], atol=1e-3)


def test_a_maximum_keeps_what_a_single_place_shows():
    outputs = {k: np.asarray(v) for k, v in tiny_encoder().encode(images()).items()}
    both = np.asarray(tiny_encoder(pooling="rationale_max")(images()))
    largest = outputs["feature_map"].max((1, 2))
    largest /= np.linalg.norm(largest, axis=1, keepdims=True)
    expected = np.concatenate([outputs["embedding"], largest], axis=1) / 2**0.5
    np.testing.assert_allclose(both, expected, atol=1e-6)


@pytest.mark.parametrize("pooling", ["rationale", "concat", "rationale_max", "rationale_vlad"])
def test_an_embedding_does_not_depend_on_its_batch(pooling):
    encoder, batch = tiny_encoder(pooling=pooling), images(7)
    together = np.asarray(encoder(batch))
    alone = np.concatenate([encoder(batch[i : i + 1]) for i in range(7)])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(encoder.predict(batch, batch_size=3, verbose=0), alone, atol=1e-5)


def test_a_resnets_embedding_does_not_depend_on_its_batch():
    encoder, batch = CommonRationaleEncoder("resnet18", seed=0), images(3, 64)
    np.testing.assert_allclose(encoder(batch)[1:2], encoder(batch[1:2]), atol=1e-5)


def test_save_and_load(tmp_path):
    encoder = tiny_encoder(pooling="concat")
    encoder.branch.batch_norm.gamma.assign([3.0, 0.5])
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(loaded(images()), encoder(images()))


def test_a_pooling_can_be_set_and_keeps_its_vocabulary(tmp_path):
    encoder = tiny_encoder(pooling_options={"num_words": 2, "dimensions": 5})
    assert encoder(images(2)).shape == (2, 8)
    encoder.pooling = "rationale_vlad"
    embedding = np.asarray(encoder(images(2)))
    assert embedding.shape == (2, 5)
    encoder.pooling = "average"
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    assert loaded.pooling == "average"
    loaded.pooling = "rationale_vlad"
    np.testing.assert_array_equal(loaded(images(2)), embedding)
    with pytest.raises(ValueError, match="`pooling` must be one of .*pooling='vlad'"):
        loaded.pooling = "vlad"
    with pytest.raises(ValueError, match=r"`pooling_options` may hold num_words, .*'words'"):
        tiny_encoder(pooling_options={"words": 2})
    plain = tiny_encoder()  # as encoders without one are stored: nothing is added
    assert "pooling_options" not in plain.get_config()
    count = len(plain.weights)
    plain.pooling = "rationale_vlad"
    assert len(plain.weights) == count + 2


def test_works_inside_a_functional_model():
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, keras.layers.Dense(3)(tiny_encoder()(inputs)))
    assert model.predict(images(2), verbose=0).shape == (2, 3)


@pytest.mark.parametrize("application", ["MobileNetV2", "EfficientNetB0", "ResNet50"])
def test_keras_applications(application):
    backbone = getattr(keras.applications, application)(weights=None, include_top=False)
    encoder = CommonRationaleEncoder(backbone, num_detectors=2, image_size=64)
    assert encoder(images(1, 64)).shape == (1, backbone.output_shape[-1])


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = keras.layers.Conv2D(5, 3, strides=8)

    def call(self, x):
        return self.conv(x)


def test_a_subclassed_backbone():
    assert CommonRationaleEncoder(Subclassed())(images(2)).shape == (2, 5)


def models_that_are_no_backbones():
    inputs = keras.Input((64, 64, 3))
    tokens = keras.layers.Reshape((64 * 64, 3))(inputs)
    with_top = keras.applications.MobileNetV2(weights=None, input_shape=(96, 96, 3))
    return {
        "3-D": (keras.Model(inputs, tokens), r"4-D feature map.*\(None, 4096, 3\)"),
        "with its classifier": (with_top, r"include_top=False.*\(None, 1000\)"),
        "two outputs": (keras.Model(inputs, [inputs, tokens]), "4-D feature map"),
        "gray images": (
            keras.Sequential([keras.Input((64, 64, 1)), keras.layers.Conv2D(8, 3)]),
            r"RGB images \(H, W, 3\).*\(None, 64, 64, 1\)",
        ),
        "a layer": (keras.layers.Conv2D(3, 3), "must be a Keras model"),
        "unknown name": ("resnet51", "resnet50.*'resnet51'"),
    }


@pytest.mark.parametrize("case", list(models_that_are_no_backbones()))
def test_refuses_what_is_no_backbone(case):
    model, message = models_that_are_no_backbones()[case]
    with pytest.raises(ValueError, match=message):
        CommonRationaleEncoder(model)


def test_refuses_a_map_of_a_single_place():
    with pytest.raises(ValueError, match=r"only one.*1 x 1 for images of \(32, 32\)"):
        CommonRationaleEncoder("resnet18", image_size=32)
    with pytest.raises(ValueError, match="1 x 1"):
        CommonRationaleEncoder(tiny_backbone(8))
    with pytest.raises(ValueError, match="1 x 1"):
        tiny_encoder()(images(1, 8))


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match="pooling='max'"):
        tiny_encoder(pooling="max")
    with pytest.raises(ValueError, match=r"\(B, H, W, 3\).*\(32, 32, 3\)"):
        tiny_encoder().encode(images()[0])
