"""keras-cr presets, on the local store and on a Hub of the tests' own."""

import json

import pytest
import yaml

from keras_cr.cli import main
from keras_cr.presets import registry, save_preset, store_path
from tests.presets.tiny import tiny_encoder


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A local store with one preset, tiny_birds, and cards of the test's own."""
    monkeypatch.setenv("KERAS_CR_HOME", str(tmp_path / "home"))
    source = {"command": "python recipes/train_cub.py --epochs 1", "seed": 3, "config": {"k": 1}}
    metrics = {"retrieval": {"rank1": 0.5, "map": 0.25}, "protocol": {"dataset": "birds"}}
    folder = store_path("tiny_birds")
    return save_preset(tiny_encoder(), folder, source=source, metrics=metrics, licence="MIT")


def run(capsys, *argv):
    status = main(["presets", *map(str, argv)])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_list(store, capsys):
    status, out, _ = run(capsys, "list")
    assert status == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert "not published" in lines["cub_resnet50"]
    assert lines["tiny_birds"].split(maxsplit=2)[1:] == ["store", "(no card)"]
    rows = json.loads(run(capsys, "list", "--json")[1])
    row = next(row for row in rows if row["name"] == "tiny_birds")
    assert row["stored"] == str(store)
    assert {row["name"] for row in rows} == lines.keys()


def test_info(store, capsys):
    assert "command: python recipes/train_cub.py" in run(capsys, "info", "cub_resnet50")[1]
    found = json.loads(run(capsys, "info", "tiny_birds", "--json")[1])
    assert found["card"] is None
    assert found["preset"]["metrics"]["retrieval"]["map"] == 0.25
    assert run(capsys, "info", "tiny_bird")[2].startswith("keras-cr presets: error: No preset is")


def test_verify(store, capsys):
    status, out, _ = run(capsys, "verify", store)
    assert (status, "every file is as preset.json has it" in out) == (0, True)
    assert json.loads(run(capsys, "verify", "tiny_birds", "--json")[1])["ok"]
    with (store / "config.json").open("a") as file:
        file.write(" ")
    status, out, err = run(capsys, "verify", "tiny_birds")
    assert (status, out) == (1, "")
    assert "config.json is truncated or altered" in err


def test_published_registered_and_loaded_by_name(store, hub, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(registry, "own_cards_folder", lambda: tmp_path / "home" / "cards")
    argv = ("publish", "tiny_birds", "hf://org/birds", "--tag", "v1", "--token", "hf_writer")
    done = json.loads(run(capsys, *argv, "--json")[1])
    assert (done["handle"], done["changed"]) == ("hf://org/birds@v1", True)
    assert "is there already" in run(capsys, *argv)[1]
    status, out, _ = run(capsys, "register", "hf://org/birds@v1")
    assert (status, "from_preset('tiny_birds')" in out) == (0, True)
    card = yaml.safe_load((tmp_path / "home/cards/tiny_birds.yaml").read_text())
    assert card["commit"] == done["commit"]
    assert card["files"] == done["files"]
    assert card["recipe"]["seeds"] == [3]
    assert card["metrics"]["retrieval"] == {"rank1": 0.5, "map": 0.25}
    assert card["description"] == "not stated"
    for path in store.iterdir():
        path.unlink()
    store.rmdir()
    status, out, _ = run(capsys, "download", "tiny_birds", "--json")
    assert (status, json.loads(out)["pinned"]) == (0, True)
    assert "hub" in next(
        row for row in run(capsys, "list")[1].splitlines() if row.startswith("tiny_birds")
    )
    page = run(capsys, "card", "tiny_birds")[1]
    assert f'from_preset("hf://org/birds@{done["commit"]}")' in page


def test_check_cards(store, tmp_path, capsys):
    status, out, _ = run(capsys, "card", "--check")
    assert status == 0
    assert out.endswith("cards: no fault.\n")
    wrong = yaml.safe_load((registry.cards_folder() / "cub_resnet50.yaml").read_text())
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump(wrong | {"name": "odd", "paper": "CVPR"}))
    status, _, err = run(capsys, "card", "--check", tmp_path / "odd.yaml")
    assert status == 1
    assert "Card 'odd': field 'paper' must be a URL; received 'CVPR'" in err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["presets"], "required: ACTION"),
        (["presets", "publish", "x"], "required: HANDLE"),
        (["presets", "card"], "name one CARD to print"),
    ],
)
def test_usage_errors(argv, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    assert message in capsys.readouterr().err


def test_mistakes(store, capsys):
    assert "Name the handle" in run(capsys, "register", store)[2]
    assert "A Hub handle is" in run(capsys, "publish", "tiny_birds", "org/birds")[2]
