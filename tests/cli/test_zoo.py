"""Every card's preset, made and published; on a miniature, with a Hub of this process."""

import runpy
import shlex
import sys

import pytest
import yaml

from keras_cr.cli import zoo
from keras_cr.data import synthetic_birds, write_cub_layout
from keras_cr.presets import card, load_preset, registry
from tests.case import tiny_backbone

RECIPE = str(zoo._ROOT / "recipes" / "zoo.py")


@pytest.fixture
def program(monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["zoo.py", *map(str, arguments)])
        runpy.run_path(RECIPE, run_name="__main__")

    return run


@pytest.fixture
def cards(monkeypatch, tmp_path):
    """Two cards: of one the recipe works, the other's fails."""
    written = yaml.safe_load((registry.cards_folder() / "cub_resnet50.yaml").read_text())
    tiny_backbone().save(tmp_path / "tiny.keras")
    flags = "--epochs 1 --image-size 64 --batch-size 8 --protocols retrieval --monitor-every 0"
    flags += f" --rationale-options foregrounds=off,k=3 --init {shlex.quote(str(tmp_path))}/"
    (tmp_path / "cards").mkdir()
    for name, init in (("cub_tiny", "tiny.keras"), ("cub_bad", "none.keras")):
        command = f"python recipes/train_cub.py --data-dir CUB_200_2011 {flags}{init}"
        changed = written | {"name": name, "recipe": written["recipe"] | {"command": command}}
        (tmp_path / "cards" / f"{name}.yaml").write_text(yaml.safe_dump(changed))
    monkeypatch.setattr(registry, "cards_folder", lambda: tmp_path / "cards")


@pytest.mark.slow
def test_presets_are_made_checked_published_and_pinned(
    program, cards, hub, tmp_path, capfd, monkeypatch
):
    drawn = synthetic_birds(num_classes=2, train_per_class=8, test_per_class=3, image_size=64)
    birds = write_cub_layout(drawn, tmp_path / "birds")
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    given = ["-o", tmp_path / "zoo", "--data", f"cub={birds}", "--publish", "org", "--tag", "v1"]
    with pytest.raises(SystemExit, match="1 of 2 failed: cub_bad"):
        program(*given)
    told = capfd.readouterr().out
    assert "cub_tiny: published as hf://org/cub_tiny@v1" in told
    assert "cub_bad: failed: its recipe ended with status" in told
    pinned = card("cub_tiny")
    assert pinned.pinned
    assert pinned.metrics["retrieval"]["rank1"] >= 0
    assert load_preset("hf://org/cub_tiny@v1").num_detectors == 1

    monkeypatch.setattr(zoo.subprocess, "run", None)  # nothing is made again
    program(*given, "--only", "cub_tiny")
    assert "cub_tiny: was published" in capfd.readouterr().out
    metrics = tmp_path / "zoo" / "cub_tiny" / "metrics.json"
    metrics.write_text(metrics.read_text().replace("rank1", "rank2"))
    with pytest.raises(SystemExit, match="1 of 1 failed"):
        program(*given, "--only", "cub_tiny")
    assert "holds other metrics than its run's" in capfd.readouterr().out


def test_a_dry_run_says_what_it_takes(program, capsys):
    program("--dry-run", "--only", "cub_resnet50", "--images-per-second", "100")
    told = capsys.readouterr().out
    assert "preset: cub_resnet50; images: 599,400; hours: 1.7; size: 111 MB; licence: Ap" in told
    program("--dry-run", "--only", "cub_resnet50", "--", "--epochs", "10", "--backbone", "resnet18")
    assert "images: 59,940; hours: not measured; size: not known" in capsys.readouterr().out
    program("--dry-run")
    lines = capsys.readouterr().out.splitlines()
    told = dict(line.removeprefix("preset: ").split(";", 1) for line in lines)
    backbones = ("convnext_tiny", "dinov2_small", "dinov3_vits16", "resnet50")
    assert [*told] == [f"{d}_{name}" for d in ("aircraft", "cars", "cub") for name in backbones]
    for name, line in told.items():
        assert "hours: not measured; size: " in line
        assert "size: not known" not in line
        assert ("licence: DINOv3 License for" in line) == ("dinov3" in name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "cub_resnet5"], "--only must name cards, .*cub_resnet50.*: cub_resnet5"),
        (["--data", "cub"], "--data must be NAME=DIR"),
        (["--data", "cub=/nowhere"], "--data must be NAME=DIR, of a folder that exists"),
    ],
)
def test_mistakes_are_told_in_one_line(program, arguments, message):
    with pytest.raises(SystemExit, match=f"^zoo.py: error: .*{message}"):
        program(*arguments)
