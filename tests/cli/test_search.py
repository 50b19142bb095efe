"""keras-cr index, search, cluster: what is like an image, twice there, or of one group."""

import csv
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_cr.cli import main
from keras_cr.search import Index
from tests.cli.conftest import NAMES
from tests.cli.test_main import fails


def run(*argv):
    assert main([str(part) for part in argv]) == 0


@pytest.fixture(scope="module")
def indexed(preset, photos, tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "photos.index"
    run("index", photos, "--preset", preset, "-o", path)
    return path


def test_an_index_of_a_folder(indexed, photos, preset):
    index = Index.load(indexed)
    assert index.names == list(NAMES)
    assert index.path(NAMES[0]) == str(photos / NAMES[0])
    assert index.encoder.image_size == (32, 32)


def test_what_is_printed(indexed, photos, capsys):
    run("search", photos / "c.png", "--index", indexed, "-k", 2)
    lines = capsys.readouterr().out.splitlines()
    found = Index.load(indexed).similar("c.png", 2)
    assert lines == [
        str(photos / "c.png"),
        *(f"  {match.similarity:6.3f}  {match.name}" for match in found),
    ]


def test_a_query_from_elsewhere_and_the_sheet(indexed, photos, tmp_path, capsys):
    query = shutil.copy(photos / "c.png", tmp_path / "query.png")
    run("search", query, photos / "a/1.png", "--index", indexed, "-k", 3, "-o", tmp_path / "f.png")
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].endswith("1.000  c.png")
    sheet = np.asarray(Image.open(tmp_path / "f.png"))
    assert sheet.std() > 20
    assert sheet.shape[0] > 2 * 2 * 160  # two queries, each with its places
    assert sheet.shape[1] > 4 * 160
    argv = ["search", query, "--index", indexed, "-o", tmp_path / "f.png"]
    assert "add --overwrite" in fails(argv, capsys)


def test_an_index_goes_with_its_images(preset, photos, tmp_path, capsys):
    moved = shutil.copytree(photos, tmp_path / "photos")
    run("index", moved, "--preset", preset, "-o", tmp_path / "i")
    (moved / NAMES[0]).unlink()
    shutil.copy(moved / NAMES[1], moved / "new.jpg")
    capsys.readouterr()
    run("index", moved, "--preset", preset, "-o", tmp_path / "i", "--update", "--duplicates")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith("6 images, 1 new, 1 gone.")
    assert printed[1] == "2 images in 1 groups are the same or nearly so:"
    assert printed[2].split() == [NAMES[1], "new.jpg"]
    assert set(Index.load(tmp_path / "i").names) == {*NAMES[1:], "new.jpg"}
    argv = ["index", moved, "--preset", preset, "-o", tmp_path / "i"]
    assert "would be replaced; add --overwrite" in fails(argv, capsys)
    assert "was made at 32 pixels" in fails([*argv, "--update", "--image-size", 64], capsys)


def test_mistakes(indexed, preset, photos, tmp_path, capsys):
    argv = ["search", photos / "c.png", "--index"]
    assert "There is no index at" in fails([*argv, tmp_path / "none"], capsys)
    (tmp_path / "damaged").write_text("no index")
    assert "is no index" in fails([*argv, tmp_path / "damaged"], capsys)
    alone = tmp_path / "alone.index"
    run("index", photos / "c.png", "--preset", preset, "-o", alone)
    capsys.readouterr()
    assert "nothing was found" in fails([*argv, alone, "-o", tmp_path / "f.png"], capsys)
    run(*argv, alone)
    assert capsys.readouterr().out == f"{photos / 'c.png'}\n"
    moved = [*argv, indexed, "--images-in", tmp_path, "-o", tmp_path / "f.png"]
    assert str(tmp_path) in fails(moved, capsys)
    assert not (tmp_path / "f.png").exists()


def test_groups(preset, photos, tmp_path, capsys):
    run("cluster", photos, "--preset", preset, "-o", tmp_path / "c", "--clusters", 2)
    with (tmp_path / "c" / "clusters.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [str(photos / name) for name in NAMES]
    sizes = np.bincount([int(row["cluster"]) for row in rows])[1:]
    assert len(sizes) == 2
    assert sizes[0] >= sizes[1] > 0
    assert all(0 < float(row["similarity"]) <= 1.0001 for row in rows)
    assert {path.name for path in (tmp_path / "c").iterdir()} == {
        "clusters.csv",
        "cluster-1.png",
        "cluster-2.png",
    }
    assert f"1: {sizes[0]}, 2: {sizes[1]}" in capsys.readouterr().out
    run("cluster", photos, "--preset", preset, "-o", tmp_path / "c", "--clusters", 1, "--overwrite")
    assert not (tmp_path / "c" / "cluster-2.png").exists()
    argv = ["cluster", photos, "--preset", preset, "-o", tmp_path / "d", "--clusters", 9]
    capsys.readouterr()
    assert "--clusters: must be at most 6, the images. Received: 9" in fails(argv, capsys)
    assert not (tmp_path / "d").exists()
