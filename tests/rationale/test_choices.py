import json

import numpy as np
import pytest
import tensorflow as tf

from keras_cr.attribution import center_prior
from keras_cr.experiment import Settings
from keras_cr.rationale import Foregrounds, Neighbours, Rationale, Views, fit_rationale
from tests.case import tiny_encoder


def test_reference_holds_the_releases_choices():
    reference = Rationale.reference()
    assert (reference.weight, reference.sign, reference.temperature) == (0.01, 1, 1.0)
    assert (reference.softmax, reference.reduction) == ("rows", "sum")
    assert reference.target_normalization == "none"
    assert not reference.positives.detach_target
    assert not reference.positives.detach_features
    assert reference.map_normalization == "batch"


def test_numpys_scalars_become_plain_ones():
    neighbours = Neighbours(k=np.int64(3), background=np.float32(2), mirror=np.False_)
    given = {"train_affine": np.True_, "temperature": np.float64(0.2), "weight": np.int64(1)}
    foregrounds = Foregrounds(swap_probability=np.float32(0.5), swapped=("key", "query", "key"))
    made = Rationale(neighbours, foregrounds=foregrounds, **given)
    config = json.loads(json.dumps(made.get_config()))
    assert Rationale.from_config(config) == made
    assert config["swapped"] == ["query", "key"]
    assert made.train_affine is True
    assert made.temperature == 0.2
    with pytest.raises(ValueError, match="`train_affine` must be True or False"):
        Rationale(train_affine=np.int64(1))


def test_a_branch_that_does_not_learn_cuts_nothing():
    assert Rationale(lr_multiplier=0).foregrounds is None
    for foregrounds in ("on", Foregrounds()):
        with pytest.raises(ValueError, match="`foregrounds` needs a branch that learns"):
            Rationale(lr_multiplier=0, foregrounds=foregrounds)
    frozen = Rationale(lr_multiplier=0)
    with pytest.raises(ValueError, match="`rationale` must have an lr_multiplier above 0"):
        fit_rationale(tiny_encoder(), np.zeros((4, 32, 32, 3), "uint8"), frozen)
    options = {"lr_multiplier": 0, "foregrounds": "off"}
    assert not Settings(rationale_options=options).refits
    assert Settings(rationale_options={"foregrounds": "off"}).refits


def test_the_release_has_another_path_for_byol():
    moco, byol = Rationale.reference(), Rationale.reference("byol")
    assert Rationale.reference("moco") == moco
    assert byol == moco.changed({"softmax": "map", "temperature": 0.4, "extra_passes": ()})
    with pytest.raises(ValueError, match="one of moco, byol, the release's.*objective='simclr'"):
        Rationale.reference("simclr")


def test_the_target_of_a_cam():
    cam = tf.constant([[[0.0, 3.0], [0.5, 0.0]]])
    marked = np.array([[[0, 1], [1, 0]]])
    np.testing.assert_array_equal(Rationale(prior="none").target_of(cam), marked)
    expected = marked * center_prior(2, 2)
    np.testing.assert_allclose(Rationale().target_of(cam), expected, rtol=1e-6)
    np.testing.assert_array_equal(Rationale.paper().target_of(cam), cam)


def test_named_choices_explain_the_objectives_own_loss():
    for named in (Rationale.paper(), Rationale.reference()):
        assert (named.explains_objective, named.target, named.prior) == (True, "cam", "none")
    assert Rationale().positives == Neighbours()


CONFIGURED = [Rationale(), Rationale.paper(), *map(Rationale.reference, ("moco", "byol"))]


@pytest.mark.parametrize("rationale", CONFIGURED)
def test_config_round_trip(rationale):
    assert Rationale.from_config(json.loads(json.dumps(rationale.get_config()))) == rationale


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
        ("bank_size", 20),
        ("warmup", -1),
        ("contrast_temperature", 0),
        ("background", -1),
        ("background_negatives", -0.5),
        ("sign", 0),
        ("cam", "pixel"),
        ("target_normalization", "batch"),
        ("temperature", 0),
        ("softmax", "columns"),
        ("reduction", "max"),
        ("map_normalization", "none"),
        ("target", np.zeros(3)),
        ("self_training", "false"),
        ("self_training", None),
        ("train_affine", "no"),
        ("mirror", 2),
        ("detach_target", 0),
        ("swapped", ("query", ["key"])),
        ("extra_passes", ("third",)),
    ],
)
def test_bad_values(keyword, value):
    of_views = keyword in ("extra_passes", "detach_target")
    options = {"positives": "views"} if of_views else {}
    with pytest.raises(ValueError, match=keyword):
        Rationale().changed(options | {keyword: value})


