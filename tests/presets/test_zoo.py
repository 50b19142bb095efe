"""The model page says what the cards say, and the file in the documentation is that page."""

import copy
import pathlib

import pytest
import yaml

from keras_cr.cli import main
from keras_cr.presets import CardError, PresetError, cards, registry, validate_card
from keras_cr.presets.manifest import FILES
from keras_cr.presets.zoo import COLUMNS, in_order, row, zoo_page

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "zoo.md"
ELSEWHERE = {
    "handle": "hf://org/dino",
    "commit": "a" * 40,
    "size": 86_600_000,
    "licence": "dinov3-license",
}


@pytest.fixture
def branch():
    """A card of a branch whose backbone lies elsewhere."""
    content = yaml.safe_load((registry.cards_folder() / "cub_resnet50.yaml").read_text())
    files = {name: {"sha256": "b" * 64, "size": 4000} for name in FILES}
    pins = {"name": "a_branch", "repo": "org/a", "commit": "c" * 40, "files": files}
    return content | pins | {"backbone_source": ELSEWHERE}


def test_the_file_in_the_documentation_is_what_is_generated(capsys, tmp_path):
    assert main(["presets", "list", "--markdown"]) == 0
    page = capsys.readouterr().out
    assert page == PAGE.read_text("utf-8"), "run: keras-cr presets list --markdown -o docs/zoo.md"


def test_every_card_has_a_row_and_numbers_only_where_some_were_measured():
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert [line.split("`")[1] for line in rows] == sorted(cards(own=False))
    for line, card in zip(rows, in_order(cards(own=False).values()), strict=True):
        assert ("| not measured |" in line) == (card.metrics == "not measured")
        assert ("not published |" in line) == (not card.files)
        assert f"| `{card.recipe['command']}` |" in line
        assert line.count(" | ") == len(COLUMNS) - 1


def test_sorted_by_any_column(branch, capsys):
    known = [*cards(own=False).values(), registry.Card(**branch)]
    assert [card.name for card in in_order(known, "size")][:2] == ["a_branch", "demo_squeezenet"]
    assert in_order(known, "metrics")[0].name == "demo_efficientnet_lite0"
    assert "sorted by data" in zoo_page(known, "data")
    with pytest.raises(PresetError, match="sort must be one of name, backbone, size"):
        zoo_page(known, "weight")
    assert main(["presets", "list", "--sort", "metrics"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.split()[:2] == ["demo_efficientnet_lite0", "package"]
    assert "(efficientnet_lite0; 7.2 MB; rank-1 96.0 %" in first


def test_a_branch_says_what_it_needs_beside_itself(branch):
    validate_card(branch)
    shown = row(registry.Card(**branch))
    assert shown["size"] == "12 kB + 86.6 MB backbone"
    assert shown["licence"].endswith("; backbone: dinov3-license")
    for field, value in (("commit", "main"), ("size", 0), ("licence", ""), ("handle", None)):
        wrong = copy.deepcopy(branch)
        wrong["backbone_source"][field] = value
        with pytest.raises(CardError, match=f"field 'backbone_source.{field}' must be"):
            validate_card(wrong)
