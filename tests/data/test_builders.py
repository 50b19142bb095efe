"""TFDS builders: what they give is what the readers say, from folders, archives and a download."""

import importlib.util
import shutil
import socket
import sys
import tarfile

import numpy as np
import pytest

pytest.importorskip("tensorflow_datasets")

import tensorflow_datasets as tfds

from keras_cr.data import UnreadableImageError, read_aircraft, read_cars, read_cub
from keras_cr.data.builders import KerasCrAircraft, KerasCrCub, base
from keras_cr.data.download import Archive
from keras_cr.data.report import OFFICIAL
from tests.data.helpers import dataset, save_image, serving, write_aircraft, write_cars, write_cub

BOXES = np.array([[row, 2, 20, 10] for row in range(6)])
TINY = {"train": 4, "test": 2, "classes": 2}


def load(root, name, manual=None):
    """Both splits with undecoded images, as {split: {file name: example}}, and the info."""
    config = tfds.download.DownloadConfig(manual_dir=manual)
    splits, info = tfds.load(
        name,
        data_dir=root / "tfds",
        decoders={"image": tfds.decode.SkipDecoding()},
        download_and_prepare_kwargs={"download_config": config},
        with_info=True,
    )
    found = {
        split: {row["filename"].decode(): row for row in tfds.as_numpy(splits[split])}
        for split in splits
    }
    return found, info


def assert_same(found, info, read, height, width):
    """What was loaded is what a reader gave of images of `height` x `width` pixels."""
    assert info.features["label"].names == read.class_names
    assert set(found) == {"train", "test"}
    for split, rows in found.items():
        expected = read.split(split)
        assert len(rows) == len(expected)
        for path, label, box in zip(expected.images, expected.labels, expected.boxes, strict=True):
            (name,) = (name for name in rows if path.endswith("/" + name))
            assert rows[name]["label"] == label
            with open(path, "rb") as file:
                assert rows[name]["image"] == file.read()
            x, y, w, h = box / [width, height, width, height]
            np.testing.assert_allclose(rows[name]["bbox"], [y, x, y + h, x + w], atol=1e-6)


def pack(archive, *folders):
    with tarfile.open(archive, "w:gz") as opened:
        for folder in folders:
            opened.add(folder, folder.name)


@pytest.fixture
def manual(tmp_path):
    (tmp_path / "manual").mkdir()
    return tmp_path / "manual"


@pytest.fixture
def cub(tmp_path):
    """A miniature CUB_200_2011 with the masks of all images beside it."""
    root = write_cub(tmp_path / "source/CUB_200_2011")
    for path in read_cub(root).images:
        name = path.split("/images/")[1]
        save_image(root.parent / "segmentations" / name, np.full((40, 48), 200.0))
    return root


def test_cub_from_a_folder(cub, tmp_path):
    with pytest.warns(
        UserWarning, match=r"4 train images instead of 5994, 2 test .* 2 classes instead of 200, in"
    ):
        found, info = load(tmp_path, "keras_cr_cub/masks", cub.parent)
    assert_same(found, info, read_cub(cub), 40, 48)
    assert set(found["test"]) == {"002.Bird/Bird 5.png", "001.Bird/Bird 6.png"}
    for row in found["train"].values():
        np.testing.assert_array_equal(row["mask"], np.full((40, 48, 1), 200))
    again, info = load(tmp_path, "keras_cr_cub/masks")  # prepared: nothing else is needed
    assert_same(again, info, read_cub(cub), 40, 48)


@pytest.mark.filterwarnings("ignore:.*not the official counts")
def test_cub_from_an_archive_which_is_then_replaced(cub, manual, tmp_path):
    boxes = cub / "bounding_boxes.txt"
    boxes.write_text(boxes.read_text().replace("1 1.0 2.0 10.5 8.0", "1 -3 2 100 8"))
    pack(manual / "CUB_200_2011.tgz", cub)
    found, info = load(tmp_path, "keras_cr_cub", manual)
    row = found["train"]["002.Bird/Bird 1.png"]
    np.testing.assert_allclose(row["bbox"], [0.05, 0, 0.25, 1])  # of 40 x 48, clipped
    assert set(row) == {"image", "label", "filename", "bbox"}
    assert info.features["label"].names == ["001.Bird", "002.Bird"]

    (cub / "classes.txt").write_text("1 Wren\n2 Owl\n")
    pack(manual / "CUB_200_2011.tgz", cub)
    (tmp_path / "tfds/keras_cr_cub").rename(tmp_path / "tfds/before")
    assert load(tmp_path, "keras_cr_cub", manual)[1].features["label"].names == ["Wren", "Owl"]


@pytest.mark.filterwarnings("ignore:.*not the official counts")
@pytest.mark.parametrize("layout", ["devkit", "list", "packed"])
def test_cars(layout, manual, tmp_path):
    data = dataset(6, boxes=BOXES, class_names=["Audi S4 2012", "Ram C/V 2009"])
    source = write_cars(
        data,
        tmp_path / "source" if layout == "packed" else manual,
        "list" if layout == "list" else "devkit",
    )
    if layout == "packed":
        archives = {"cars_train": "cars_train", "cars_test": "cars_test", "car_devkit": "devkit"}
        for name, folder in archives.items():
            pack(manual / f"{name}.tgz", source / folder)
        shutil.copy(source / "cars_test_annos_withlabels.mat", manual)
    found, info = load(tmp_path, "keras_cr_cars", manual)
    assert_same(found, info, read_cars(source), 40, 48)


