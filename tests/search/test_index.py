"""An index finds what is like an image, and outlives a process, a move and a damaged disk."""

import copy
import shutil

import keras
import numpy as np
import pytest

from keras_cr import CommonRationaleEncoder
from keras_cr.data import (
    UnreadableImageError,
    image_batches,
    read_image_folder,
    synthetic_birds,
)
from keras_cr.evaluation import embed, nearest
from keras_cr.search import Index
from keras_cr.search.images import as_dataset
from keras_cr.search.lance import LanceStore
from tests.case import tiny_backbone
from tests.data.helpers import pixels, save_image

FILES = [f"{kind}/{number}.png" for kind in ("a", "b") for number in range(4)]


@pytest.fixture(scope="module")
def encoder():
    return CommonRationaleEncoder(tiny_backbone(), num_detectors=2, image_size=32, seed=0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name, image in zip(FILES, pixels(len(FILES)), strict=True):
        save_image(folder / name, image)
    return folder


@pytest.fixture(scope="module")
def built(encoder, photos):
    return Index.build(encoder, photos, {"year": [2001, 2002] * 4}, verbose=0)


@pytest.fixture
def index(built):
    """An index of the photos that a test may change."""
    index = copy.copy(built)
    index._store = copy.deepcopy(built._store)
    return index


def names(matches):
    return [match.name for match in matches]


def test_it_finds_what_the_embeddings_say(encoder):
    birds = synthetic_birds(3, train_per_class=8, test_per_class=2, image_size=48, seed=1)
    index = Index.build(encoder, birds, names=[str(i) for i in range(len(birds))], verbose=0)
    found = nearest(index.embeddings, k=4)
    assert [[int(match.name) for match in index.similar(str(i), 4)] for i in range(len(birds))] == (
        found.tolist()
    )
    asked = index.query(birds.images[:5], k=1)
    assert [each[0].name for each in asked] == ["0", "1", "2", "3", "4"]
    assert all(abs(each[0].similarity - 1) < 1e-5 for each in asked)
    kind = index.metadata("0")["class"]
    assert {match.metadata["class"] for match in index.similar("0", 9, {"class": kind})} == {kind}


def test_a_folder(index, photos, encoder):
    assert index.names == FILES
    assert len(index) == 8
    assert index.path("a/1.png") == str(photos / "a/1.png")
    assert index.name_of(photos / "a/1.png") == "a/1.png"
    assert index.name_of("elsewhere.png") is None
    assert "b/3.png" in index
    assert repr(index) == "Index(8 images, year)"
    image = keras.utils.img_to_array(keras.utils.load_img(photos / "b/2.png"))
    for query in (photos / "b/2.png", str(photos / "b/2.png"), image, image.astype("uint8")):
        best = index.query(query, k=1)[0]
        assert (best.name, best.metadata) == ("b/2.png", {"year": 2001})
    assert names(index.query(photos / "b/2.png", 9, where={"year": 2002})) != []
    several = index.query([photos / "a/0.png", photos / "a/1.png"], k=1)
    assert [each[0].name for each in several] == ["a/0.png", "a/1.png"]
    dataset, _ = as_dataset(photos)
    expected = embed(encoder, image_batches(dataset, 32, 8)).embedding
    np.testing.assert_allclose(index.embeddings, expected, atol=1e-5)


def test_an_image_without_metadata(encoder, photos):
    index = Index.build(encoder, photos, verbose=0)
    assert index.metadata(FILES[0]) == {}


def test_labelled_images_are_asked_for_by_class(encoder, photos):
    index = Index.build(encoder, read_image_folder(photos), folder=photos, verbose=0)
    assert index.names == FILES
    assert set(names(index.similar("a/0.png", 9, {"class": "b"}))) == set(FILES[4:])


def test_it_grows_and_shrinks(index, photos, tmp_path):
    new = tmp_path / "new.png"
    save_image(new, pixels(9)[8])
    index.add([new], {"year": [1999]}, verbose=0)
    assert names(index.query(new, k=1)) == [str(new)]
    index.remove(str(new))
    index.remove(["a/0.png", "a/1.png"])
    assert index.names == FILES[2:]
    assert names(index.query(photos / "a/0.png", k=1)) != ["a/0.png"]
    index.add([photos / "a/0.png"], {"year": [2001]}, verbose=0)  # below the folder: its short name
    assert names(index.query(photos / "a/0.png", k=1)) == ["a/0.png"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i, p: i.add([p / "a/0.png"], {"year": [1]}), "'a/0.png' is in the index already"),
        (lambda i, p: i.add([p / "a/0.png"], names=["x"]), r"the index's columns, \['year'\]"),
        (
            lambda i, p: i.add([p / "a/0.png"], {"year": ["1"]}, names=["x"]),
            "'year' is of the type int; received str",
        ),
        (lambda i, p: i.add([]), "must hold an image or more"),
        (lambda i, p: i.remove(["a/0.png", "x"]), "'x' is not in the index"),
        (lambda i, p: i.similar("x"), "'x' is not in the index"),
        (lambda i, p: i.query(p / "a/0.png", k=0), "`k` must be a positive integer"),
        (lambda i, p: i.query(np.zeros((4, 4))), r"RGB pixels of .* received shape \(4, 4\)"),
        (lambda i, p: i.query(np.zeros((4, 4, 1))), r"received shape \(4, 4, 1\)"),
        (lambda i, p: i.query([p, 3]), r"a list of files, .* received \["),
        (lambda i, p: i.query(p / "a/0.png", where={"x": 1}), "there is no column 'x'"),
        (lambda i, p: i.nearest(np.zeros((1, 3))), r"must have shape \(Q, 8\)"),
        (lambda i, p: i.make_approximate(), "in memory is exact"),
    ],
    ids=[
        "twice",
        "columns",
        "type",
        "nothing",
        "remove",
        "similar",
        "k",
        "pixels",
        "channels",
        "mixed",
        "where",
        "width",
        "approximate",
    ],
)
def test_mistakes_change_nothing(index, photos, change, message):
    with pytest.raises(ValueError, match=message):
        change(index, photos)
    assert index.names == FILES


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"metadata": {"year": [1]}}, "'year' must have one value for each of the 8 images"),
        ({"metadata": {"year": [None] * 8}}, "must be text, numbers or booleans; received None"),
        ({"metadata": {"name": ["a"] * 8}}, "a column's name must be an identifier other than"),
        ({"names": ["a"] * 8}, "'a' is there 8 times"),
        ({"names": ["a"]}, "1 for 8 images"),
        ({"metadata": {"year": [1, "2"] * 4}}, "all of them text, numbers or booleans"),
        ({"metadata": {"year": [True, 2] * 4}}, "all of them text, numbers or booleans"),
    ],
    ids=["length", "none", "reserved", "twice", "number", "mixed", "booleans"],
)
def test_what_can_not_be_built(encoder, photos, more, message):
    with pytest.raises(ValueError, match=message):
        Index.build(encoder, photos, verbose=0, **more)


