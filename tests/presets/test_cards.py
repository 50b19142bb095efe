"""Every card follows the schema, and says only what is so."""

import copy
import os
import pathlib

import pytest
import yaml

from keras_cr import CommonRationaleEncoder
from keras_cr.models import ConvNeXt
from keras_cr.presets import (
    CardError,
    UnknownPresetError,
    card,
    cards,
    list_presets,
    registry,
    validate_card,
)
from keras_cr.presets.manifest import FILES

PATHS = sorted(registry.cards_folder().glob("*.yaml"))
ROOT = pathlib.Path(__file__).parents[2]
PINS = {
    "repo": "org/name",
    "commit": "a" * 40,
    "files": {name: {"sha256": "b" * 64, "size": 3} for name in FILES},
}


@pytest.fixture
def content():
    return yaml.safe_load((registry.cards_folder() / "cub_resnet50.yaml").read_text())


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_card(path):
    entry = card(path.stem)
    assert entry.name == path.stem
    assert entry.backbone in entry.recipe["command"]
    assert (ROOT / entry.recipe["command"].split()[1]).is_file()


def test_parameters_of_cards():
    """Where the network has a class of this package; KerasHub's are counted in its own test."""

    def of(backbone):  # as recipes make it
        pooled = {"num_detectors": 1, "pooling": "rationale_vlad"}
        return CommonRationaleEncoder(backbone, **pooled).count_params()

    count = {"resnet50": of("resnet50"), "convnext_tiny": of(ConvNeXt())}
    counted = [entry for entry in cards().values() if entry.backbone in count]
    assert len(counted) == 6
    assert all(entry.parameters == count[entry.backbone] for entry in counted)


def test_cards():
    sizes = {name: (c.data["train"], c.data["test"]) for name, c in cards().items()}
    assert sizes["cub_resnet50"] == (5994, 5794)
    assert sizes["cars_resnet50"] == (8144, 8041)
    assert sizes["aircraft_resnet50"] == (6667, 3333)
    assert not any(info.published or info.stored for info in list_presets())
    with pytest.raises(UnknownPresetError, match="did you mean 'cars_resnet50'"):
        card("car_resnet50")
    with pytest.raises(UnknownPresetError):
        card("../weights_card/cub_resnet50")


def test_pinned(content):
    validate_card(content | PINS)
    assert registry.Card(**content | PINS).pinned
    for field in PINS:
        with pytest.raises(CardError, match="pinned together or not at all"):
            validate_card(content | PINS | {field: content[field]})
    fewer = dict(list(PINS["files"].items())[:2])
    with pytest.raises(CardError, match="files must be exactly"):
        validate_card(content | PINS | {"files": fewer})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "No Name"),
        ("title", ""),
        ("backbone", None),
        ("data", "CUB"),
        ("data.classes", True),
        ("data.train", "5994"),
        ("data.url", "home page"),
        ("paper", "CVPR 2023"),
        ("recipe.command", "train_cub.py"),
        ("repo", "name"),
        ("commit", "main"),
        ("files", {"config.json": {"sha256": "0", "size": 1}}),
        ("metrics", {}),
        ("metrics", "very good"),
        ("licence", 2),
        ("date", "yesterday"),
        ("version", 0.1),
    ],
)
def test_a_wrong_field_is_named(content, field, value):
    wrong = copy.deepcopy(content)
    *parents, last = field.split(".")
    target = wrong[parents[0]] if parents else wrong
    target[last] = value
    with pytest.raises(CardError, match=f"field '{field}' must be"):
        validate_card(wrong)
    del target[last]
    with pytest.raises(CardError, match=f"field '{field}' is missing"):
        validate_card(wrong)


def test_unknown_field_and_no_mapping(content):
    with pytest.raises(CardError, match=r"there is no field 'data.size'"):
        validate_card(content | {"data": content["data"] | {"size": 3}})
    with pytest.raises(CardError, match="must be a mapping"):
        validate_card(None)


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "odd.yaml cannot be read"), (None, "name must be 'odd'")]
)
def test_a_card_that_cannot_be_read(monkeypatch, tmp_path, text, message):
    original = (registry.cards_folder() / "cub_resnet50.yaml").read_text()
    (tmp_path / "odd.yaml").write_text(original if text is None else text)
    monkeypatch.setattr(registry, "cards_folder", lambda: tmp_path)
    with pytest.raises(CardError, match=message):
        card("odd")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("limits: &all [1]", "must be text"),
        ("limits: *all", "an alias"),
        ("limits: !!python/name:os.system x", "a tag"),
        ("limits: !!int ''", "a tag"),
        ("name: odd", "the key 'name' stands twice"),
        ("recipe: {<<: {a: 1}}", "a key that is no word"),
        ("recipe: {[1]: 2}", "a key that is no word"),
        ("recipe: {command: x, 1: 2}", "the key 1 at 'recipe' is no text"),
        (f"limits: {'[' * 5000}", "more than 100 levels"),
        (f"limits: {'{a: ' * 5000}", "more than 100 levels"),
        (f"limits: {'x' * 40_000}", "more than 32768 bytes"),
        (f"date: 0x{'f' * 9000}", "more than 64 bits"),
        (f"date: {'9' * 9000}", "cannot be read"),
        ("date: 2025-01-31", "date at 'date' is no plain value; put it in quotes"),
        ("date: 2025-99-99", "cannot be read"),
        ("date: .inf", "a number at 'date' is inf"),
        ("date: 1.0e+999", "a number at 'date' is inf"),
        ("metrics: {protocol: {}, retrieval: [0.5]}", "field 'metrics' must be"),
        ("metrics: {protocol: {}, retrieval: {rank1: {rank1: [x]}}}", "field 'metrics' must be"),
        ("metrics: {protocol: {}, average_pooling: {knn: 0.5}}", "field 'metrics' must be"),
        ("files: {config.json: {sha256: x, size: 1, more: 2}}", "field 'files' must be"),
        ("limits: \x00", "cannot be read"),
    ],
)
def test_yaml_that_no_card_needs(tmp_path, line, told):
    original = (registry.cards_folder() / "cub_resnet50.yaml").read_text()
    field = line.split(":")[0]
    text = yaml.safe_load(original)
    if field != "name":
        del text[field]
    path = tmp_path / "cub_resnet50.yaml"
    path.write_text(yaml.safe_dump(text) + line + "\n")
    with pytest.raises(CardError, match=told) as caught:
        registry.read_card(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_card_that_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "odd.yaml")
    with pytest.raises(CardError, match="odd.yaml cannot be read: it is no regular file"):
        registry.read_card(tmp_path / "odd.yaml")
