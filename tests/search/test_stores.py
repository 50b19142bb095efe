"""One suite over both stores: they find the same, whatever was added and removed."""

import itertools

import numpy as np
import pytest

from keras_cr.search.exact import ExactStore
from keras_cr.search.lance import LanceStore

COUNT, WIDTH = 300, 16


def unit(count, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, WIDTH)).astype("float32")
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


NAMES = [f"a/{number}'s é.jpg" for number in range(COUNT)]
VECTORS = unit(COUNT)
COLUMNS = {
    "class": np.array(["one", "two", "thr'ee"] * (COUNT // 3)),
    "year": np.arange(COUNT) % 7,
    "sharp": np.arange(COUNT) / 7,
    "checked": np.arange(COUNT) % 2 == 0,
}


@pytest.fixture(params=["exact", "lance"])
def store(request, tmp_path):
    if request.param == "exact":
        return ExactStore()
    pytest.importorskip("lancedb", reason="needs LanceDB")
    return LanceStore.create(tmp_path / "new" / "index.lance", {"format": 1})


@pytest.fixture
def filled(store):
    parts = itertools.pairwise((0, 100, 250, COUNT))
    for start, end in parts:
        columns = {name: values[start:end] for name, values in COLUMNS.items()}
        store.add(NAMES[start:end], VECTORS[start:end], columns)
    return store


def by_hand(query, k, rows):
    similarity = VECTORS[rows] @ query
    best = np.argsort(-similarity, kind="stable")[:k]
    return [NAMES[row] for row in np.asarray(rows)[best]], similarity[best]


def check(store, rows, where=None, k=5):
    queries = unit(4, seed=1)
    for query, found in zip(queries, store.search(queries, k, where), strict=True):
        names, similarity = by_hand(query, k, rows)
        assert [name for name, _ in found] == names
        np.testing.assert_allclose([value for _, value in found], similarity, atol=1e-5)


def test_an_empty_one(store):
    assert (len(store), store.width, dict(store.columns), store.names()) == (0, None, {}, [])
    assert store.known(["a"]) == set()


def test_what_is_nearest_is_found(filled):
    assert (len(filled), filled.width) == (COUNT, WIDTH)
    assert filled.columns == {"class": str, "year": int, "sharp": float, "checked": bool}
    check(filled, np.arange(COUNT))
    check(filled, np.arange(COUNT), k=2 * COUNT)


@pytest.mark.parametrize(
    "where",
    [
        {"class": "thr'ee"},
        {"class": ["one", "two"], "checked": True},
        {"year": (2, 3), "checked": False},
        {"sharp": 3.0},
        {"year": np.int64(4)},
    ],
    ids=["text", "several", "numbers", "float", "numpy"],
)
def test_a_filter_lets_in_what_fits_all_columns(filled, where):
    kept = np.ones(COUNT, bool)
    for column, values in where.items():
        kept &= np.isin(COLUMNS[column], np.atleast_1d(values))
    assert kept.any()
    check(filled, np.flatnonzero(kept), where)


def test_a_filter_that_lets_nothing_in(filled):
    assert filled.search(unit(2), 3, {"class": "four"}) == [[], []]
    assert filled.search(unit(2), 3, {"class": []}) == [[], []]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"colour": "red"}, "there is no column 'colour'; the index has 'class', 'year'"),
        ({"year": "2"}, "'year' holds numbers; received '2'"),
        ({"class": 1}, "'class' holds text; received 1"),
        ({"checked": 1}, "'checked' holds booleans; received 1"),
        ({"class": None}, "must be text, numbers or booleans; received None"),
    ],
    ids=["column", "number", "text", "boolean", "none"],
)
def test_a_filter_that_makes_no_sense(filled, where, message):
    with pytest.raises(ValueError, match=message):
        filled.search(unit(1), 3, where)


def test_what_was_removed_is_not_found(filled):
    gone = NAMES[::3]
    filled.remove(gone)
    kept = [row for row in range(COUNT) if row % 3]
    assert filled.names() == [NAMES[row] for row in kept]
    assert filled.known(NAMES[:4]) == {NAMES[1], NAMES[2]}
    check(filled, kept)
    filled.add(
        gone[:2], VECTORS[[0, 3]], {name: values[[0, 3]] for name, values in COLUMNS.items()}
    )
    check(filled, sorted([*kept, 0, 3]))


def test_rows_by_their_names(filled):
    asked = [NAMES[250], NAMES[3]]
    np.testing.assert_array_equal(filled.vectors(asked), VECTORS[[250, 3]])
    np.testing.assert_array_equal(filled.vectors(), VECTORS)
    assert filled.values(asked) == [
        {"class": "two", "year": 250 % 7, "sharp": 250 / 7, "checked": True},
        {"class": "one", "year": 3, "sharp": 3 / 7, "checked": False},
    ]


def test_an_inverted_file_misses_little(tmp_path):
    pytest.importorskip("lancedb", reason="needs LanceDB")
    store = LanceStore.create(tmp_path / "index.lance", {})
    store.add(NAMES, VECTORS, {})
    store.make_approximate()
    queries = unit(20, seed=1)
    hits = 0
    for query, found in zip(queries, store.search(queries, 5), strict=True):
        hits += len({name for name, _ in found} & set(by_hand(query, 5, np.arange(COUNT))[0]))
    assert hits >= 90  # of 100