def test_folders_without_images(encoder, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        Index.build(encoder, tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="holds no image"):
        Index.build(encoder, tmp_path)


def test_a_query_that_can_not_be_read_is_named(index, tmp_path):
    (tmp_path / "broken.png").write_text("no image")
    for query in (tmp_path / "broken.png", tmp_path / "gone.png"):
        with pytest.raises(UnreadableImageError, match=query.name):
            index.query(query)


def test_one_file_that_can_be_copied(index, encoder, photos, tmp_path):
    index.save(tmp_path / "first.index")
    shutil.copy(tmp_path / "first.index", tmp_path / "copy.index")
    again = Index.load(tmp_path / "copy.index", encoder)
    assert again.names == index.names
    assert again.query(photos / "b/1.png") == index.query(photos / "b/1.png")
    moved = shutil.copytree(photos, tmp_path / "moved")
    assert Index.load(tmp_path / "copy.index", folder=moved).path("a/0.png") == str(
        moved / "a/0.png"
    )


def test_the_encoder_is_loaded_by_its_preset_and_checked(encoder, photos, tmp_path):
    preset = str(encoder.save_to_preset(tmp_path / "preset"))
    Index.build(encoder, photos, preset=preset, verbose=0).save(tmp_path / "i")
    assert names(Index.load(tmp_path / "i").query(photos / "a/3.png", k=1)) == ["a/3.png"]
    other = CommonRationaleEncoder(tiny_backbone(), num_detectors=2, image_size=32, seed=1)
    with pytest.raises(ValueError, match="not the one that the index was built with"):
        Index.load(tmp_path / "i", other)
    shutil.rmtree(preset)
    other.save_to_preset(preset)
    with pytest.raises(ValueError, match="not the one that the index was built with"):
        Index.load(tmp_path / "i").query(photos / "a/3.png")
    Index.build(encoder, photos, verbose=0).save(tmp_path / "i")
    index = Index.load(tmp_path / "i")
    assert len(index.similar("a/0.png")) == 5  # what is in it needs no encoder
    with pytest.raises(ValueError, match="doesn't know its encoder's preset"):
        index.query(photos / "a/3.png")


def test_damaged_files_are_refused(index, encoder, tmp_path):
    index.save(tmp_path / "i")
    whole = (tmp_path / "i").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    for damaged in (b"", b"no index", whole[: len(whole) // 2], bytes(flipped)):
        (tmp_path / "i").write_bytes(damaged)
        with pytest.raises(ValueError, match="is no index, or a damaged one"):
            Index.load(tmp_path / "i", encoder)
    with pytest.raises(FileNotFoundError, match="There is no index at"):
        Index.load(tmp_path / "none")
    with pytest.raises(ValueError, match="a folder without an index"):
        Index.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "an index of format 2; this version of keras_cr reads format 1"),
        ({"format": None}, "an index of format None"),
        ({"image_size": "32"}, "is a damaged index"),
        ({"folder": ["a"]}, "is a damaged index"),
        ({"encoder": None}, "is a damaged index"),
    ],
    ids=["newer", "none", "size", "folder", "encoder"],
)
def test_what_it_says_of_itself_is_checked(index, tmp_path, change, message):
    index._store.save(tmp_path / "i", index._about.as_dict() | change)
    with pytest.raises(ValueError, match=message):
        Index.load(tmp_path / "i")


