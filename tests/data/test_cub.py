"""CUB: files joined by id, exact errors, and the download against a loopback server."""

import shutil
import socket
import time

import numpy as np
import pytest

from keras_cr.data import download_cub, load_image, read_cub
from keras_cr.data.download import Archive
from tests.data.helpers import pixels, save_image, serving, write_cub


@pytest.fixture
def cub(tmp_path):
    return write_cub(tmp_path / "CUB_200_2011")


def test_files_are_joined_by_image_id(cub):
    data = read_cub(cub)
    assert [path[-5] for path in data.images] == list("123456")
    np.testing.assert_array_equal(data.labels, [1, 0, 1, 0, 1, 0])
    np.testing.assert_array_equal(data.is_train, [True] * 4 + [False] * 2)
    np.testing.assert_array_equal(data.boxes[:, 0], [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(data.boxes[0], [1, 2, 10.5, 8])
    assert data.class_names == ["001.Bird", "002.Bird"]
    assert data.name == "cub_200_2011"
    assert data.masks is None
    np.testing.assert_array_equal(load_image(data.images[2]), pixels(6)[2])


def test_the_parent_folder_is_accepted_and_boxes_are_optional(cub):
    (cub / "bounding_boxes.txt").unlink()
    data = read_cub(cub.parent)
    assert len(data) == 6
    assert data.boxes is None


@pytest.mark.parametrize("place", ["CUB_200_2011/segmentations", "segmentations", "elsewhere"])
def test_masks_are_found_inside_beside_or_where_told(cub, tmp_path, place):
    save_image(tmp_path / place / "002.Bird/Bird 1.png", np.zeros((40, 48)))
    data = read_cub(cub, tmp_path / place if place == "elsewhere" else None)
    assert data.masks == [str(tmp_path / place / "002.Bird/Bird 1.png"), *[None] * 5]


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("images.txt", "seven x.png", r"images.txt:7: expected an id and a path; .*'seven x.png'"),
        ("train_test_split.txt", "7 2", "train_test_split.txt:7: expected an id and 0 or 1"),
        ("bounding_boxes.txt", "7 1 2 3", "bounding_boxes.txt:7: expected an id, x, y"),
        ("image_class_labels.txt", "3 1", "image_class_labels.txt:7: id 3 is listed twice"),
        *(
            ("bounding_boxes.txt", f"7 {box}", "boxes.txt:7: expected .* sides above 0; received")
            for box in ("1 nan 3 4", "inf 2 3 4", "1 2 0 4", "1 2 3 -4")
        ),
        ("images.txt", "7 a\0", "images.txt:7: holds a null byte; save the file as text in UTF-8"),
        ("image_class_labels.txt", "9 1", "its ids are not those of images.txt; 1 .*first is 9"),
    ],
)
def test_malformed_lines_are_named(cub, name, line, message):
    with (cub / name).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=message):
        read_cub(cub)


def test_what_is_listed_under_two_ids_is_refused(cub):
    text = (cub / "images.txt").read_text()
    (cub / "images.txt").write_text(text.replace("001.Bird/Bird 4", "./001.Bird/Bird 2"))
    with pytest.raises(ValueError, match=r"images.txt: .*Bird 2.png is listed twice"):
        read_cub(cub)
    (cub / "images.txt").write_text(text)
    (cub / "classes.txt").write_text(
        "1 a\N{COMBINING ACUTE ACCENT}\n2 \N{LATIN SMALL LETTER A WITH ACUTE}\n"
    )
    with pytest.raises(ValueError, match=r"classes.txt: class .* is listed twice"):
        read_cub(cub)


def test_an_unknown_class_is_refused(cub):
    (cub / "classes.txt").write_text("1 001.Bird\n")
    with pytest.raises(ValueError, match=r"class ids \[2\] are not in classes.txt"):
        read_cub(cub)


def test_a_class_without_an_image_is_refused(cub):
    with (cub / "classes.txt").open("a") as file:
        file.write("3 003.Dodo\n")
    with pytest.raises(ValueError, match=r"classes.txt: 1 of 3 classes have no image: 003.Dodo"):
        read_cub(cub)


def test_missing_files_are_named(cub, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data_dir: .*holds no images.txt.*CUB_200_2011"):
        read_cub(tmp_path / "nowhere")
    shutil.rmtree(cub / "images" / "001.Bird")
    with pytest.raises(FileNotFoundError, match=r"Bird 2.png: listed in .*images.txt.* 3 of 6"):
        read_cub(cub)
    (cub / "classes.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"classes.txt: missing"):
        read_cub(cub)


@pytest.fixture
def served(cub, tmp_path, monkeypatch):
    """Archives of a miniature CUB on a loopback server, and a function that stops it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    save_image(tmp_path / "segmentations/002.Bird/Bird 1.png", np.zeros((40, 48)))
    folders = {"CUB_200_2011": "CUB_200_2011.tgz", "segmentations": "segmentations.tgz"}
    with serving(tmp_path, folders) as ((images, segmentations), stop):
        yield images, segmentations, stop


def test_download_is_read_like_a_folder_and_needs_the_network_once(served, cub, tmp_path):
    images, segmentations, stop = served
    data = download_cub(tmp_path / "tfds", images, segmentations)
    stop()
    again = download_cub(tmp_path / "tfds", images, segmentations)

    assert data.images == again.images
    assert data.masks[0].endswith("segmentations/002.Bird/Bird 1.png")
    np.testing.assert_array_equal(data.labels, read_cub(cub).labels)
    assert download_cub(tmp_path / "tfds", images, None).masks is None


def test_a_wrong_checksum_is_refused(served, tmp_path):
    images, _, _ = served
    wrong = Archive(images.name, images.url + "&other", "0" * 64, images.size)
    with pytest.raises(ValueError, match=r"not the expected CUB_200_2011.tgz .*0000.*`data_dir`"):
        download_cub(tmp_path / "tfds", wrong, None)


def test_without_a_network_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/CUB_200_2011.tgz"
    start = time.monotonic()
    with pytest.raises(
        ConnectionError, match=rf"CUB_200_2011.tgz from {url} .*`data_dir`"
    ) as error:
        download_cub(tmp_path, Archive("CUB_200_2011.tgz", url, "0" * 64, 1), None)
    assert time.monotonic() - start < 15
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["images.txt", "classes.txt", "train_test_split.txt"])
def test_lists_as_other_editors_write_them(cub, name):
    expected = read_cub(cub)
    text = (cub / name).read_text()
    for changed in (text.encode("utf-8-sig"), text.replace("\n", "\r\n").encode("utf-8-sig")):
        (cub / name).write_bytes(changed)
        data = read_cub(cub)
        assert (data.images, data.class_names) == (expected.images, expected.class_names)
    (cub / name).write_text(text, encoding="utf-16")
    with pytest.raises(ValueError, match=f"{name}: is text in UTF-16; save it as UTF-8"):
        read_cub(cub)
    (cub / name).write_bytes(text.encode() + b"7 m\xfcnchen\n")
    with pytest.raises(ValueError, match=rf"{name}:\d: is not text in UTF-8"):
        read_cub(cub)


def test_only_line_ends_part_lines(cub):
    lines = (cub / "classes.txt").read_text()
    (cub / "classes.txt").write_text(lines.replace("001.Bird", "001.Bird\x85\u2028a"))
    assert read_cub(cub).class_names[0] == "001.Bird\x85\u2028a"
