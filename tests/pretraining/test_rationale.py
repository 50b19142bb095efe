import json

import numpy as np
import pytest
import tensorflow as tf

from keras_cr.attribution import center_prior
from keras_cr.pretraining import Rationale


def test_reference_holds_the_releases_choices():
    reference = Rationale.reference()
    assert (reference.weight, reference.sign, reference.temperature) == (0.01, 1, 1.0)
    assert (reference.softmax, reference.reduction) == ("rows", "sum")
    assert reference.target_normalization == "none"
    assert not reference.detach_target
    assert not reference.detach_features
    assert reference.map_normalization == "batch"


def test_the_target_of_a_cam():
    cam = tf.constant([[[0.0, 3.0], [0.5, 0.0]]])
    marked = np.array([[[0, 1], [1, 0]]])
    np.testing.assert_array_equal(Rationale(prior="none").target_of(cam), marked)
    expected = marked * center_prior(2, 2)
    np.testing.assert_allclose(Rationale().target_of(cam), expected, rtol=1e-6)
    np.testing.assert_array_equal(Rationale.paper().target_of(cam), cam)


def test_named_choices_explain_the_objectives_own_loss():
    for named in (Rationale.paper(), Rationale.reference()):
        assert (named.positives, named.target, named.prior) == ("views", "cam", "none")
    assert Rationale().positives == "neighbours"


@pytest.mark.parametrize("rationale", [Rationale(), Rationale.paper(), Rationale.reference()])
def test_config_round_trip(rationale):
    assert Rationale(**json.loads(json.dumps(rationale.get_config()))) == rationale


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("weight", -1),
        ("lr_multiplier", -1),
        ("positives", "crops"),
        ("images", "crops"),
        ("contrast", "triplet"),
        ("target", "mask"),
        ("prior", "edge"),
        ("k", 0),
        ("bank_size", 10),
        ("warmup", -1),
        ("contrast_temperature", 0),
        ("sign", 0),
        ("cam", "pixel"),
        ("target_normalization", "batch"),
        ("temperature", 0),
        ("softmax", "columns"),
        ("reduction", "max"),
        ("map_normalization", "none"),
        ("extra_passes", ("third",)),
        ("pooled_weight", -1),
        ("detach_target", False),
        ("detach_features", False),
    ],
)
def test_bad_values(keyword, value):
    with pytest.raises(ValueError, match=keyword):
        Rationale(**{keyword: value})


@pytest.mark.parametrize(
    ("keyword", "value"), [("images", "views"), ("contrast", "similarity"), ("mirror", True)]
)
def test_what_belongs_to_neighbours_is_refused_with_views(keyword, value):
    with pytest.raises(ValueError, match=f"`{keyword}` has no effect with positives='views'"):
        Rationale(positives="views", **{keyword: value})
    Rationale(**{keyword: value})


def test_a_view_has_no_mirror_image():
    with pytest.raises(ValueError, match="`mirror` needs images='whole'"):
        Rationale(images="views", mirror=True)


def test_who_needs_whole_images():
    assert Rationale().whole_images
    assert not Rationale(images="views").whole_images
    assert not Rationale.paper().whole_images
