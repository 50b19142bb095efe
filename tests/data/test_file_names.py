"""File names that are no text, and others that a program stumbles over."""

import os

import numpy as np
import pytest

from keras_cr._text import encodable_output, printable
from keras_cr.data import (
    check_images,
    foreground_batches,
    image_batches,
    load_image,
    read_image_folder,
    read_images,
    two_views,
    verify,
)
from tests.data.helpers import pixels, save_image

NAMES = [b"m\xfcnchen", b"a,b", b"line\nbreak", b"'quoted\"", b"-x", "ä".encode(), b"%s {0}"]


@pytest.fixture
def folder(tmp_path):
    root = os.path.join(os.fsencode(tmp_path), b"ph\xfctos")
    save_image(tmp_path / "mask.png", np.full((40, 48), 255))
    for row, image in enumerate(pixels(len(NAMES))):
        save_image(tmp_path / "image.png", image)
        for name in (NAMES[0], NAMES[row]):
            os.makedirs(os.path.join(root, name), exist_ok=True)
        os.rename(tmp_path / "image.png", os.path.join(root, NAMES[row], NAMES[row] + b".png"))
    return os.fsdecode(root)


def test_any_name_is_read(folder, tmp_path):
    data, bad = check_images(read_image_folder(folder))
    assert bad == []
    assert len(data) == len(NAMES)
    assert "m\\xfcnchen" in data.class_names
    assert data.name == "ph\\xfctos"
    (batch,) = image_batches(data, 32, 8)
    np.testing.assert_array_equal(read_images(data.images, 32), np.rint(batch))
    for cache in (None, "memory", tmp_path / "cache"):
        assert len(list(two_views(data, 32, 7, cache=cache).take(1))) == 1
    for path in data.images:
        assert load_image(path).shape == load_image(os.fsencode(path)).shape == (40, 48, 3)


def test_masks_of_any_name(folder, tmp_path):
    data = read_image_folder(folder)
    mask = os.fsdecode(os.fsencode(tmp_path) + b"/m\xfc.png")
    os.rename(tmp_path / "mask.png", mask)
    data = type(data)(data.name, data.images, None, [], data.is_train, masks=[mask] * len(data))
    assert next(iter(foreground_batches(data, 32, 8))).numpy().all()


def test_verify_notes_names_that_are_no_text(folder):
    report = verify(folder, "folder")
    assert report.ok
    assert [(note.kind, os.fsencode(note.path)[-12:]) for note in report.notes] == [
        ("name", b"m\xfcnchen.png")
    ] or all(note.kind == "name" for note in report.notes)
    str(report).encode()  # can be printed


def test_errors_name_them_in_text_that_can_be_printed(folder):
    path = os.path.join(folder, os.fsdecode(NAMES[0]), os.fsdecode(NAMES[0] + b".png"))
    with open(path, "wb"):
        pass
    with pytest.raises(ValueError, match=r"m\\xfcnchen.png \(empty file\)") as error:
        check_images(read_image_folder(folder))
    str(error.value).encode()


def test_printable():
    assert printable(os.fsdecode(b"m\xfc.png")) == printable(b"m\xfc.png") == "m\\xfc.png"
    assert printable("ä.png") == "ä.png"
    assert printable("\ud800").encode() == b"\\ud800"


def test_what_is_printed_never_fails(capsys):
    encodable_output()
    print(os.fsdecode(b"\xfc"))
    assert capsys.readouterr().out == "\\udcfc\n"
