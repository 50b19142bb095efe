import json

import pytest

from keras_cr.pretraining import Rationale


def test_reference_holds_the_releases_choices():
    reference = Rationale.reference()
    assert (reference.weight, reference.sign, reference.temperature) == (0.01, 1, 1.0)
    assert (reference.softmax, reference.reduction) == ("rows", "sum")
    assert reference.target_normalization == "none"
    assert not reference.detach_target
    assert not reference.detach_features
    assert reference.map_normalization == "batch"


@pytest.mark.parametrize("rationale", [Rationale(), Rationale.reference()])
def test_config_round_trip(rationale):
    assert Rationale(**json.loads(json.dumps(rationale.get_config()))) == rationale


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("weight", -1),
        ("sign", 0),
        ("cam", "pixel"),
        ("target_normalization", "batch"),
        ("temperature", 0),
        ("softmax", "columns"),
        ("reduction", "max"),
        ("map_normalization", "none"),
        ("extra_passes", ("third",)),
    ],
)
def test_bad_values(keyword, value):
    with pytest.raises(ValueError, match=keyword):
        Rationale(**{keyword: value})
