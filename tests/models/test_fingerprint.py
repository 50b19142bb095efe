"""Encoders with one fingerprint embed alike; others have another."""

import keras
import numpy as np
import pytest

from keras_cr.models import CommonRationaleEncoder, encoder_fingerprint
from keras_cr.rationale import fit_vocabulary
from tests.case import images

CHOICES = {"offset": 0.0, "strides": 2, "activation": "relu", "pooling": "rationale", "seed": 0}


def encoder(name="conv", dtype=None, **changes):
    """Two encoders have the same weights unless `seed` says otherwise."""
    chosen = CHOICES | changes
    backbone = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Rescaling(1 / 255, chosen["offset"]),
            keras.layers.Conv2D(
                4,
                3,
                strides=chosen["strides"],
                activation=chosen["activation"],
                kernel_initializer=keras.initializers.HeNormal(seed=chosen["seed"]),
                name=name,
            ),
        ]
    )
    return CommonRationaleEncoder(
        backbone, num_detectors=2, pooling=chosen["pooling"], seed=0, dtype=dtype
    )


def test_what_embeds_alike_has_one(tmp_path):
    first = encoder()
    found = {encoder_fingerprint(each) for each in (first, encoder(name="other"))}
    first.save_to_preset(tmp_path / "preset")
    found.add(encoder_fingerprint(CommonRationaleEncoder.from_preset(str(tmp_path / "preset"))))
    first.trainable = False
    found.add(encoder_fingerprint(first))
    assert len(found) == 1


@pytest.mark.parametrize(
    ("choice", "other"),
    {"offset": -0.5, "strides": 1, "activation": "tanh", "pooling": "average", "seed": 1}.items(),
)
def test_what_embeds_otherwise_has_another(choice, other):
    first, second = encoder(), encoder(**{choice: other})
    pictures = images(2, 32)
    assert np.abs(np.asarray(first(pictures)) - np.asarray(second(pictures))).max() > 1e-4
    assert encoder_fingerprint(first) != encoder_fingerprint(second)


def test_a_fitted_branch_has_another():
    first, second = encoder(), encoder()
    second.branch.detectors.kernel.assign(second.branch.detectors.kernel + 0.1)
    assert encoder_fingerprint(first) != encoder_fingerprint(second)


def test_a_vocabulary_of_other_images_has_another():
    found = set()
    for seed in (0, 1, 1):
        fitted = encoder(pooling="rationale_vlad")
        fit_vocabulary(fitted, images(40, 32, seed=seed))
        found.add(encoder_fingerprint(fitted))
    assert len(found) == 2
