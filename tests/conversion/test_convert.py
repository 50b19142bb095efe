"""Other people's ResNets become encoders, whatever stands around them in the file."""

import hashlib

import keras
import numpy as np
import pytest

from keras_cr import CommonRationaleEncoder
from keras_cr.conversion.convert import (
    convert_checkpoint,
    from_keras_resnet50,
    load_torchvision_weights,
    torchvision_names,
)
from keras_cr.models import ResNet, resnet18, resnet50
from keras_cr.presets import CheckpointError, hub, load_preset

WIDTH = 8


def small(seed=None):
    return ResNet((1, 2), bottleneck=False, width=WIDTH, seed=seed)


@pytest.fixture(scope="module")
def weights():
    """A small ResNet's tensors by torchvision's names, and what its classifier adds."""
    rng = np.random.default_rng(0)
    shapes = {name: tuple(v.shape) for name, v in torchvision_names(small(0)).items()}
    drawn = {
        name: rng.uniform(0.5, 1, (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape)
        for name, shape in shapes.items()
    }
    drawn = {name: value.astype("float32") for name, value in drawn.items()}
    counted = {"bn1.num_batches_tracked": np.array(5)}
    return drawn | counted | {"fc.weight": np.zeros((10, 16)), "fc.bias": np.zeros(10)}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).uniform(0, 255, (2, 48, 48, 3)).astype("float32")


@pytest.fixture(scope="module")
def expected(weights, images):
    backbone = small()
    load_torchvision_weights(backbone, weights)
    return np.asarray(CommonRationaleEncoder(backbone, 1, pooling="average")(images))


def under(prefix, weights):
    return {f"{prefix}{name}": value for name, value in weights.items()}


def numbered(weights):
    """As `nn.Sequential(*list(resnet.children())[:-1])` names them."""
    places = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5}
    split = [(name.split(".", 1), value) for name, value in weights.items()]
    return {f"{places[first]}.{rest}": v for (first, rest), v in split if first in places}


def moco(weights):
    momentum = {name: -value for name, value in weights.items()}
    heads = {
        "fc.0.weight": np.ones((4, 4)),
        "fc.0.bias": np.ones(4),
        "fc.2.weight": np.ones((2, 4)),
    }
    own = {name: value for name, value in weights.items() if "fc." not in name} | heads
    rest = {"queue": np.ones((2, 9)), "queue_ptr": np.array([3])}
    return under("encoder_q.", own) | under("encoder_k.", momentum) | rest