@pytest.mark.parametrize(
    ("keyword", "value"), [("images", "views"), ("contrast", "similarity"), ("mirror", True)]
)
def test_what_belongs_to_neighbours_is_refused_with_views(keyword, value):
    with pytest.raises(ValueError, match=f"`{keyword}` has no effect with positives='views'"):
        Rationale("views").changed({keyword: value})
    assert getattr(Rationale().changed({keyword: value}).positives, keyword) == value


def test_a_view_has_no_mirror_image():
    with pytest.raises(ValueError, match="`mirror` needs images='whole'"):
        Neighbours(images="views", mirror=True)


def test_who_needs_whole_images():
    assert Rationale().whole_images
    assert not Rationale(Neighbours(images="views")).whole_images
    assert not Rationale.paper().whole_images


@pytest.mark.parametrize("name", ["detach_target", "detach_features", "extra_passes"])
def test_what_belongs_to_views_is_refused_with_neighbours(name):
    with pytest.raises(ValueError, match=f"`{name}` has no effect with positives='neighbours'"):
        Rationale().changed({name: False})
    assert name in Rationale.names()


def test_another_kind_of_positives_starts_from_its_defaults():
    mixed = Rationale.reference().changed({"positives": "neighbours", "k": 4})
    assert mixed.positives == Neighbours(k=4)
    assert mixed.weight == 0.01
    assert mixed.changed({"positives": "neighbours"}) == mixed
    with pytest.raises(
        ValueError, match="`kk` is no choice of a rationale: positives, foregrounds,"
    ):
        mixed.changed({"kk": 1})


def test_a_config_of_all_choices_loads_as_the_run_it_is_of():
    """As it was written when one class held the choices of both kinds."""
    idle = {"detach_target": True, "detach_features": True, "extra_passes": []}
    flat = Rationale(Neighbours(k=7)).get_config() | idle | {"pooled_weight": 0.0}
    assert Rationale.from_config(flat) == Rationale(Neighbours(k=7))
    idle = Neighbours().__dict__ | {"pooled_weight": 0.0}
    assert Rationale.from_config(Rationale(Views()).get_config() | idle) == Rationale(Views())
    with pytest.raises(ValueError, match="pooled_weight"):
        Rationale.from_config({"pooled_weight": 0.5})


@pytest.mark.parametrize(
    ("choice", "match"),
    [
        ({"cut": "sky"}, "`cut` must be one of"),
        ({"refine": "edges"}, "`refine` must be one of"),
        ({"cut_level": "high"}, "`cut_level` must be a finite number. Received: cut_level='high'"),
        ({"cut_level": 1.5}, "`cut_level` must be in 0..1"),
        ({"cut_softness": float("inf")}, "`cut_softness` must be a finite number"),
        ({"swap_probability": True}, "`swap_probability` must be a finite number"),
        ({"crop_share": 1.01}, r"`crop_share` must be in 0..1. Received: crop_share=1.01"),
        ({"swapped": ()}, r"`swapped` must name one or more views. Received: swapped=\(\)"),
        ({"swapped": 3}, "`swapped` must name one or more views. Received: swapped=3"),
        ({"swapped": ("whole",)}, "`swapped` must be some of"),
        ({"filling": "sky"}, "`filling` must be one of"),
        ({"fit_every": 0}, "`fit_every` must be a positive integer"),
    ],
)
def test_bad_foregrounds(choice, match):
    with pytest.raises(ValueError, match=match):
        Foregrounds(**choice)


def test_foregrounds_among_the_choices():
    assert Rationale().foregrounds == Foregrounds()
    assert Rationale(foregrounds="off").foregrounds is Rationale.paper().foregrounds is None
    assert Rationale(Views()).foregrounds is None
    changed = Rationale().changed({"cut": "center", "fit_every": 4})
    assert changed.foregrounds == Foregrounds(cut="center", fit_every=4)
    assert changed.changed({"foregrounds": "off"}).foregrounds is None
    assert Foregrounds(swapped="query").swapped == ("query",)
    for rationale in (Rationale(), changed, Rationale.paper(), Rationale(foregrounds=None)):
        assert Rationale.from_config(rationale.get_config()) == rationale
    assert Rationale.from_config({"k": 3}).foregrounds is None, "of an earlier run"
    earlier = {"k": 3, "foregrounds": "on", "cut": "center"}
    expected = Foregrounds(cut="center", refine="none", crop_share=0)
    assert Rationale.from_config(earlier).foregrounds == expected
    with pytest.raises(ValueError, match="`cut` has no effect with foregrounds='off'"):
        Rationale().changed({"foregrounds": "off", "cut": "mask"})
    with pytest.raises(ValueError, match="`foregrounds` needs positives=Neighbours"):
        Rationale(Views(), foregrounds=Foregrounds())
    with pytest.raises(ValueError, match="one of auto, on, off. Received: foregrounds='maybe'"):
        Rationale(foregrounds="maybe")
