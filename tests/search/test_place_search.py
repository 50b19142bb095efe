"""Search by one place of an image finds what is there, wherever it is in others."""

import numpy as np
import pytest

from keras_cr import CommonRationaleEncoder
from keras_cr.data import UnreadableImageError
from keras_cr.search import Index, PlaceSearch
from tests.case import tiny_backbone
from tests.data.helpers import save_image

SIDE, PATCH = 64, 32
NAMES = [f"{number}.png" for number in range(8)]
CORNERS = [(x, y) for x in (0, 1) for y in (0, 1)] * 2  # in patches, of the part
PARTS = [0, 0, 0, 0, 1, 1, 1, 1]  # which of two parts an image has


@pytest.fixture(scope="module")
def pictures():
    """Eight noisy grounds of unlike brightness; each has one of two parts in one of its corners."""
    rng = np.random.default_rng(0)
    parts = rng.uniform(0, 255, (2, PATCH // 8, PATCH // 8, 3)).repeat(8, axis=1).repeat(8, axis=2)
    found = np.empty((8, SIDE, SIDE, 3), "uint8")
    for image, part, (x, y) in zip(found, PARTS, CORNERS, strict=True):
        image[:] = np.clip(rng.uniform(60, 190) + rng.normal(0, 6, image.shape), 0, 255)
        image[PATCH * y : PATCH * (y + 1), PATCH * x : PATCH * (x + 1)] = parts[part]
    return found


@pytest.fixture(scope="module")
def encoder():
    return CommonRationaleEncoder(tiny_backbone(), num_detectors=2, image_size=SIDE, seed=0)


@pytest.fixture(scope="module")
def places(encoder, pictures):
    return PlaceSearch.build(encoder, pictures, NAMES, batch_size=3, verbose=0)


def middle(image):
    return tuple((corner + 0.5) * PATCH / SIDE for corner in CORNERS[image])


@pytest.mark.parametrize("query", [0, 6])
def test_a_part_is_found_where_it_is(places, query):
    found = places.similar(NAMES[query], middle(query), k=7)
    assert NAMES[query] not in [match.name for match in found]
    numbers = [NAMES.index(match.name) for match in found]
    assert [PARTS[number] for number in numbers[:3]] == [PARTS[query]] * 3
    for match, number in zip(found[:3], numbers, strict=False):
        corner = tuple(int(part * SIDE // PATCH) for part in match.at)
        assert corner == CORNERS[number]
        assert match.map.max() == match.similarity <= 1
    similarity = [match.similarity for match in found]
    assert similarity == sorted(similarity, reverse=True)
    assert similarity[2] > similarity[3] + 0.1


def test_what_all_places_share_does_not_count(places):
    """Without the mean taken off, every two features of a ReLU have a positive cosine."""
    found = places.similar(NAMES[0], middle(0), k=7)
    assert min(match.map.min() for match in found) < 0


def test_an_image_finds_itself_where_it_was_asked(places, pictures):
    at = places.query(pictures[5], (0.9, 0.1), k=1)[0].at
    assert places.query(pictures[5], at, k=1)[0].at == at
    best = places.query(pictures[5], at, k=8)
    assert best[0].name == NAMES[5]
    assert best[0].similarity == pytest.approx(1, abs=2e-3)
    others = places.query(pictures[5], at, k=8, without=[NAMES[5]])
    assert [match.name for match in others] == [match.name for match in best[1:]]


def test_fewer_numbers_a_place_take_less_memory(encoder, pictures, places):
    few = PlaceSearch.build(encoder, pictures, NAMES, channels=2, verbose=0)
    height, width = places.similar(NAMES[0], (0, 0), k=1)[0].map.shape
    assert few.nbytes == 8 * height * width * 2 * 2 < places.nbytes
    assert few.similar(NAMES[0], middle(0), k=1)[0].map.shape == (height, width)


def test_a_region_is_an_average(places):
    alone, around = (places.similar(NAMES[0], middle(0), 7, radius) for radius in (0, 1))
    assert [match.similarity for match in alone] != [match.similarity for match in around]


def test_of_an_index(encoder, pictures, tmp_path):
    for name, image in zip(NAMES, pictures, strict=True):
        save_image(tmp_path / name, image)
    index = Index.build(encoder, tmp_path, verbose=0)
    places = PlaceSearch.of(index, NAMES[3:7], verbose=0)
    assert places.names == NAMES[3:7]
    assert places.query(tmp_path / NAMES[3], middle(3), k=1)[0].name == NAMES[3]
    (tmp_path / NAMES[3]).write_text("no image")
    with pytest.raises(ValueError, match=NAMES[3]):
        PlaceSearch.of(index, verbose=0)


def test_mistakes(places):
    for at in ((0.5, 1.5), (0.5,), "ab", None, (float("nan"), 0)):
        with pytest.raises(ValueError, match="`at` must be"):
            places.similar(NAMES[0], at)
    with pytest.raises(ValueError, match="'x.png' is none of the 8 images"):
        places.similar("x.png", (0, 0))
    with pytest.raises(ValueError, match="`radius`"):
        places.similar(NAMES[0], (0, 0), radius=-1)


def test_what_can_not_be_asked_is_told(encoder, places, pictures, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(UnreadableImageError, match="notes.txt .*repair or remove them.$"):
        places.query(tmp_path / "notes.txt", (0.5, 0.5))
    for at in ("01", {0.1: 1, 0.2: 2}, (0.5,), (2, 0)):
        with pytest.raises(ValueError, match="`at` must be"):
            places.query(pictures[0], at)
    found = places.query(pictures[0], [0.5, 0.5], k=8, without=NAMES[0])
    assert NAMES[0] not in [match.name for match in found]
    save_image(tmp_path / "photos" / "a.png", pictures[0])
    index = Index.build(encoder, tmp_path / "photos", verbose=0)
    with pytest.raises(ValueError, match="`names`: 'nope' is not in the index"):
        PlaceSearch.of(index, ["nope"])
