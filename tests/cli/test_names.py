"""Commands on files whose names are no UTF-8, or would be formulas in a spreadsheet."""

import os
from pathlib import Path

import numpy as np
import pytest

from keras_cr._csv import read_csv
from keras_cr.cli import main
from tests.data.helpers import pixels, save_image


@pytest.fixture
def strange(tmp_path, monkeypatch):
    """`=ph\\xfctos` in the working folder, with the classes `a\\xfc` and `=b`."""
    monkeypatch.chdir(tmp_path)
    root = os.fsdecode(b"=ph\xfctos")
    for row, image in enumerate(pixels(8)):
        folder = Path(root, os.fsdecode([b"a\xfc", b"=b"][row % 2]))
        save_image(Path("image.png"), image)
        folder.mkdir(parents=True, exist_ok=True)
        os.rename("image.png", folder / os.fsdecode(b"\xfc%d.png" % row))
    return root


def run(*argv):
    assert main([str(part) for part in argv]) == 0


def test_embed(strange, preset, tmp_path, capsys):
    run("embed", strange, "--preset", preset, "-o", os.fsdecode(b"\xfc.npz"))
    with np.load(os.fsdecode(b"\xfc.npz")) as file:
        paths = file["paths"].tolist()
    assert len(paths) == 8
    assert all(map(os.path.isfile, paths))
    parquet = pytest.importorskip("pyarrow.parquet")
    run("embed", strange, "--preset", preset, "-o", "e.parquet")
    assert "=ph\\xfctos/=b/\\xfc1.png" in parquet.read_table("e.parquet")["path"].to_pylist()
    assert "\\udcfc.npz" in capsys.readouterr().out


def test_explain(strange, preset, tmp_path):
    run("explain", strange, "--preset", preset, "-o", os.fsdecode(b"\xfc"), "--detectors")
    assert len(list(Path(os.fsdecode(b"\xfc/overlays")).rglob("*.png"))) == 8


def test_evaluate(strange, preset, tmp_path, capsys):
    argv = ("evaluate", "--data-dir", strange, "--dataset", "folder", "--preset", preset)
    run(*argv, "--protocols", "knn", "-o", "out")
    capsys.readouterr()
    text = Path("out/per_image.csv").read_text()
    assert "\n'=ph\\xfctos/" in text
    assert "=ph\\xfctos/=b/" in read_csv("out/per_image.csv")[1][0]["image"]
    assert "\n'=ph\\xfctos,knn," in Path("out/metrics.csv").read_text()
    assert "ph\\xfctos" in Path("out/report.html").read_text()


def test_a_limit_of_pixels(strange, preset, capsys):
    argv = ["embed", strange, "--preset", preset, "-o", "e.npz", "--max-pixels", "1919"]
    assert main(argv) == 1
    assert r"\xfc1.png (48 x 40 pixels, more than max_pixels, 1,919)" in capsys.readouterr().err
    assert not os.path.exists("e.npz")