@pytest.mark.filterwarnings("ignore:.*not the official counts")
def test_cars_in_class_folders_have_no_boxes(manual, tmp_path):
    write_cars(dataset(6, boxes=BOXES), manual, "folders")
    with pytest.raises(ValueError, match=r"config: keras_cr_cars/boxes needs .*/class_folders"):
        load(tmp_path, "keras_cr_cars", manual)
    found, info = load(tmp_path, "keras_cr_cars/class_folders", manual)
    assert info.features["label"].names == ["even", "odd"]
    assert {name: row["label"] for name, row in found["test"].items()} == {
        "test/even/00001.jpg": 0,
        "test/odd/00002.jpg": 1,
    }
    assert "bbox" not in info.features


@pytest.mark.filterwarnings("ignore:.*not the official counts")
@pytest.mark.parametrize("packed", [False, True])
def test_aircraft(packed, manual, tmp_path):
    data = dataset(6, boxes=BOXES, class_names=["707-320", "F-16A/B"])
    root = write_aircraft(data, tmp_path / "source" if packed else manual)
    if packed:
        pack(manual / "fgvc-aircraft-2013b.tar.gz", root)
    found, info = load(tmp_path, "keras_cr_aircraft", manual)
    assert_same(found, info, read_aircraft(root), 60, 48)  # the banner is part of the file


@pytest.mark.filterwarnings("ignore:.*not the official counts")
def test_the_config_is_the_level_of_the_labels_of_aircraft(manual, tmp_path):
    data = dataset(6, boxes=BOXES, class_names=["707-320", "F-16A/B"])
    folder = write_aircraft(data, manual) / "data"
    (folder / "families.txt").write_text("F-16\nBoeing 707\n")
    for split in ("trainval", "test"):
        text = (folder / f"images_variant_{split}.txt").read_text()
        text = text.replace("707-320", "Boeing 707").replace("F-16A/B", "F-16")
        (folder / f"images_family_{split}.txt").write_text(text)
    found, info = load(tmp_path, "keras_cr_aircraft/family", manual)
    assert info.features["label"].names == ["F-16", "Boeing 707"]
    assert {name: row["label"] for name, row in found["test"].items()} == {
        "0000010.jpg": 0,
        "0000020.jpg": 1,
    }


def test_a_download_must_have_the_official_counts(cub, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folders = {"CUB_200_2011": "CUB_200_2011.tgz", "segmentations": "segmentations.tgz"}
    with serving(cub.parent, folders) as (archives, _):
        monkeypatch.setattr(KerasCrCub, "ARCHIVES", tuple(archives))
        with pytest.raises(ValueError, match="4 train images instead of 5994.* remove the downl"):
            load(tmp_path, "keras_cr_cub/masks")
        monkeypatch.setitem(OFFICIAL, "cub", TINY)
        found, info = load(tmp_path, "keras_cr_cub/masks")
    assert_same(found, info, read_cub(cub), 40, 48)
    assert set(found["train"]["002.Bird/Bird 1.png"]) >= {"mask", "bbox"}


def test_without_files_and_network_the_error_says_what_to_do(manual, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/aircraft.tar.gz"
    archive = Archive("fgvc-aircraft-2013b.tar.gz", url, "0" * 64, 1)
    monkeypatch.setattr(KerasCrAircraft, "ARCHIVES", (archive,))
    with pytest.raises(ConnectionError, match=rf"from {url} .* manual_dir: .*nowhere does not"):
        load(tmp_path, "keras_cr_aircraft", tmp_path / "nowhere")
    (manual / "notes.txt").write_text("something else")
    with pytest.raises(FileNotFoundError, match=rf"'{manual}' holds none of it.*cars_annos.mat"):
        load(tmp_path, "keras_cr_cars", manual)


@pytest.mark.filterwarnings("ignore:.*not the official counts")
def test_damaged_files_and_missing_masks_are_named(cub, manual, tmp_path):
    archive = manual / "CUB_200_2011.tgz"
    pack(archive, cub)
    for content in (archive.read_bytes()[:-300], b"no archive"):
        archive.write_bytes(content)
        with pytest.raises(ValueError, match=r"CUB_200_2011.tgz: does not extract .*get it again"):
            load(tmp_path, "keras_cr_cub", manual)
    assert not list((tmp_path / "tfds/downloads/extracted").iterdir())
    archive.rename(cub.parent / archive.name)  # beside the folder, which goes first
    (cub.parent / "segmentations/001.Bird/Bird 2.png").unlink()
    with pytest.raises(ValueError, match=r"keras_cr_cub/masks needs the masks .*segmentations.tgz"):
        load(tmp_path, "keras_cr_cub/masks", cub.parent)
    (cub / "images/001.Bird/Bird 2.png").write_bytes(b"")
    with pytest.raises(UnreadableImageError, match=r"Bird 2.png: empty file; repair it"):
        load(tmp_path, "keras_cr_cub", cub.parent)


@pytest.mark.parametrize("module", ["tensorflow_datasets", "importlib_resources"])
def test_without_tfds_the_error_names_the_extra(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    spec = importlib.util.spec_from_file_location("without_tfds", base.__file__)
    with pytest.raises(ImportError, match=r'tensorflow-datasets .*pip install "keras-cr\[recipes'):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
