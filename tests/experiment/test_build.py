"""The encoder and the rationale that settings describe."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from huggingface_hub import HfApi

from keras_cr.conversion.convert import torchvision_names
from keras_cr.data import synthetic_birds
from keras_cr.experiment import Settings
from keras_cr.experiment.build import (
    backbone_lr_multiplier,
    backbone_name,
    build_encoder,
    build_optimizer,
    build_pretrainer,
    build_rationale,
    decided,
)
from keras_cr.models import ResNet, SqueezeNet
from keras_cr.optimizers import LARS, AdamW
from keras_cr.presets import PresetError
from keras_cr.pretraining import Neighbours, Rationale
from tests.case import images, tiny_encoder
from tests.conversion.libraries import EVERY, IMAGES, stored


def rationale(num_images=400, **changes):
    return build_rationale(Settings(**changes), num_images)


def test_options_change_what_the_rationale_names():
    paper = rationale(rationale="paper", rationale_options={"temperature": "0.2", "sign": 1})
    assert paper == dataclasses.replace(Rationale.paper(), temperature=0.2, sign=1)
    reference = rationale(rationale="reference", rationale_options={"weight": 1})
    assert reference == dataclasses.replace(Rationale.reference(), weight=1.0)
    assert rationale(rationale="off") is None


def test_the_reference_is_that_of_the_objective():
    byol = {"rationale": "reference", "objective": "byol"}
    assert rationale(**byol) == Rationale.reference("byol")
    changed = rationale(**byol, rationale_options={"weight": 1})
    assert changed == dataclasses.replace(Rationale.reference("byol"), weight=1.0)
    assert rationale(rationale="reference", objective="simclr") == Rationale.reference()
    assert not Settings(**byol).refits


def test_the_data_bound_what_was_not_named():
    assert rationale() == Rationale(Neighbours(bank_size=256, images="views"))
    assert rationale(12) == Rationale(Neighbours(k=5, bank_size=11, images="views"))
    expected = Rationale(Neighbours(k=5, bank_size=11, images="views"), prior="none")
    assert rationale(12, rationale_options={"prior": "none"}) == expected
    named = rationale(12, rationale_options={"k": 3, "bank_size": 64})
    assert (named.positives.k, named.positives.bank_size) == (3, 64)
    wide = rationale(40, rationale_options={"k": 19})
    assert (wide.positives.k, wide.positives.bank_size) == (19, 39)
    back = rationale(12, rationale="paper", rationale_options={"positives": "neighbours"})
    assert (back.positives.k, back.positives.bank_size) == (5, 11)


def test_what_the_data_or_a_frozen_backbone_lack_is_refused():
    with pytest.raises(ValueError, match="k must be below half.*images, 12. Received: k=6"):
        rationale(12, rationale_options={"k": 6})
    with pytest.raises(ValueError, match="frozen.*Received: Views"):
        rationale(epochs=0, rationale_options={"positives": "views"})
    assert rationale(epochs=0, rationale="paper") == Rationale.paper(), "left unfitted"


def test_a_step_looks_at_whole_images_where_nothing_else_does():
    """The branch is fitted to them afterwards, unless it is to stay as the steps left it."""
    assert not rationale(40).whole_images
    assert rationale(40, refit="off").whole_images
    assert rationale(40, rationale_options={"images": "whole"}).whole_images
    assert rationale(40, rationale_options={"mirror": True}).whole_images


def optimizer(**changes):
    return build_optimizer(Settings(**{"epochs": 10, "batch_size": 8} | changes), 80)


def rates(optimizer):
    """The learning rate after some epochs of the ten, each of ten steps."""
    found = []
    for step in (0, 10, 20, 60, 99):
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    return found


def test_the_optimizer_and_its_schedules():
    plain = rates(optimizer(learning_rate=0.4))
    cosine = [0.2 * (1 + np.cos(np.pi * step / 100)) for step in (0, 10, 20, 60, 99)]
    np.testing.assert_allclose(plain, cosine, rtol=1e-4)
    warm = rates(optimizer(learning_rate=0.4, warmup_epochs=2, optimizer="lars"))
    cosine = [0.2 * (1 + np.cos(np.pi * step / 80)) for step in (0, 40, 79)]
    np.testing.assert_allclose(warm, [0, 0.2, *cosine], rtol=1e-3)
    for name, kind in (("sgd", keras.optimizers.SGD), ("adamw", keras.optimizers.AdamW)):
        made = optimizer(optimizer=name)
        assert (type(made), made.weight_decay, made.global_clipnorm) == (kind, 1e-4, 5.0)
    assert optimizer(optimizer="lars").global_clipnorm is None


def test_a_pretrained_backbone_learns_slower_unless_its_weights_are_normalised():
    """SGD hardly turns long weights under batch normalisation; Adam and LARS turn any."""
    normalized, plain = tiny_encoder().backbone, SqueezeNet()
    frozen = tiny_encoder().backbone
    frozen.trainable = False
    for backbone, changed, expected in (
        (normalized, {"init": "none"}, 1),
        (plain, {"init": "none"}, 1),
        (normalized, {}, 1),
        (plain, {}, 0.1),
        (frozen, {}, 0.1),
        (normalized, {"optimizer": "adamw"}, 0.1),
        (normalized, {"optimizer": "lars"}, 0.1),
        (normalized, {"backbone_lr_multiplier": 0.3}, 0.3),
        (plain, {"backbone_lr_multiplier": 0}, 0),
    ):
        settings = Settings(**{"init": "imagenet"} | changed)
        assert backbone_lr_multiplier(settings, backbone) == expected, (backbone.name, changed)
    birds = synthetic_birds(2, 4, 1, image_size=32)
    settings = Settings(init="imagenet", batch_size=4, image_size=32)
    assert build_pretrainer(settings, tiny_encoder(), birds).backbone_lr_multiplier == 1


@pytest.mark.parametrize("options", [None, {"queue_size": 12, "hidden_dim": 7}])
def test_what_settings_leave_open_is_told_as_the_pretrainer_has_it(options):
    birds = synthetic_birds(2, 4, 1, image_size=32)
    settings = Settings(batch_size=4, image_size=32, epochs=3, objective_options=options)
    encoder = tiny_encoder()
    found = decided(settings, encoder, len(birds))
    config = build_pretrainer(settings, encoder, birds).get_config()
    assert found.pop("num_detectors") == encoder.branch.num_detectors
    assert found.pop("backbone_lr_multiplier") == config["backbone_lr_multiplier"]
    assert found.pop("objective_options").items() <= config.items()
    assert found.pop("rationale_options") == build_rationale(settings, len(birds)).get_config()
    assert found == {"backbone": encoder.backbone.name, "pooling": encoder.pooling}
    plain = decided(Settings(epochs=0, rationale="off"), encoder, len(birds))
    assert plain.keys() == {"backbone", "num_detectors", "pooling"}


@pytest.mark.parametrize("name", ["cut", "crop_share", "weight", "bank_size", "images"])
def test_what_plays_no_part_without_training_is_refused(name):
    value = {"cut": "mask", "images": "whole", "bank_size": 64}.get(name, 1)
    with pytest.raises(ValueError, match=f"`{name}` has no effect where only the branch"):
        rationale(epochs=0, rationale_options={"k": 2, name: value})
    assert rationale(epochs=0, rationale_options={"foregrounds": "off"}).foregrounds is None


@pytest.mark.parametrize(("name", "kind"), [("adamw", AdamW), ("lars", LARS)])
def test_the_weight_decay_goes_to_its_final_value(name, kind):
    made = optimizer(optimizer=name, weight_decay=0.04, final_weight_decay=0.4)
    assert type(made) is kind
    found = []
    for step in (0, 50, 100):
        made.iterations.assign(step)
        found.append(float(made.weight_decay))
    np.testing.assert_allclose(found, [0.04, 0.22, 0.4], rtol=1e-5)
    falling = optimizer(optimizer=name, weight_decay=0.04, final_weight_decay=0.0)
    falling.iterations.assign(100)
    assert float(falling.weight_decay) == pytest.approx(0, abs=1e-8)


def test_what_a_rationale_marks_is_pooled_by_a_vocabulary():
    for changed, expected in (
        ({}, "rationale_vlad"),
        ({"epochs": 0}, "rationale_vlad"),
        ({"rationale": "reference"}, "rationale"),
        ({"rationale": "paper"}, "rationale"),
        ({"rationale": "off"}, "average"),
        ({"pooling": "rationale"}, "rationale"),
        ({"rationale": "off", "pooling": "average"}, "average"),
    ):
        made = build_encoder(Settings(backbone="squeezenet", image_size=64, **changed))
        assert made.pooling == expected, changed
    with pytest.raises(ValueError, match="`pooling` must be auto or one of rationale"):
        Settings(pooling="max")
    with pytest.raises(ValueError, match="`pooling` must be auto or average with rationale='off'"):
        Settings(rationale="off", pooling="rationale_max")


def test_a_finer_map_keeps_what_a_preset_has_learnt(tmp_path):
    encoder = tiny_encoder(image_size=32)
    encoder.save_to_preset(tmp_path / "preset")
    shared = {"init": str(tmp_path / "preset"), "image_size": 32, "pooling": "rationale"}
    finer = build_encoder(Settings(**shared, output_stride=4))
    assert finer.encode(images(1))["feature_map"].shape == (1, 8, 8, 8)
    for old, new in zip(encoder.weights, finer.weights, strict=True):
        np.testing.assert_array_equal(new, old)
    assert (finer.pooling, finer.image_size) == (encoder.pooling, (32, 32))
    named = build_encoder(Settings(backbone="resnet18", image_size=64, output_stride=16))
    assert named.encode(images(1, 64))["feature_map"].shape == (1, 4, 4, 512)
    with pytest.raises(ValueError, match="own, 8 of .*=16; `output_stride` none leaves it"):
        build_encoder(Settings(**shared, output_stride=16))
    with pytest.raises(ValueError, match="`output_stride` must be one of .4, 8, 16.. Received: 5"):
        Settings(output_stride=5)


def test_a_preset_keeps_its_branch_unless_another_is_asked_for(tmp_path):
    encoder = tiny_encoder(num_detectors=2, pooling="average")
    encoder.save_to_preset(tmp_path / "preset")
    init = {"init": str(tmp_path / "preset"), "image_size": 32}
    same = build_encoder(Settings(**init, num_detectors=2))
    np.testing.assert_array_equal(same.branch.detectors.kernel, encoder.branch.detectors.kernel)
    assert same.pooling == "rationale_vlad", "it has a rationale now"
    assert build_encoder(Settings(**init, rationale="off")).pooling == "average"
    assert build_encoder(Settings(**init, pooling="concat")).pooling == "concat"
    wider = build_encoder(Settings(**init, num_detectors=4, epochs=0))
    assert (wider.num_detectors, wider.pooling) == (4, "rationale_vlad")
    for old, new in zip(encoder.backbone.weights, wider.backbone.weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_checkpoint_of_another_framework(tmp_path):
    trained = ResNet((1, 1), bottleneck=False, width=8, seed=3)
    tensors = {}
    for name, variable in torchvision_names(trained).items():
        value = np.asarray(variable)
        tensors[name] = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
    np.savez(tmp_path / "moco.npz", **tensors)
    settings = Settings(init=str(tmp_path / "moco.npz"), image_size=64)
    encoder = build_encoder(settings)
    assert (encoder.pooling, encoder.num_detectors) == ("rationale_vlad", 1)
    for ours, its in zip(encoder.backbone.weights, trained.weights, strict=True):
        np.testing.assert_array_equal(ours, its)
    assert backbone_name(settings) == "moco"


def test_a_checkpoint_of_timm_on_the_hub(hub, tmp_path):
    save_file = pytest.importorskip("safetensors.numpy").save_file
    tensors, expected = stored("timm ConvNeXt")
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "convnext_tiny"}))
    api = HfApi(token="hf_writer")
    for repo, names in {"convnext": ("config.json", "model.safetensors"), "empty": ()}.items():
        api.create_repo(f"org/{repo}")
        for name in ("config.json", *names):
            file = tmp_path / name
            api.upload_file(path_or_fileobj=file, path_in_repo=name, repo_id=f"org/{repo}")
    encoder = build_encoder(Settings(init="hf://org/convnext", image_size=64))
    found = np.asarray(encoder.feature_map(IMAGES)).ravel()[::EVERY]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert (encoder.pooling, encoder.num_detectors) == ("rationale_vlad", 1)
    with pytest.raises(PresetError, match="neither a preset .* nor a model that KerasHub reads"):
        build_encoder(Settings(init="hf://org/empty", image_size=64))


def test_what_the_backbone_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_encoder().save_to_preset(tmp_path / "run" / "preset")
    for folder in ("imagenet", "none", "dinov2_tiny"):  # a set of images, and a backbone
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text("{}")
    for init, expected in {
        "imagenet": "resnet18",
        "none": "resnet18",
        "run/preset": tiny_encoder().backbone.name,
        "demo_squeezenet": "squeezenet",
        "cub_resnet50": "resnet18",  # which is on no machine: there is nothing to read
        "./dinov2_tiny": "dinov2_tiny",
        "hf://org/Tiny-ViT@v1": "tiny-vit",
        "networks/tiny.keras": "tiny",
    }.items():
        assert backbone_name(Settings(init=init, backbone="resnet18")) == expected, init
