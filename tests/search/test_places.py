"""The places of two images add up to their similarity."""

import numpy as np
import pytest

from keras_cr import CommonRationaleEncoder
from keras_cr.models.encoder import POOLINGS
from keras_cr.search import similarity_maps
from keras_cr.search.places import shown
from tests.case import images, tiny_backbone


@pytest.mark.parametrize("pooling", POOLINGS)
def test_shares_add_up(pooling):
    encoder = CommonRationaleEncoder(
        tiny_backbone(), num_detectors=2, image_size=32, pooling=pooling, seed=0
    )
    pictures = images(4, 32)
    of_query, of_images, similarity = similarity_maps(encoder, pictures[0], pictures[1:])
    embedding = np.asarray(encoder(pictures))
    np.testing.assert_allclose(similarity, embedding[1:] @ embedding[0], atol=1e-5)
    np.testing.assert_allclose(of_query.sum(axis=(1, 2)), similarity, atol=1e-5)
    np.testing.assert_allclose(of_images.sum(axis=(1, 2)), similarity, atol=1e-5)


def test_what_two_images_share_is_where_they_are_alike():
    """Both show the same patch, one at the left and one at the right, on other backgrounds."""
    rng = np.random.default_rng(0)
    patch = rng.uniform(0, 255, (16, 16, 3))
    first, second = np.full((32, 32, 3), 30.0), np.full((32, 32, 3), 60.0)
    first[8:24, :16], second[8:24, 16:] = patch, patch
    encoder = CommonRationaleEncoder(
        tiny_backbone(), num_detectors=2, image_size=32, pooling="average", seed=0
    )
    of_first, of_second, _ = similarity_maps(encoder, first, second[None])
    assert of_first[0][:, :2].sum() > of_first[0][:, 2:].sum()
    assert of_second[0][:, 2:].sum() > of_second[0][:, :2].sum()


def test_what_is_shown():
    maps = np.array([[[-1.0, 0.5], [0.25, 0.0]], [[-1.0, -2.0], [-3.0, 0.0]]])
    np.testing.assert_allclose(shown(maps), [[[0, 1], [0.5, 0]], [[0, 0], [0, 0]]])