LAYOUTS = {
    "torchvision": lambda weights: weights,
    "MoCo": moco,
    "MoCo under DataParallel": lambda weights: under("module.", moco(weights)),
    "SimSiam": lambda weights: (
        under("module.encoder.", weights) | {"module.predictor.0.weight": np.ones((2, 2))}
    ),
    "MoCo v3": lambda weights: (
        under("module.base_encoder.", weights) | under("module.momentum_encoder.", weights)
    ),
    "lightly": lambda weights: (
        under("backbone.", numbered(weights))
        | under("backbone_momentum.", numbered(weights))
        | {"projection_head.layers.0.weight": np.ones((2, 2))}
    ),
    "BYOL": lambda weights: (
        under("online_network.encoder.", numbered(weights))
        | under("target_network.encoder.", numbered(weights))
        | {"online_network.projetion.net.0.weight": np.ones((2, 2))}
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(weights, images, expected, layout):
    tensors = LAYOUTS[layout](weights)
    converted = convert_checkpoint(tensors)
    assert converted.encoder.pooling == "average"
    np.testing.assert_allclose(converted.encoder(images), expected, atol=1e-5)
    assert len(converted.used) == len(torchvision_names(small()))
    assert len(converted.used) + len(converted.passed_over) == len(tensors)
    assert not any("_k." in name or "momentum" in name for name in converted.used)


def branch_of(channels=4):
    rng = np.random.default_rng(2)
    branch = {"conv16.weight": rng.standard_normal((channels, 16, 1, 1)).astype("float32")}
    for name in ("weight", "bias", "running_mean", "running_var"):
        branch[f"bn16.{name}"] = rng.uniform(0.5, 1, channels).astype("float32")
    return branch | {"bn16.num_batches_tracked": np.array(5)}


def extra(*names):
    return dict.fromkeys(names, np.ones((2, 2)))


def without_classifier(weights):
    return {name: value for name, value in weights.items() if "fc." not in name}


RELEASE = {
    "MoCo": lambda weights: under(
        "module.",
        moco(weights)
        | branch_of()
        | extra("queue_max", "queue_ptr_max", "conv16_2.weight", "bn16_2.running_var")
        | extra("fc.weight", "fc.bias", "qmax.0.weight", "qmax.2.bias", "kmax.0.weight"),
    ),
    "BYOL": lambda weights: (
        under("backbone.", without_classifier(weights))
        | extra("projector.layer1.0.weight", "projector.layer2.bias")
        | under("online_encoder.0.", without_classifier(weights))  # the same module once more
        | extra("online_encoder.1.layer1.0.weight", "target_encoder.1.layer2.weight")
        | under("target_encoder.0.", {n: -v for n, v in without_classifier(weights).items()})
        | extra("online_predictor.layer1.1.running_mean")
        | branch_of()
    ),
}


@pytest.mark.parametrize("form", RELEASE)
def test_the_releases_files(weights, images, form):
    tensors = RELEASE[form](weights)
    converted = convert_checkpoint(tensors)
    assert len(converted.used) == len(torchvision_names(small())) + 5
    assert len(converted.used) + len(converted.passed_over) == len(tensors)
    encoder = converted.encoder
    assert (encoder.num_detectors, encoder.pooling) == (4, "rationale")
    trained = small()
    load_torchvision_weights(trained, weights)
    expected = trained(images)
    if form == "BYOL":  # its forward goes from the first ReLU to layer1
        assert "without max pooling" in converted.layout
        stem = keras.Model(trained.input, trained.get_layer("relu").output)
        blocks = keras.Model(trained.get_layer("maxpool").output, trained.output)
        expected = blocks(stem(images))
        with_pool = convert_checkpoint(tensors, max_pool=True).encoder
        np.testing.assert_allclose(with_pool.feature_map(images), trained(images), rtol=1e-4)
    np.testing.assert_allclose(encoder.feature_map(images), expected, rtol=1e-4)


@pytest.mark.parametrize("prefix", ["encoder_q.", "module.encoder_q."])
@pytest.mark.parametrize("inside", [True, False])
def test_the_releases_branch(weights, images, prefix, inside):
    branch = branch_of()
    outside = prefix.removesuffix("encoder_q.")
    tensors = under(prefix, weights) | under(prefix if inside else outside, branch)
    encoder = convert_checkpoint(tensors).encoder
    assert (encoder.num_detectors, encoder.pooling) == (4, "rationale")
    seen = encoder.encode(images)
    scores = np.einsum("bhwc,kc->bhwk", seen["feature_map"], branch["conv16.weight"][:, :, 0, 0])
    scale = branch["bn16.weight"] / np.sqrt(branch["bn16.running_var"] + 1e-5)
    scores = (scores - branch["bn16.running_mean"]) * scale + branch["bn16.bias"]
    np.testing.assert_allclose(seen["detections"], scores, rtol=1e-3, atol=1e-3)


def test_a_file_becomes_a_preset(weights, images, expected, tmp_path):
    np.savez(tmp_path / "resnet.npz", **weights)
    converted = convert_checkpoint(tmp_path / "resnet.npz", image_size=48)
    content = (tmp_path / "resnet.npz").read_bytes()
    assert converted.origin == {
        "converted_from": "resnet.npz",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
    }
    loaded = load_preset(converted.encoder.save_to_preset(tmp_path / "preset"))
    np.testing.assert_allclose(loaded(images), expected, atol=1e-5)
    assert loaded.image_size == (48, 48)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w | {"layer2.0.se.weight": np.ones(3)}, "Unknown: layer2.0.se.weight"),
        (lambda w: w | {"layer2.0.se.fc1.weight": np.ones(3)}, "Unknown: layer2.0.se.fc1.weight"),
        (lambda w: w | {"layer2.0.bn1.bias": np.ones(3)}, r"layer2.0.bn1.bias: expected \(16,\)"),
        (lambda w: {n: v for n, v in w.items() if n != "bn1.bias"}, "Missing: bn1.bias"),
        (lambda w: under("net.", w) | {"odd.weight": np.ones(3)}, "Tensors outside of 'net.'.*odd"),
        (
            lambda w: under("a.", w) | under("b.", {n: 2 * v for n, v in w.items()}),
            "Several networks; choose one.*a., b.",
        ),
        (lambda w: {"conv1.weight": np.ones((8, 1, 3, 3))}, "No network that is known"),
        (lambda w: under("a.", w) | under("b.", w | {"bn1.bias": w["bn1.bias"] + 1}), "Several"),
        (lambda w: {n: v for n, v in w.items() if n[:5] != "layer"}, r"its stages are \[\]"),
        (lambda w: w | {"conv16.weight": np.ones((4, 16, 1, 1))}, "A rationale branch has"),
    ],
)
def test_what_does_not_fit_is_listed(weights, change, message):
    with pytest.raises(CheckpointError, match=message):
        convert_checkpoint(change(weights))


