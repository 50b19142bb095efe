"""verify: official counts, and every kind of finding in a file or between two."""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_cr.data import Finding, check_images, read_cub, synthetic_birds, verify, write_cub_layout
from keras_cr.data.report import OFFICIAL
from tests.data.helpers import SHARP, pixels, save_image, write_aircraft, write_cars


@pytest.fixture(scope="module")
def birds():
    return synthetic_birds(num_classes=2, train_per_class=3, test_per_class=2, image_size=48)


@pytest.fixture
def cub(birds, tmp_path):
    return write_cub_layout(birds, tmp_path / "birds")


@pytest.fixture
def counted(monkeypatch):
    """Takes the miniature's counts for the official ones."""
    for name in OFFICIAL:
        monkeypatch.setitem(OFFICIAL, name, {"train": 6, "test": 4, "classes": 2})


def kinds(findings):
    return [finding.kind for finding in findings]


def test_a_whole_data_set_has_no_finding(cub, birds, counted):
    report = verify(cub, "cub")
    assert report.ok
    assert report.problems == report.notes == []
    assert (report.train, report.test, report.classes) == (6, 4, 2)
    assert list(report.per_class.values()) == [(3, 2), (3, 2)]
    assert f"cub in {cub}" in str(report)
    assert "train:   6 (official: 6)" in str(report)
    assert "test images a class: 2 to 2" in str(report)


@pytest.mark.parametrize(
    ("name", "counts"),
    [("cub", (5994, 5794, 200)), ("cars", (8144, 8041, 196)), ("aircraft", (6667, 3333, 100))],
)
def test_official_counts(birds, cub, tmp_path, name, counts):
    write = {"cars": write_cars, "aircraft": write_aircraft}
    folder = write[name](birds, tmp_path) if name in write else cub
    texts = [finding.text for finding in verify(folder, name).problems]
    train, test, classes = counts
    assert texts == [
        f"6 train images instead of {train}",
        f"4 test images instead of {test}",
        f"2 classes instead of {classes}",
    ]


def test_bad_files_are_problems_and_named(cub, counted):
    paths = read_cub(cub).images
    content = Path(paths[0]).read_bytes()
    bad = {
        0: (content[: len(content) // 2], "truncated", "does not decode, though it begins as JPEG"),
        1: (b"", "unreadable", "empty file"),
        2: (b"<html>", "unreadable", "does not decode, it is no image"),
    }
    for row, (damaged, _, _) in bad.items():
        Path(paths[row]).write_bytes(damaged)
    save_image(Path(paths[3]), pixels(1, 48, 48)[0][:31])
    report = verify(cub, "cub")
    expected = [Finding(kind, text, paths[row]) for row, (_, kind, text) in bad.items()]
    small = Finding("small", "48 x 31 pixels, fewer than 32 on a side", paths[3])
    assert report.problems == [*expected, small]
    assert not report.ok
    assert f"truncated: {paths[0]}: does not decode" in str(report)


def test_what_loads_well_is_a_note(cub, counted):
    data = read_cub(cub)
    exif = Image.Exif()
    exif[0x0112] = 6
    images = [Image.open(path).copy() for path in data.images]
    images[0].convert("L").save(data.images[0])
    images[1].convert("CMYK").save(data.images[1])
    images[2].crop((0, 0, 48, 40)).save(data.images[2], exif=exif)
    for row, image in ((3, images[3].quantize(8)), (4, images[4].convert("RGBA"))):
        image.save(data.images[row], format="PNG")
    Image.fromarray(np.arange(48 * 48, dtype="uint16").reshape(48, 48)).save(
        data.images[5], format="PNG"
    )
    (cub / "images" / "._junk.jpg").write_bytes(b"\0")
    check_images(read_cub(cub))
    report = verify(cub, "cub")
    assert report.ok
    notes = {(note.path, note.kind): note.text for note in report.notes if note.kind != "box"}
    assert notes == {
        (str(cub / "images/._junk.jpg"), "hidden"): "left by macOS; readers pass over it",
        (data.images[0], "color"): "grey, loaded as RGB",
        (data.images[1], "color"): "CMYK, loaded as RGB",
        (data.images[2], "rotated"): "turned when loaded, by EXIF orientation 6",
        (data.images[3], "color"): "palette, loaded as RGB",
        (data.images[4], "color"): "alpha, loaded as RGB",
        (data.images[5], "color"): "16 bits a channel, loaded as 8",
    }


def test_a_box_that_leaves_its_image_is_a_note(birds, tmp_path, counted):
    boxes = birds.boxes.copy()
    boxes[3] = [40, 4, 20, 10]
    folder = write_cub_layout(dataclasses.replace(birds, boxes=boxes), tmp_path / "data")
    (note,) = verify(folder, "cub").notes
    assert note.kind == "box"
    assert note.text == "box 40, 4, 20 x 10 leaves the image of 48 x 48"


def test_equal_files(cub, counted):
    data = read_cub(cub)
    train = np.flatnonzero(data.is_train)
    first, same_class = train[data.labels[train] == 0][:2]
    other_class = train[data.labels[train] == 1][0]
    test = np.flatnonzero(~data.is_train)[0]
    for row in (same_class, other_class, test):
        shutil.copy(data.images[first], data.images[row])
    report = verify(cub, "cub")
    of = f"the same file as {data.images[first]}"
    name = data.class_names[0]
    assert sorted(map(str, report.problems)) == [
        f"conflict: {data.images[other_class]}: {of}, of class {name!r}",
        f"leak: {data.images[test]}: a test image, {of}, a training image",
    ]
    assert report.notes == [Finding("duplicate", of, data.images[same_class])]


def test_folders_with_and_without_classes(tmp_path):
    for row, image in enumerate(pixels(4)):
        save_image(tmp_path / "classes" / "ab"[row % 2] / f"{row}.png", image)
        save_image(tmp_path / "flat" / f"{row}.jpg", image, **SHARP)
    report = verify(tmp_path / "classes", "folder")
    assert (report.ok, report.train, report.test, report.classes) == (True, 4, 0, 2)
    report = verify(tmp_path / "flat", "folder")
    assert (report.ok, report.train, report.classes, report.per_class) == (True, 4, 0, {})


def test_a_layout_that_cannot_be_read_is_the_problem(cub, tmp_path):
    (cub / "classes.txt").unlink()
    report = verify(cub, "cub")
    assert kinds(report.problems) == ["layout"]
    assert "classes.txt: missing" in report.problems[0].text
    assert report.train is None
    assert "Problems: 1\n  layout: " in str(report)
    assert kinds(verify(tmp_path / "nowhere", "folder").problems) == ["layout"]


def test_progress_json_and_arguments(cub, monkeypatch):
    calls = []
    report = verify(cub, "cub", progress=lambda *numbers: calls.append(numbers))
    assert calls == [(10, 10)]
    content = json.loads(json.dumps(report.to_dict()))
    assert content["ok"] is False
    assert content["problems"][0] == {
        "kind": "count",
        "text": "6 train images instead of 5994",
        "path": None,
    }
    with pytest.raises(ValueError, match="name: must be one of aircraft, .*received 'dogs'"):
        verify(cub, "dogs")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(
        ImportError, match=r'verify needs Pillow: pip install "keras-cr\[recipes\]"'
    ):
        verify(cub, "cub")
