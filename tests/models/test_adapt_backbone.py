"""Maps of other packages' backbones, against what the packages themselves compute."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr import CommonRationaleEncoder
from keras_cr.models import AdaptedBackbone, adapt_backbone
from keras_cr.models.families import APPLICATIONS as KNOWN_APPLICATIONS
from keras_cr.models.families import KERAS_HUB as KNOWN_FAMILIES
from tests.case import images, tiny_backbone
from tests.models.zoo import checks
from tests.models.zoo.applications import APPLICATIONS, LARGE
from tests.models.zoo.families import CASES
from tests.models.zoo.hub import KERAS_HUB

DEEP = {  # whose training takes long
    "keras": ("EfficientNetV2", "MobileNet", "MobileNetV2", "MobileNetV3", "DenseNet"),
    "keras_hub": ("MiT", "Swin", "ViTDet"),
}
IN_A_GRAPH = ("DINOv2",)  # the others' training runs eagerly, which is a tenth of the time


def identifier(case):
    return f"{case.package}-{case.name}"


def needs(package):
    """Skips where an optional package is missing."""
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed")


needs_hub = needs("keras_hub")


@pytest.fixture(
    scope="module",
    params=[pytest.param(case, marks=needs(case.package), id=identifier(case)) for case in CASES],
)
def adapted(request, tmp_path_factory):
    """A case, its model, and an encoder of what its package saved of it."""
    model = checks.build(request.param)
    folder = tmp_path_factory.mktemp("zoo")
    return request.param, model, checks.loaded(request.param, model, folder)


def test_the_map_is_the_library_s_own(adapted):
    checks.check_map(*adapted)
    if adapted[0].skip is not None:
        checks.check_places(adapted[0], adapted[2])


def test_it_is_fitted_trained_saved_and_reloaded(adapted, tmp_path):
    case, _, encoder = adapted
    if case.name in DEEP.get(case.package, ()):
        pytest.skip("takes long: python -m tests.models.zoo.table runs it")
    tf.config.run_functions_eagerly(case.name not in IN_A_GRAPH)
    try:
        checks.check_fit(case, encoder)
        checks.check_pretrain(case, encoder)
    finally:
        tf.config.run_functions_eagerly(False)
    # A file holds the same config as a preset; `python -m tests.models.zoo.table` reads both.
    check = checks.check_reload if case.package == "keras" else checks.check_preset
    check(case, encoder, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", LARGE, ids=identifier)
def test_what_only_large_applications_have(case):
    model = checks.build(case)
    checks.check_map(case, model, CommonRationaleEncoder.from_backbone(model, seed=0))


def test_every_family_is_tested():
    built = {case.name.lower().replace(" ", "") for case in KERAS_HUB}
    known = {name.removesuffix("Backbone").removesuffix("VisionEncoder") for name in KNOWN_FAMILIES}
    assert {name.lower().removesuffix("transformer") for name in known} == built
    inside = {"EfficientNet"}  # has its preprocessing inside, always
    assert len({case.name for case in (*APPLICATIONS, *LARGE)} - inside) == len(KNOWN_APPLICATIONS)


@needs_hub
@pytest.mark.parametrize("kind", ["ViTBackbone", "DINOV3Backbone"])
def test_images_that_are_not_square(kind):
    import keras_hub

    options = {"patch_size": 14, "num_layers": 1, "num_heads": 2, "hidden_dim": 8}
    options |= {"mlp_dim": 16} if kind == "ViTBackbone" else {"intermediate_dim": 16}
    model = getattr(keras_hub.models, kind)(image_shape=(28, 56, 3), **options)
    encoder = CommonRationaleEncoder.from_backbone(model, seed=0)
    wide = images(2, 56)[:, :28]
    normalized = adapt_backbone(model).get_layer("normalize_images")(wide)
    tokens = model(normalized if kind == "ViTBackbone" else {"pixel_values": normalized})
    skip = 1 if kind == "ViTBackbone" else 5
    expected = np.asarray(tokens)[:, skip:].reshape(2, 2, 4, 8)
    np.testing.assert_allclose(encoder.encode(wide)["feature_map"], expected, atol=1e-5)
    np.testing.assert_allclose(encoder.predict(wide, verbose=0), encoder(wide), atol=1e-5)


@needs_hub
def test_dinov2_of_another_size_is_kerashub_s_own(tmp_path):
    import keras_hub

    case = next(case for case in KERAS_HUB if case.name == "DINOv2")
    model = checks.build(case)
    model.save_to_preset(str(tmp_path))
    larger = keras_hub.models.Backbone.from_preset(str(tmp_path), image_shape=(84, 84, 3))
    encoder = CommonRationaleEncoder.from_backbone(model, image_size=84)
    shown = images(2, 88, seed=1)[:, :84, :84]
    expected = np.asarray(larger({"images": case.preprocess(shown)}))[:, 4:].reshape(2, 6, 6, 16)
    np.testing.assert_allclose(encoder.feature_map(shown), expected, atol=1e-5)
    assert model.image_shape == (56, 56, 3)  # the one that was given is left alone


@needs_hub
def test_trained_position_embeddings_of_dinov2_are_saved(tmp_path):
    case = next(case for case in KERAS_HUB if case.name == "DINOv2")
    encoder = CommonRationaleEncoder.from_backbone(checks.build(case), seed=0)
    embedding = encoder.backbone.backbone.embeddings
    change = np.random.default_rng(1).normal(
        -1, 1, embedding.interpolated_position_embeddings.shape
    )
    embedding.interpolated_position_embeddings.assign_add(change)
    checks.check_reload(case, encoder, tmp_path)


@needs_hub
@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("ViT", 84, r"must be \(56, 56\) for 'vi_t_backbone.*were learnt for that size"),
        ("SigLIP", 84, r"must be \(56, 56\) for 'sig_lip.*were learnt for that size"),
        ("CLIP", (28, 56), r"that CLIPVisionEncoder can be built for.*\(28, 56\)"),
        ("DINOv2", 60, r"in multiples of \(14, 14\) pixels.*Received: \(60, 60\)"),
        ("DINOv3", 60, r"in multiples of \(14, 14\) pixels.*Received: \(60, 60\)"),
    ],
)
def test_a_size_that_a_transformer_can_t_take_is_refused(name, size, message):
    model = next(case for case in KERAS_HUB if case.name == name).build()
    with pytest.raises(ValueError, match=message):
        adapt_backbone(model, image_size=size)


def test_images_of_another_size_than_the_backbone_s_are_refused():
    backbone = tiny_backbone(32)
    with pytest.raises(
        ValueError, match=r"must be \(32, 32\) for 'tiny'.*input_shape=\(64, 64, 3\)"
    ):
        adapt_backbone(backbone, image_size=64)
    encoder = CommonRationaleEncoder.from_backbone(backbone)
    assert encoder.image_size == (32, 32)
    for see in (encoder, encoder.encode, lambda x: encoder.predict(x, verbose=0)):
        with pytest.raises(ValueError, match=r"must be of \(32, 32\) pixels.*Received: \(64, 64\)"):
            see(images(2, 64))
    shown = tf.function(encoder, input_signature=[tf.TensorSpec((None, None, None, 3))])
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be of"):
        shown(images(2, 64))
    np.testing.assert_allclose(shown(images(2, 32)), encoder(images(2, 32)), atol=1e-6)


def test_a_backbone_that_is_one_already_is_returned():
    backbone = tiny_backbone()
    assert adapt_backbone(backbone) is backbone
    assert adapt_backbone(backbone, image_size=64) is backbone
    inside = keras.Sequential([keras.Input((32, 32, 3)), keras.Sequential(backbone.layers)])
    assert adapt_backbone(inside) is inside


@pytest.mark.parametrize(
    ("normalization", "expected"),
    [
        ("0..1", lambda x: x / 255),
        ("-1..1", lambda x: x / 127.5 - 1),
        ("caffe", lambda x: x[..., ::-1] - [103.939, 116.779, 123.68]),
        ((1 / 128, -1), lambda x: x / 128 - 1),
        (([1, 2, 3], [0, 1, 2]), lambda x: x * [1, 2, 3] + [0, 1, 2]),
    ],
    ids=["0..1", "-1..1", "caffe", "numbers", "channels"],
)
def test_a_normalization_that_is_given(normalization, expected):
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.ReLU()])
    model.layers[0].trainable = False
    backbone = adapt_backbone(model, normalization=normalization)
    x = images(2, 16)
    np.testing.assert_allclose(backbone(x), np.maximum(expected(x), 0), atol=1e-3)
    assert not backbone.backbone.layers[0].trainable
    again = AdaptedBackbone.from_config(backbone.get_config())
    np.testing.assert_allclose(again(x), backbone(x))
    assert adapt_backbone(again) is again or np.allclose(adapt_backbone(again)(x), backbone(x))


def test_a_layer_s_output_as_the_map():
    backbone = tiny_backbone()
    level = backbone.layers[3].name
    found = adapt_backbone(backbone, level=level)
    assert found.output_shape == (None, None, None, 4)
    expected = keras.Model(backbone.inputs, backbone.get_layer(level).output)
    np.testing.assert_allclose(found(images()), expected(images()))
    with pytest.raises(ValueError, match="`level` must be the name of a layer of 'tiny'"):
        adapt_backbone(backbone, level="P4")


@needs_hub
def test_levels_of_a_pyramid():
    model = next(case for case in KERAS_HUB if case.name == "ResNet").build()
    found = adapt_backbone(model, level="P2")
    x = images(2, 64)
    pyramid = keras.Model(model.inputs, model.pyramid_outputs)
    expected = pyramid(found.get_layer("normalize_images")(x))["P2"]
    np.testing.assert_allclose(found(x), expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"`level` must be one of \['P2', 'P3'\]"):
        adapt_backbone(model, level="P9")


@needs_hub
def test_models_that_have_a_backbone():
    import keras_hub

    case = next(case for case in KERAS_HUB if case.name == "ResNet")
    backbone = case.build()
    converter = keras_hub.layers.ResNetImageConverter(scale=0.5, offset=[1.0, 2.0, 3.0])
    preprocessor = keras_hub.models.ResNetImageClassifierPreprocessor(converter)
    classifier = keras_hub.models.ResNetImageClassifier(
        backbone=backbone, num_classes=2, preprocessor=preprocessor
    )
    x = images(2, 64)
    np.testing.assert_allclose(
        adapt_backbone(classifier)(x), backbone(converter(x)), rtol=1e-4, atol=1e-3
    )


@needs_hub
def test_models_whose_images_are_not_known():
    import keras_hub

    class Own(keras_hub.models.Backbone):
        def __init__(self):
            x = keras.Input((None, None, 3))
            super().__init__(x, keras.layers.ReLU()(x))

    with pytest.raises(ValueError, match="`normalization` must be given for this model"):
        adapt_backbone(Own())
    assert adapt_backbone(Own(), normalization="0..1").output_shape == (None, None, None, 3)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("resnet50", "`model` must be a Keras model.*from_backbone takes names"),
        (
            keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Reshape((64, 3))]),
            r"must end in a 4-D feature map, or in the tokens.*\(None, 64, 3\)",
        ),
        (
            keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)]),
            r"with one input, images \(B, H, W, 3\)",
        ),
    ],
)
def test_what_is_no_backbone_is_refused(model, message):
    with pytest.raises(ValueError, match=message):
        adapt_backbone(model)
    with pytest.raises(ValueError, match="`normalization` must be 'auto', one of 'none'"):
        adapt_backbone(tiny_backbone(), normalization="torch")


def test_without_its_preprocessing_efficientnet_v2_is_asked_for_it():
    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, name="stem_conv")(images)
    model = keras.Model(images, keras.layers.Conv2D(4, 3, name="block1a_project_conv")(x))
    with pytest.raises(ValueError, match="`normalization` must be given"):
        adapt_backbone(model)
