"""docs/tutorial.md as a reader takes it, command after command, on a folder of drawn birds."""

import re
import shlex

import pytest
from PIL import Image

from keras_cr import cli
from keras_cr.data import synthetic_birds
from tests.test_readme import ROOT

BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_tutorial_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    birds = synthetic_birds(3, train_per_class=10, test_per_class=1, image_size=96)
    for number, (pixels, label) in enumerate(zip(birds.images, birds.labels, strict=True)):
        folder = tmp_path / "photos" / birds.class_names[label].replace(" ", "_")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number}.jpg")
    Image.fromarray(birds.images[-1]).save(tmp_path / "query.jpg")
    monkeypatch.chdir(tmp_path)
    session = {}
    for language, block in BLOCK.findall((ROOT / "docs" / "tutorial.md").read_text("utf-8")):
        if language == "python":
            exec(block, session)
            continue
        for line in block.splitlines():
            program, *words = shlex.split(line, comments=True)
            assert program == "keras-cr"
            assert not cli.main(words), line
    assert session["index"].embeddings.shape == (33, 256)
    assert (tmp_path / "evaluation" / "report.html").is_file()
    assert (tmp_path / "clusters" / "clusters.csv").is_file()
    for picture in ("found.png", "maps/rationales.png"):
        assert Image.open(tmp_path / picture).width > 96
    assert len([*(tmp_path / "maps" / "overlays").rglob("*.png")]) == 33
    assert "33 images" in capsys.readouterr().out
