"""What is named .jpg and is no regular file: nothing waits for it, and it is named."""

import os
import socket

import numpy as np
import pytest

from keras_cr.data import (
    UnreadableImageError,
    check_images,
    foreground_batches,
    image_batches,
    load_image,
    read_cub,
    read_image_folder,
    read_images,
    two_views,
    verify,
)
from tests.data.helpers import dataset, encoded, pixels, save_image, write_cub

KINDS = ("a named pipe", "a socket", "a device", "a folder", "missing", "a broken link", "empty")


def put(kind, path):
    """Makes something of that kind."""
    path.unlink(missing_ok=True)
    if kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a broken link":
        path.symlink_to("nowhere.jpg")
    elif kind == "empty":
        path.touch()
    return path


@pytest.fixture
def short(tmp_path_factory, monkeypatch):
    """A folder whose name leaves room for that of a socket."""
    folder = tmp_path_factory.mktemp("s")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_no_reader_of_a_file_waits(kind, short):
    path = put(kind, short / "x.jpg")
    save_image(short / "good.png", pixels(1)[0])
    data = dataset(2, images=[short / "good.png", path])
    named = rf"x\.jpg: {kind}"
    with pytest.raises(UnreadableImageError, match=rf"x\.jpg \({kind}"):
        check_images(data)
    assert check_images(data, skip_bad=True)[1] == [str(path)]
    with pytest.raises(UnreadableImageError, match=named):
        load_image(path)
    with pytest.raises(UnreadableImageError, match=named):
        image_batches(data, 32, 1)
    with pytest.raises(UnreadableImageError, match=named):
        two_views(data, 32, 1)
    with pytest.raises(UnreadableImageError, match=r"x\.jpg'"):
        read_images([path], 32)


@pytest.mark.parametrize("kind", KINDS[:4])
def test_masks_are_opened_as_images_are(kind, short):
    masks = [put(kind, short / "x.png")] * 2
    with pytest.raises(UnreadableImageError, match=rf"x\.png: {kind}"):
        foreground_batches(dataset(2, masks=masks), 32, 2)


@pytest.mark.parametrize("kind", KINDS[:3])
def test_readers_of_folders_name_them(kind, short):
    for row, image in enumerate(pixels(4)):
        save_image(short / "ab"[row % 2] / f"{row}.png", image)
    put(kind, short / "a/x.jpg")
    with pytest.warns(UserWarning, match=r"1 no regular file \(.*a/x.jpg\)"):
        assert len(read_image_folder(short)) == 4
    report = verify(short, "folder")
    assert report.ok
    assert [(note.kind, note.path) for note in report.notes] == [
        ("passed_over", f"{short}/a/x.jpg")
    ]


def test_a_folder_that_is_named_as_an_image_is_searched(tmp_path):
    for name in ("a/x.jpg/1.png", "b.png/1.png"):
        save_image(tmp_path / name, pixels(1)[0])
    data = read_image_folder(tmp_path)
    assert (len(data), data.class_names) == (2, ["a", "b.png"])


def test_official_layouts_name_them(tmp_path):
    root = write_cub(tmp_path / "CUB_200_2011")
    path = root / "images/001.Bird/Bird 2.png"
    put("a named pipe", path)
    with pytest.raises(FileNotFoundError, match=r"Bird 2.png: listed in .* but no regular file"):
        read_cub(root)
    put("empty", path)
    path.with_name("images.txt")
    (root / "images.txt").unlink()
    os.mkfifo(root / "images.txt")
    with pytest.raises(FileNotFoundError, match="holds no images.txt"):
        read_cub(root)


def test_files_that_look_empty_are_not_opened(tmp_path):
    """Files of /proc say that they have no bytes, and some of them never end."""
    (tmp_path / "x.jpg").symlink_to("/proc/kmsg")
    with pytest.raises(UnreadableImageError, match="empty file|missing|broken link|permission"):
        load_image(tmp_path / "x.jpg")


@pytest.mark.parametrize("name", ["x" * 300 + ".jpg", "a\0b.jpg"])
def test_names_that_can_be_no_file(name):
    with pytest.raises(UnreadableImageError, match=r"can't be read|missing"):
        load_image(name)


def test_a_path_is_taken_as_text_bytes_path_or_tensor(tmp_path):
    import tensorflow as tf

    save_image(tmp_path / "x.png", pixels(1)[0])
    path = tmp_path / "x.png"
    for given in (path, str(path), os.fsencode(path), tf.constant(str(path)), np.str_(path)):
        np.testing.assert_array_equal(load_image(given), pixels(1)[0])
    assert dataset(1, images=[os.fsencode(path)]).images == [str(path)]


def test_other_file_systems_of_tensorflow():
    import tensorflow as tf

    with tf.io.gfile.GFile("ram://x.png", "wb") as file:
        file.write(encoded(pixels(1)[0], "PNG"))
    np.testing.assert_array_equal(load_image("ram://x.png"), pixels(1)[0])
    data = dataset(2, images=["ram://x.png"] * 2)
    assert check_images(data)[1] == []
    assert len(list(image_batches(data, 32, 2))) == 1
    with pytest.raises(UnreadableImageError, match=r"ram://y.png: can't be read"):
        load_image("ram://y.png")
