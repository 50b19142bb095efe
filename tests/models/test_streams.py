"""The one checked reader behind embed and fit_rationale."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr.evaluation import embed
from keras_cr.models.streams import checked_batches
from keras_cr.pretraining import Neighbours, Rationale, fit_rationale
from tests.case import images, tiny_encoder


class Batches(keras.utils.PyDataset):
    def __init__(self, batches, length):
        super().__init__()
        self.batches, self.length = batches, length

    @property
    def num_batches(self):
        return self.length

    def __getitem__(self, index):
        return self.batches[index]


BATCH, LABELS = images(6), np.arange(6)


def rows():
    return tf.data.Dataset.from_tensor_slices((BATCH, LABELS))


def sources():
    """Six images, however they come."""
    return {
        "array": BATCH,
        "bytes": BATCH.astype("uint8").astype("float32"),
        "tensor": tf.constant(BATCH),
        "list of images": list(BATCH),
        "list of batches": [BATCH[:4], BATCH[4:]],
        "generator": (BATCH[i : i + 2] for i in (0, 2, 4)),
        "empty batches between": [BATCH[:4], BATCH[:0], BATCH[4:]],
        "dataset": rows().batch(4),
        "named": rows().map(lambda x, y: {"image": x, "label": y}).batch(4),
        "named within a tuple": rows().map(lambda x, y: ({"images": x}, y)).batch(4),
        "one entry": rows().map(lambda x, y: {"photo": x}).batch(4),
        "dict of arrays": {"image": BATCH, "label": LABELS},
        "endless, cut": rows().batch(3).repeat().take(2),
        "PyDataset": Batches([(BATCH[:3], LABELS[:3]), (BATCH[3:], LABELS[3:])], 2),
    }


@pytest.mark.parametrize("case", sources())
def test_every_source_gives_its_images_in_order(case):
    found = np.concatenate(list(checked_batches(sources()[case], batch_size=4)))
    np.testing.assert_array_equal(found, sources()["bytes" if case == "bytes" else "array"])


def refused():
    return {
        "repeat": (rows().batch(2).repeat(), r"endless.*repeat\(\).*take"),
        "endless PyDataset": (Batches([BATCH], None), "endless Batches"),
        "cycle": (itertools.cycle([BATCH]), "endless cycle"),
        "not batched": (rows(), r"dataset.batch\(n\)"),
        "several entries": (
            rows().map(lambda x, y: {"a": x, "b": y}).batch(2),
            r"'image' or 'images'.*\['a', 'b'\]",
        ),
        "sizes": ([BATCH, BATCH[:, :16]], r"\(6, 16, 32, 3\) after images of 32 x 32"),
        "sizes in a ragged batch": (
            tf.data.Dataset.from_tensor_slices([32, 24])
            .map(lambda side: tf.ones((side, 32, 3)))
            .ragged_batch(2),
            "different sizes",
        ),
        "0..1": (rows().map(lambda x, y: x / 255).batch(2), "Multiply"),
        "nothing": (iter(()), "at least one image"),
        "only empty batches": ([BATCH[:0]], "at least one image"),
        "paths": (["a.jpg"], "read_images"),
        "paths in batches": (tf.data.Dataset.from_tensors(["a.jpg"]), "read_images"),
        "a number": (3, "iterable of batches"),
        "labels first": (rows().map(lambda x, y: (y, x)).batch(2), r"batch of shape \(2,\)"),
    }


@pytest.mark.parametrize("case", refused())
def test_embed_and_fit_rationale_refuse_the_rest_alike(case):
    encoder, message = tiny_encoder(), refused()[case][1]
    with pytest.raises(ValueError, match=f"`images`.*{message}"):
        embed(encoder, refused()[case][0])
    with pytest.raises(ValueError, match=f"`images`.*{message}"):
        fit_rationale(encoder, refused()[case][0], Rationale(Neighbours(k=2)))


def test_a_data_set_is_told_how_it_is_read():
    from keras_cr.data import synthetic_birds

    birds = synthetic_birds(2, 1, 0, 32)
    with pytest.raises(ValueError, match=r"image_batches\(dataset, image_size, batch_size\)"):
        embed(tiny_encoder(), birds)


def test_the_position_counts_over_the_stream():
    bad = BATCH.copy()
    bad[5, 0, 0, 0] = np.nan
    for source in (bad, [bad[:4], bad[4:]], [BATCH, bad]):
        position = 11 if source is not bad and source[0] is BATCH else 5
        with pytest.raises(ValueError, match=f"at position {position}"):
            list(checked_batches(source, 4))


def test_dark_images_that_come_first_in_an_array():
    batch = np.concatenate([BATCH * 0.003, BATCH])
    assert sum(map(len, checked_batches(batch, 3))) == 12


def test_what_is_embedded_is_what_a_call_gives():
    encoder = tiny_encoder()
    expected = encoder(BATCH)
    for case in ("list of images", "named", "PyDataset"):
        np.testing.assert_allclose(embed(encoder, sources()[case]).embedding, expected, atol=1e-6)


@pytest.mark.parametrize("batch_size", [0, 2.5, True, "4"])
def test_bad_batch_sizes(batch_size):
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer"):
        embed(tiny_encoder(), BATCH, batch_size=batch_size)
