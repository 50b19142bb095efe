"""Copies of an image are found, like images are not; clusters are the groups there are."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from keras_cr.data import synthetic_birds
from keras_cr.search import clusters, near_duplicates


@pytest.fixture(scope="module")
def birds():
    return synthetic_birds(4, train_per_class=10, test_per_class=1, image_size=64, seed=0).images


def compressed(image):
    data = io.BytesIO()
    image.save(data, "JPEG", quality=50)
    return Image.open(data).convert("RGB")


ALTERED = (
    compressed,
    lambda image: image.resize((40, 40)),
    lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    lambda image: image,
)


def test_copies_are_found_and_nothing_else(birds, tmp_path):
    files = [tmp_path / f"{number:02d}.png" for number in range(len(birds) + len(ALTERED))]
    pictures = [Image.fromarray(image) for image in birds]
    pictures += [alter(pictures[row]) for row, alter in enumerate(ALTERED)]
    for file, picture in zip(files, pictures, strict=True):
        picture.save(file)
    found = [[row, len(birds) + row] for row in range(len(ALTERED))]
    assert near_duplicates(files, verbose=0) == found
    assert near_duplicates(tmp_path, mirrored=False, verbose=0) == [*found[:3], found[4]]


def test_groups_are_linked_by_pairs():
    rng = np.random.default_rng(0)
    steps = [rng.integers(0, 256, (32, 32, 3))]
    for _ in range(3):
        steps.append(np.clip(steps[-1] + rng.normal(0, 30, (32, 32, 3)), 0, 255))
    pixels = np.stack([*steps, np.full((32, 32, 3), 9), np.full((32, 32, 3), 9)]).astype("uint8")
    assert near_duplicates(pixels, 0.9, verbose=0) == [[0, 1, 2, 3]]  # ends: less than 0.9
    assert near_duplicates(pixels[[0, 3]], 0.9, verbose=0) == []
    with pytest.raises(ValueError, match=r"`similarity` must lie in \(0, 1\]; received 0"):
        near_duplicates(pixels, 0)


def groups(count, per_group=20, width=24, seed=0):
    rng = np.random.default_rng(seed)
    middle = rng.normal(size=(count, width))
    labels = np.repeat(np.arange(count), per_group)
    return middle[labels] + 0.2 * rng.normal(size=(len(labels), width)), labels


@pytest.mark.parametrize("count", [2, 5, 9])
def test_clusters_are_the_groups(count):
    embeddings, labels = groups(count)
    for found in (clusters(embeddings, count), clusters(embeddings)):
        pairs = set(zip(labels.tolist(), found.tolist(), strict=True))
        assert len(pairs) == count, "one cluster a group"


def test_the_largest_comes_first_and_a_seed_decides():
    embeddings, labels = groups(3)
    kept = np.concatenate([np.flatnonzero(labels == 0)[:5], np.flatnonzero(labels > 0)])
    found = clusters(embeddings[kept], 3)
    sizes = np.bincount(found)
    assert sizes.tolist() == sorted(sizes, reverse=True)
    np.testing.assert_array_equal(found, clusters(embeddings[kept], 3))


def test_too_many_clusters():
    with pytest.raises(ValueError, match="`count` must be at most 4, the embeddings; received 5"):
        clusters(np.eye(4), 5)
    with pytest.raises(ValueError, match="must be given for fewer than 3"):
        clusters(np.eye(2))