def test_lancedb_keeps_what_was_embedded_before_an_image_failed(
    encoder, photos, tmp_path, monkeypatch
):
    pytest.importorskip("lancedb", reason="needs LanceDB")
    monkeypatch.setattr(LanceStore, "at_once", 3)
    files = [photos / name for name in FILES]
    files[5] = tmp_path / "broken.png"
    files[5].write_text("no image")
    with pytest.raises(UnreadableImageError, match=r"broken\.png"):
        Index.build(encoder, files, {"year": range(8)}, store=tmp_path / "i.lance", verbose=0)
    index = Index.load(tmp_path / "i.lance", encoder)
    assert index.names == [str(file) for file in files[:3]]
    index.add(files[6:], {"year": [6, 7]}, verbose=0)
    assert [match.metadata["year"] for match in index.query(files[7], k=1)] == [7]


def test_an_emptied_index_keeps_its_columns(index, photos):
    index.remove(FILES)
    assert index.query(photos / "a/0.png") == []
    assert index.duplicates() == []
    with pytest.raises(ValueError, match=r"the index's columns, \['year'\]"):
        index.add([photos / "a/0.png"], verbose=0)
    index.add([photos / "a/0.png"], {"year": [1]}, verbose=0)
    assert names(index.query(photos / "b/0.png")) == ["a/0.png"]


def test_a_folder_of_lancedb(index, encoder, photos, tmp_path):
    pytest.importorskip("lancedb", reason="needs LanceDB")
    place = tmp_path / "photos.lance"
    stored = Index.build(encoder, photos, {"year": [2001, 2002] * 4}, store=place, verbose=0)
    query = photos / "b/1.png"
    assert names(stored.query(query, 8)) == names(index.query(query, 8))
    stored.remove("b/0.png")
    again = Index.load(place, encoder)
    assert len(again) == 7
    assert names(again.query(query, 8)) == [
        n for n in names(index.query(query, 8)) if n != "b/0.png"
    ]
    with pytest.raises(ValueError, match="where all changes go"):
        again.save(tmp_path / "i")
    with pytest.raises(FileExistsError, match="is there already"):
        Index.build(encoder, photos, store=place)
    stored.add(pixels(2), {"year": [1, 2]}, names=["x", "y"], verbose=0)
    with pytest.raises(ValueError, match="'year' is of the type int; received str"):
        stored.add(pixels(1), {"year": ["1"]}, names=["z"], verbose=0)
    with pytest.raises(ValueError, match="1 for 8 images"):
        Index.build(encoder, photos, names=["a"], store=tmp_path / "failed", verbose=0)
    assert not (tmp_path / "failed").exists()
    odd = Index.build(encoder, pixels(2), names=["a", "b"], store=tmp_path / "odd", verbose=0)
    with pytest.raises(ValueError, match="is no UTF-8"):
        odd.add(pixels(1), names=["\udcfc"], verbose=0)
