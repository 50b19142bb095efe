"""A finer map has the old one's values among its own, and tells small objects better."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_cr import CommonRationaleEncoder
from keras_cr.data import image_batches, synthetic_birds
from keras_cr.evaluation import evaluate
from keras_cr.models import (
    AdaptedBackbone,
    ConvNeXt,
    VisionTransformer,
    adapt_backbone,
    resnet18,
    squeezenet,
)
from keras_cr.models.output_stride import with_output_stride
from keras_cr.presets.backbone_weights import is_from
from keras_cr.rationale import fit_rationale
from tests.case import images, tiny_backbone

APPLICATION = {"include_top": False, "weights": None, "input_shape": (None, None, 3)}


def of_application(name, **options):
    return getattr(keras.applications, name)(**APPLICATION | options)


def preset(name):
    return CommonRationaleEncoder.from_preset(name).backbone


def nested():
    """The usual way to put preprocessing in front of a model."""
    scaled = layers.Rescaling(1 / 127.5, -1)
    inner = of_application("MobileNetV2", alpha=0.35)
    return keras.Sequential([keras.Input((None, None, 3)), scaled, inner])


def shared():
    """A convolution that is called twice."""
    image = keras.Input((None, None, 3))
    twice = layers.Conv2D(4, 3, padding="same")
    x = layers.Conv2D(4, 3, strides=2, padding="same")(image)
    x = layers.AveragePooling2D(2)(layers.Conv2D(4, 3, strides=2, padding="same")(x))
    return keras.Model(image, twice(twice(x)) / 2)


def between():
    """What changes the size of a map behind a stride that is taken out: both are in old places."""
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, strides=4, padding="same")(image)
    x = layers.Conv2D(4, 3, strides=2, padding="same")(x)
    x = layers.Conv2D(4, 3)(layers.Cropping2D(1)(layers.ZeroPadding2D(2)(x)))
    return keras.Model(image, x)


def shared_by_models():
    inner = layers.Conv2D(3, 3, padding="same")
    first = keras.Sequential([keras.Input((None, None, 3)), inner])
    second = keras.Sequential([keras.Input((None, None, 3)), inner, layers.ReLU()])
    last = [layers.Conv2D(4, 3, strides, padding="same") for strides in (4, 2, 1)]
    ends = keras.Sequential([keras.Input((None, None, 3)), *last])
    return keras.Sequential([keras.Input((None, None, 3)), first, second, ends])


MODELS = {
    "squeezenet": (lambda: squeezenet(seed=0), 8),
    "resnet18": (lambda: resnet18(seed=0), 16),
    "resnet18, two strides": (lambda: resnet18(seed=0), 8),
    "EfficientNet-Lite0": (lambda: preset("demo_efficientnet_lite0"), 16),
    "EfficientNetB0, two strides": (lambda: of_application("EfficientNetB0"), 8),
    "convnext": (lambda: ConvNeXt((1, 1, 1, 1), (8, 8, 8, 8), seed=0), 16),
    "sequential": (tiny_backbone, 4),
    "nested": (nested, 16),
    "nested, two strides": (nested, 8),
    "shared, and an operation": (shared, 4),
    "padding and cropping": (between, 4),
    "shared by two models": (shared_by_models, 4),
    "DenseNet121": (lambda: of_application("DenseNet121"), 16),
    "ResNet50V2": (lambda: of_application("ResNet50V2"), 16),
}


class Kernel(layers.Layer):
    """A convolution that isn't Keras' own."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(3, 3, shape[-1], 4), name="kernel")

    def call(self, x):
        return ops.conv(x, self.kernel, padding="same")


class Subclassed(keras.Model):
    def build(self, shape):
        self.inner = layers.Conv2D(4, 3, padding="same")
        self.inner.build(shape)

    def call(self, x):
        return self.inner(x)


class Unnamed(layers.Layer):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)

    def call(self, x):
        return x

    def get_config(self):
        return {"name": self.name}


def behind(*more):
    """A map of stride 8 and what comes behind it."""
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, strides=4, padding="same")(image)
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="last_stride")(x)
    for each in more:
        x = each(x)
    return keras.Model(image, x, name="behind")