def test_one_of_several(weights, images, expected):
    other = {name: value * 2 for name, value in weights.items()}
    tensors = under("module.target_a.", weights) | under("module.b.", other)
    for prefix in ("target_a.", "module.target_a"):
        converted = convert_checkpoint(tensors, prefix=prefix)
        np.testing.assert_allclose(converted.encoder(images), expected, atol=1e-5)
    assert len(converted.passed_over) == len(other) + 3
    with pytest.raises(CheckpointError, match=r"prefix: .*'b.', 'target_a.'; received 'c'"):
        convert_checkpoint(tensors, prefix="c")


def test_of_the_hub_the_commit_is_kept(weights, images, expected, tmp_path, monkeypatch):
    save_file = pytest.importorskip("safetensors.numpy").save_file
    commit = tmp_path / ("c0ffee" + 34 * "0")
    commit.mkdir()
    save_file(weights, commit / "model.safetensors")
    asked = []

    def fetch(*args, **options):
        asked.append((*args, options))
        return commit

    monkeypatch.setattr(hub, "fetch", fetch)
    converted = convert_checkpoint("hf://timm/small.in1k@v1", token="secret")
    files = ("model.safetensors", "config.json", "preprocessor_config.json")
    assert asked == [("timm/small.in1k", "v1", files, {"token": "secret"})]
    assert converted.origin["converted_from"] == f"hf://timm/small.in1k@{commit.name}"
    np.testing.assert_allclose(converted.encoder(images), expected, atol=1e-5)
    (commit / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"has no model.safetensors; download its file"):
        convert_checkpoint("hf://timm/small.in1k")


@pytest.mark.parametrize("build", [resnet18, pytest.param(resnet50, marks=pytest.mark.slow)])
def test_sizes_that_have_a_name_get_it(build):
    network = build(seed=0)
    tensors = {}
    for name, variable in torchvision_names(network).items():
        shape = tuple(variable.shape)
        shape = (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape
        tensors[name] = np.broadcast_to(np.float32(1), shape)
    backbone = convert_checkpoint(tensors).encoder.backbone
    assert backbone.name == network.name
    assert backbone.count_params() == network.count_params()


@pytest.mark.slow
def test_keras_resnet50(tmp_path):
    application = keras.applications.ResNet50(include_top=False, weights=None)
    encoder = from_keras_resnet50(application, image_size=64).encoder
    images = np.random.default_rng(1).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    prepared = keras.applications.resnet.preprocess_input(images.copy())
    np.testing.assert_allclose(
        encoder.feature_map(images), application(prepared, training=False), rtol=1e-3, atol=1e-3
    )
    loaded = load_preset(encoder.save_to_preset(tmp_path / "preset"))
    np.testing.assert_allclose(loaded(images), encoder(images), atol=1e-5)
    with pytest.raises(CheckpointError, match="include_top=False"):
        from_keras_resnet50(encoder.backbone)


def test_keras_resnet_v2_is_another_network():
    inputs = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(2, 1, name="conv1_conv")(inputs)
    x = keras.layers.BatchNormalization(name="post_bn")(x)
    v2 = keras.Model(inputs, keras.layers.ReLU(name="conv5_block3_out")(x))
    with pytest.raises(CheckpointError, match="not a V2"):
        from_keras_resnet50(v2)
