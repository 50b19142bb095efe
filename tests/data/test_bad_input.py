"""Bad input of the table in docs/data.md: a line that names the path, before a run begins."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from keras_cr.data import read_aircraft, read_cars, read_cub, read_image_folder
from keras_cr.experiment import Run, Settings
from tests.case import tiny_backbone
from tests.data.helpers import (
    dataset,
    ordinary_user,
    pixels,
    png_header,
    save_image,
    write_aircraft,
    write_cars,
    write_cub,
)

DOCUMENT = Path(__file__).parents[2] / "docs/data.md"
BOXES = np.tile([2, 2, 20, 10], (6, 1))


def write_folder(root):
    for row, image in enumerate(pixels(6)):
        save_image(root / "photos" / "ab"[row % 2] / f"{row}.jpg", image)
    return root / "photos"


LAYOUTS = {
    "cub": (read_cub, lambda root: write_cub(root / "CUB_200_2011")),
    "aircraft": (read_aircraft, lambda root: write_aircraft(dataset(6, boxes=BOXES), root)),
    "cars": (read_cars, lambda root: write_cars(dataset(6, boxes=BOXES), root)),
    "folder": (read_image_folder, write_folder),
}


def image_of(root):
    return next(path for path in sorted(root.rglob("*")) if path.suffix in (".jpg", ".png"))


def change(root, name, old, new):
    """Replaces a part of a text file."""
    path = next(root.rglob(name))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


def remove(root):
    path = image_of(root)
    path.unlink()
    return path


def empty_file(root):
    path = image_of(root)
    path.write_bytes(b"")
    return path


def truncated(root):
    path = image_of(root)
    path.write_bytes(path.read_bytes()[:150])
    return path


def too_small(root):
    path = image_of(root)
    save_image(path, pixels(1)[0][:16])
    return path


def too_large(root):
    path = image_of(root)
    path.write_bytes(png_header(20_000, 20_000))
    return path


def pipe(root):
    path = image_of(root)
    path.unlink()
    os.mkfifo(path)
    return path


def other_encoding(root):
    path = root / "classes.txt"
    path.write_bytes(b"2 002.Bird\n1 001.M\xfcve\n")
    return path


def empty_class(root):
    for path in (root / "b").iterdir():
        path.unlink()
    return root


def one_class(root):
    empty_class(root)
    (root / "b").rmdir()
    return root


def other_classes(root):
    from scipy.io import savemat

    savemat(root / "devkit/cars_meta.mat", {"class_names": np.array(["even"], object)})
    return root / "devkit/cars_train_annos.mat"


# what is wrong, as docs/data.md says it; the layout; how it comes about, returning the named path
CASES = [
    ("a listed image is missing", "cub", remove),
    ("a listed image is missing", "aircraft", remove),
    ("a listed image is missing", "cars", remove),
    (
        "a label is out of range",
        "cub",
        lambda root: change(root, "image_class_labels.txt", "1 2", "1 3"),
    ),
    (
        "a label is out of range",
        "aircraft",
        lambda root: change(root, "images_variant_trainval.txt", "even", "odder"),
    ),
    ("a label is out of range", "cars", other_classes),
    (
        "the split file has another length",
        "cub",
        lambda root: change(root, "train_test_split.txt", "4 1\n", ""),
    ),
    ("a class has no image", "cub", lambda root: change(root, "classes.txt", "2 ", "3 x\n2 ")),
    ("a class has no image", "aircraft", lambda root: change(root, "variants.txt", "o", "x\no")),
    ("a class has no image", "folder", empty_class),
    ("an image file is empty", "cub", empty_file),
    ("an image file is empty", "folder", empty_file),
    ("an image is truncated", "folder", truncated),
    ("an image is smaller than 32 pixels", "cars", too_small),
    ("an image is larger than `--max-pixels`", "cub", too_large),
    ("an image is a pipe, a device, or a link to nothing", "cub", pipe),
    ("a list is no text in UTF-8 (a byte order mark does no harm)", "cub", other_encoding),
    ("an image is smaller than 32 pixels", "folder", too_small),
    ("there is one class", "folder", one_class),
]


def refused(root, read, output):
    """What a run says of a folder: one line, before anything is written."""
    settings = Settings(data_dir=str(root), output=str(output), batch_size=2, image_size=32)
    with pytest.raises((ValueError, OSError)) as error:
        Run.prepare(settings, read, tiny_backbone)
    assert not output.exists()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(("wrong", "layout", "make"), CASES)
def test_bad_input_is_told_in_a_line_that_names_the_path(tmp_path, wrong, layout, make):
    read, write = LAYOUTS[layout]
    root = write(tmp_path)
    path = make(root)
    assert str(path) in refused(root, read, tmp_path / "out")


@pytest.mark.parametrize(
    ("layout", "what"),
    [
        ("cub", "text"),
        *((name, what) for name in ("cub", "folder") for what in ("image", "folder")),
    ],
)
def test_no_permission(layout, what):
    read, write = LAYOUTS[layout]
    with ordinary_user() as home:
        root = write(home)
        path = {
            "image": image_of(root),
            "folder": image_of(root).parent,
            "text": root / "images.txt",
        }[what]
        path.chmod(0)
        try:
            message = refused(root, read, home / "out")
        finally:
            path.chmod(0o700)
    assert str(path) in message
    assert "ermission" in message


def test_the_document_lists_what_is_tested():
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", DOCUMENT.read_text(), flags=re.MULTILINE)
    assert {wrong for wrong, _, _ in CASES} | {"no permission"} <= {row[0] for row in rows}
