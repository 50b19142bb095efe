"""Feature maps in memory: half precision where it can hold them."""

import numpy as np
import pytest
from keras import ops

from keras_cr.models.feature_maps import HeldMaps


def maps(scale=1.0, number=3):
    return (np.random.default_rng(0).random((number, 2, 2, 4)) * scale).astype("float32")


def held(*parts):
    collected = HeldMaps()
    for part in parts:
        collected.add(part)
    return collected.all()


def test_ordinary_maps_are_halved():
    for parts in ([maps()], [maps(), maps(1e-4)], [maps(0), maps(0.5)], [maps(60_000)]):
        found = held(*parts)
        assert found.dtype == "float16"
        np.testing.assert_array_equal(found, np.concatenate(parts).astype("float16"))


@pytest.mark.parametrize("scale", [1e5, 1e20, 1e-3, 1e-12])
def test_others_are_kept_wider(scale):
    found = held(maps(scale))
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, maps(scale))


def test_one_large_batch_widens_all():
    found = held(maps(), maps(1e6), ops.cast(maps(), "bfloat16"))
    assert found.dtype == "float32"
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[3:6], maps(1e6))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite(value):
    bad = maps()
    bad[1, 0, 0, 0] = value
    collected = HeldMaps()
    collected.add(maps())
    with pytest.raises(ValueError, match="must be finite.*image at position 4.*dtype='float32'"):
        collected.add(bad)
