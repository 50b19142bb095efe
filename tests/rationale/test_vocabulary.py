"""A vocabulary describes objects by their parts, and what isn't marked not at all."""

import itertools

import numpy as np
import pytest

from keras_cr.layers import VLADPooling
from keras_cr.pretraining import fit_rationale, fit_vocabulary
from keras_cr.rationale.vocabulary import fit_words, k_means
from tests.case import images, tiny_encoder

SIDE, CHANNELS = 8, 12
KINDS = list(itertools.permutations((2, 3, 4), 2))  # colours of body and head


def birds(number=240, seed=0):
    """Feature maps of a body and a head, and of a background, which varies most of all.

    Kinds differ in which of the two has which colour, so that some share their average.
    """
    rng = np.random.default_rng(seed)
    body, head, *_ = colours = np.eye(CHANNELS)
    labels = rng.integers(len(KINDS), size=number)
    maps = rng.normal(0, 1, (number, 1, 1, CHANNELS)) + rng.normal(
        0, 0.3, (number, SIDE, SIDE, CHANNELS)
    )
    marked = np.zeros((number, SIDE, SIDE), "float32")
    for image, mark, label in zip(maps, marked, labels, strict=True):
        y, x = rng.integers(0, SIDE - 4, 2)
        of_body, of_head = KINDS[label]
        image[y + 2 : y + 4, x : x + 4] = body + 0.3 * colours[of_body]
        image[y : y + 2, x : x + 4] = head + 0.3 * colours[of_head]
        mark[y : y + 4, x : x + 4] = 1
    maps += rng.normal(0, 0.1, maps.shape)
    return maps.astype("float32"), marked, labels


def unit(values):
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def rank1(embeddings, labels) -> float:
    alike = embeddings @ embeddings.T
    np.fill_diagonal(alike, -2)
    return float(np.mean(labels[alike.argmax(axis=1)] == labels))


def layer(**options):
    made = VLADPooling(**{"num_words": 4, "dimensions": 32, "smoothing": 0} | options)
    made.build((None, SIDE, SIDE, CHANNELS))
    return made


def test_it_tells_kinds_apart_whose_averages_are_the_same():
    maps, marked, labels = birds()
    shares = marked / marked.sum(axis=(1, 2), keepdims=True)
    average = unit(np.einsum("nhw,nhwc->nc", shares, maps))
    pool = layer()
    unfitted = rank1(np.asarray(pool(maps, marked)), labels)
    fit_words(pool, maps, marked)
    embeddings = np.asarray(pool(maps, marked))
    own = rank1(embeddings, labels)
    assert own > 0.9, own
    assert rank1(average, labels) < 0.65
    assert unfitted < 0.65
    everywhere = layer()
    fit_words(everywhere, maps, np.ones_like(marked))
    unmarked = rank1(np.asarray(everywhere(maps, np.ones_like(marked))), labels)
    assert unmarked < 0.65
    # to as few numbers as there are kinds, and of images that were not seen
    small = layer(dimensions=8)
    fit_words(small, maps, marked)
    maps, marked, labels = birds(seed=1)
    assert rank1(np.asarray(small(maps, marked)), labels) > 0.9


def test_words_are_of_what_is_marked():
    maps, marked, _ = birds()
    pool = layer(num_words=2)
    fit_words(pool, maps, marked)
    nearest = np.sort(np.argmax(unit(np.asarray(pool.words)), axis=1))
    np.testing.assert_array_equal(nearest, [0, 1])  # a body's and a head's
    again = layer(num_words=2)
    fit_words(again, maps, marked)
    for ours, its in zip(pool.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, its)


def test_fewer_images_than_dimensions_leave_the_rest_of_an_embedding_zero():
    maps, marked, _ = birds(number=6)
    pool = layer()
    fit_words(pool, maps, marked)
    embeddings = np.asarray(pool(maps, marked))
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)
    assert not embeddings[:, 5:].any()
    assert np.abs(embeddings[:, :5]).min(axis=1).max() > 0


def test_features_that_are_the_same_everywhere_give_a_vocabulary_too():
    maps, marked = np.ones((5, SIDE, SIDE, CHANNELS), "float32"), np.zeros((5, SIDE, SIDE))
    pool = layer()
    fit_words(pool, maps, marked)
    assert np.isfinite(np.asarray(pool(maps, marked))).all()


def test_what_is_not_finite_is_refused_and_leaves_the_vocabulary_as_it_was():
    maps, marked, _ = birds(number=20)
    pool = layer()
    before = pool.get_weights()
    with pytest.raises(ValueError, match="2 images or more. Received: 1"):
        fit_words(pool, maps[:1], marked[:1])
    maps[3] = np.nan
    with pytest.raises(ValueError, match="not be finite; it is left as it was"):
        fit_words(pool, maps, marked)
    for ours, its in zip(pool.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, its)


def test_k_means_finds_groups():
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 5, (5, 3))
    points = centres[rng.integers(5, size=500)] + rng.normal(0, 0.1, (500, 3))
    found = k_means(points.astype("float32"), 5, np.random.default_rng(1))
    apart = np.linalg.norm(found[:, None] - centres, axis=-1)
    assert sorted(apart.argmin(axis=1)) == list(range(5))
    assert apart.min(axis=1).max() < 0.1


def test_an_encoders_own_is_fitted_with_its_branch_and_alone():
    encoder = tiny_encoder(pooling="rationale")
    photos = images(40)
    with pytest.raises(ValueError, match="must have a vocabulary.*Received: 'rationale'"):
        fit_vocabulary(encoder, photos)
    encoder.pooling = "rationale_vlad"
    before = encoder.vocabulary.get_weights()
    fit_rationale(encoder, photos, rounds=1, epochs=1, verbose=0)
    words = np.asarray(encoder.vocabulary.words)
    assert np.abs(words - before[0]).max() > 0.01
    fit_vocabulary(encoder, (photos[i : i + 8] for i in range(0, 40, 8)), verbose=0)
    np.testing.assert_allclose(encoder.vocabulary.words, words, atol=0.01)
    embeddings = np.asarray(encoder(photos))
    assert np.linalg.matrix_rank(embeddings) > 3
