"""FGVC-Aircraft: the official layout, its banner and boxes, exact errors, and the download."""

import numpy as np
import pytest

from keras_cr.data import download_aircraft, image_batches, read_aircraft
from tests.data.helpers import dataset, pixels, serving, write_aircraft

BOXES = np.array([[row, 2, 20, 10] for row in range(6)])


@pytest.fixture
def aircraft(tmp_path):
    """Six images of 40 x 48 pixels under a banner, of the classes "707-320" and "F-16A/B"."""
    data = dataset(6, boxes=BOXES, class_names=["707-320", "F-16A/B"])
    return write_aircraft(data, tmp_path)


def test_files_are_joined_by_image_id(aircraft):
    data = read_aircraft(aircraft)
    assert [path[-11:] for path in data.images] == [f"00000{n}0.jpg" for n in range(1, 7)]
    np.testing.assert_array_equal(data.labels, [1, 0, 1, 0, 1, 0])
    np.testing.assert_array_equal(data.is_train, [False] * 2 + [True] * 4)
    np.testing.assert_array_equal(data.boxes, BOXES[::-1])
    assert data.class_names == ["707-320", "F-16A/B"]
    assert data.name == "fgvc_aircraft"


@pytest.mark.parametrize("place", ["", "data", ".."])
def test_any_folder_around_the_data_is_accepted(aircraft, place):
    assert len(read_aircraft(aircraft / place)) == 6


def test_the_banner_is_cut_off(aircraft):
    data = read_aircraft(aircraft)
    (batch,) = image_batches(data, 40, batch_size=6)
    np.testing.assert_allclose(batch, pixels(6)[::-1, :, 4:44], atol=12)


def test_other_annotations_and_no_boxes(aircraft):
    data = aircraft / "data"
    (data / "images_box.txt").unlink()
    (data / "manufacturers.txt").write_text("Boeing\nLockheed Martin\n")
    for split in ("trainval", "test"):
        text = (data / f"images_variant_{split}.txt").read_text()
        text = text.replace("707-320", "Boeing").replace("F-16A/B", "Lockheed Martin")
        (data / f"images_manufacturer_{split}.txt").write_text(text)
    read = read_aircraft(aircraft, annotation="manufacturer")
    assert (read.class_names[1], read.name) == ("Lockheed Martin", "fgvc_aircraft_manufacturer")
    assert read.boxes is None


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("images_variant_test.txt", "0000099", r"variant_test.txt:3: expected an id and a class"),
        (
            "images_variant_test.txt",
            "0000060 707-320",
            r"1 images are listed for the test .*0000060",
        ),
        ("images_variant_test.txt", "0000099 A380", r"classes \['A380'\], .* not in variants.txt"),
        ("images_box.txt", "0000099 1 2 3", r"images_box.txt:7: expected an id, xmin"),
        *(
            ("images_box.txt", f"0000099 {box}", "images_box.txt:7: .* all finite and in order")
            for box in ("1 nan 3 4", "1 2 inf 4", "5 2 4 4", "1 9 3 8")
        ),
        ("variants.txt", "707-320", r"variants.txt: class '707-320' is listed twice"),
        ("variants.txt", "A380", r"variants.txt: 1 of 3 classes have no image: A380"),
    ],
)
def test_malformed_lines_are_named(aircraft, file, line, message):
    with (aircraft / "data" / file).open("a") as opened:
        opened.write(line + "\n")
    with pytest.raises(ValueError, match=message):
        read_aircraft(aircraft)


def test_what_is_missing_is_named(aircraft, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"data_dir: .*nowhere.* fgvc-aircraft-2013b.tar.gz"
    ):
        read_aircraft(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"annotation: must be one of .*received 'model'"):
        read_aircraft(aircraft, annotation="model")
    boxes = aircraft / "data/images_box.txt"
    boxes.write_text(boxes.read_text().split("\n", 1)[1])
    with pytest.raises(ValueError, match=r"images_box.txt: 1 of 6 images have no line, .*0000060"):
        read_aircraft(aircraft)
    (aircraft / "data/images/0000020.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"0000020.jpg: listed in .* are 1 of 6 listed"):
        read_aircraft(aircraft)
    (aircraft / "data/images_variant_test.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"images_variant_test.txt: missing"):
        read_aircraft(aircraft)


def test_download_is_read_like_a_folder_and_needs_the_network_once(aircraft, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folders = {"fgvc-aircraft-2013b": "fgvc-aircraft-2013b.tar.gz"}
    with serving(tmp_path, folders) as ((archive,), stop):
        data = download_aircraft(tmp_path / "tfds", archive)
        stop()
        again = download_aircraft(tmp_path / "tfds", archive)
    assert data.images == again.images
    np.testing.assert_array_equal(data.labels, read_aircraft(aircraft).labels)


def test_lists_with_a_byte_order_mark(aircraft):
    expected = read_aircraft(aircraft)
    for path in (aircraft / "data").glob("*.txt"):
        path.write_text(path.read_text(), encoding="utf-8-sig", newline="\r\n")
    data = read_aircraft(aircraft)
    assert (data.images, data.class_names) == (expected.images, expected.class_names)
    np.testing.assert_array_equal(data.boxes, expected.boxes)
    (aircraft / "data/variants.txt").write_text("707-320\nF-16A/B\n", encoding="utf-16")
    with pytest.raises(ValueError, match="variants.txt: is text in UTF-16"):
        read_aircraft(aircraft)