def interior(old, new, finer):
    """The old map's middle, and the values of the new one that lie there, whichever fit."""
    side = old.shape[1]
    middle = slice(side // 3, side - side // 3)
    shifted = [new[:, row::finer, row::finer][:, :side, :side] for row in range(finer)]
    old, shifted = old[:, middle, middle], [each[:, middle, middle] for each in shifted]
    return old, min(shifted, key=lambda each: np.abs(each - old).max())


@pytest.mark.parametrize("name", MODELS)
def test_the_old_map_is_among_the_places_of_the_new_one(name):
    build, output_stride = MODELS[name]
    model = build()
    photos = images(2, 256)
    old = ops.convert_to_numpy(model(photos))
    twin = with_output_stride(model, output_stride)
    new = ops.convert_to_numpy(twin(photos))
    finer = round(new.shape[1] / old.shape[1])
    assert finer > 1
    assert round(256 / new.shape[1]) in (output_stride, output_stride + 1)
    was, now = interior(old, new, finer)
    np.testing.assert_allclose(now, was, atol=1e-3 * np.abs(was).max())
    np.testing.assert_array_equal(model(photos), old, "it was changed")
    assert len(twin.weights) == len(model.weights)
    twin.weights[0].assign(twin.weights[0] + 1)
    np.testing.assert_array_equal(model(photos), old, "the two share weights")


def test_finer_maps_tell_small_birds_better():
    birds = synthetic_birds(6, 30, 20, image_size=96)
    found = []
    for output_stride in (None, 8):
        encoder = CommonRationaleEncoder.from_backbone(
            "demo_squeezenet", image_size=96, output_stride=output_stride
        )
        fit_rationale(encoder, image_batches(birds.split("train"), 96, 32), verbose=0)
        found.append(evaluate(encoder, birds, protocols=("retrieval", "localization")))
    before, after = found
    for pooled in (lambda metrics: metrics, lambda metrics: metrics["average_pooling"]):
        gained = pooled(after)["retrieval"]["map"] - pooled(before)["retrieval"]["map"]
        assert gained > 0.02, gained
    pointed = [metrics["localization"]["pointing_game"] for metrics in found]
    assert pointed[1] > pointed[0] + 0.05, pointed


def test_an_encoder_keeps_its_finer_map(tmp_path):
    encoder = CommonRationaleEncoder.from_backbone("demo_squeezenet", 96, output_stride=8)
    assert encoder.encode(images(1, 96))["feature_map"].shape == (1, 9, 9, 512)
    assert is_from(encoder.backbone, encoder.backbone_source), "the weights are the same"
    expected = encoder.encode(images(2, 96))
    encoder.save(tmp_path / "encoder.keras")
    encoder.save_to_preset(tmp_path / "preset")
    for again in (
        keras.saving.load_model(tmp_path / "encoder.keras"),
        CommonRationaleEncoder.from_preset(tmp_path / "preset"),
    ):
        found = again.encode(images(2, 96))
        assert found.keys() == expected.keys()
        for name in found:
            np.testing.assert_allclose(found[name], expected[name], atol=1e-6)


def test_what_a_package_knows_of_its_models_is_asked_before():
    model = of_application("MobileNetV2", alpha=0.35)
    adapted = adapt_backbone(model, output_stride=8)
    assert isinstance(adapted, AdaptedBackbone)
    assert adapted.normalization == adapt_backbone(model).normalization
    again = adapt_backbone(adapt_backbone(model), output_stride=8)
    np.testing.assert_allclose(again(images(1, 64)), adapted(images(1, 64)), atol=1e-5)


def test_layers_stay_as_they_were_made():
    model = tiny_backbone(dtype="mixed_bfloat16")
    model.layers[1].trainable = False
    twin = with_output_stride(model, 4)
    assert [layer.trainable for layer in twin.layers[1:]] == [
        layer.trainable for layer in model.layers
    ]
    assert twin(images(1)).dtype == "bfloat16"
    assert with_output_stride(model, 8) is model


def test_what_cannot_be_made_finer():
    vit = VisionTransformer(16, 4, 32, 1, 2)
    quantized = keras.Sequential(
        [keras.Input((None, None, 3)), layers.Conv2D(4, 3, 8), layers.Dense(4)]
    )
    quantized.quantize("int8")
    uneven = keras.Sequential([keras.Input((64, 64, 3)), layers.Conv2D(4, 3, (8, 4))])
    for model, output_stride, message in (
        (squeezenet(), 32, "must be 4, 8 or 16, and no more than the model's own, 16"),
        (squeezenet(), 5, "must be 4, 8 or 16.*Received: output_stride=5"),
        (squeezenet(), 8.5, "`output_stride` must be a positive integer"),
        (squeezenet(), 4, "can't be had of 'squeezenet', a larger one may: 'pool5' would have to"),
        (behind(Kernel(name="own")), 4, "'behind': 'own' has a kernel of its own, which can't be"),
        (behind(Subclassed(name="sub")), 4, "'behind': 'sub' has a kernel of its own"),
        (behind(lambda x: ops.max_pool(x, 3, 1)), 4, "is no layer, and can't be dilated"),
        (behind(Unnamed(3, name="bad")), 4, "'behind': 'bad' can't be copied from its config"),
        (of_application("MobileNetV2", alpha=0.35, input_shape=(32, 32, 3)), 16, "for larger ones"),
        (squeezenet(normalize_images=False), 8, "takes RGB 0..255.*normalize_images=False"),
        (vit, 8, "strides are convolutions' and poolings'|must be 16"),
        (quantized, 4, "as it was built.*quantized layers"),
        (uneven, 4, "strides of its own for rows and columns"),
        (keras.Sequential([keras.Input((8,)), layers.Dense(4)]), 4, "end in one feature map"),
    ):
        with pytest.raises(ValueError, match=message):
            with_output_stride(model, output_stride)
    with pytest.raises(ValueError, match="`level` names another. Received: output_stride=8"):
        adapt_backbone(squeezenet(), level="pool5", output_stride=8)
