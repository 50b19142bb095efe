"""Feature maps that are kept: in half precision where it can hold them, and many on disk."""

import errno
import io

import numpy as np
import pytest
from keras import ops

from keras_cr.models.feature_maps import FeatureMaps, HeldMaps, unit_scale
from tests.case import images, tiny_encoder


def maps(scale=1.0, number=3):
    return (np.random.default_rng(0).random((number, 2, 2, 4)) * scale).astype("float32")


def held(*parts):
    collected = HeldMaps()
    for part in parts:
        collected.add(part)
    return collected.all()


def test_a_smaller_last_batch_is_not_traced_anew():
    model = FeatureMaps(tiny_encoder())
    found = [model.predict_on_batch(images(count)) for count in (4, 3)]
    assert model.predict_function.experimental_get_tracing_count() == 1
    np.testing.assert_allclose(found[1], model.encoder.feature_map(images(3)), atol=1e-5)


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


def on_disk(*parts, folder):
    collected = HeldMaps(max_memory=1e-9)
    for part in parts:
        collected.add(part)
    assert not list(folder.iterdir())  # a file without a name
    return collected.all()


@pytest.mark.parametrize("scales", [(1, 1), (1, 1e-4), (1, 1e6), (1e-3,)])
def test_what_memory_does_not_hold_is_the_same_on_disk(scales, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    parts = [maps(scale, number=4) for scale in scales]
    found, expected = on_disk(*parts, folder=tmp_path), held(*parts)
    assert (found.shape, found.dtype) == (tuple(expected.shape), expected.dtype)
    assert found[:].dtype == expected.dtype
    np.testing.assert_array_equal(found[:], expected)
    np.testing.assert_array_equal(found[1:3], expected[1:3])
    rows = np.array([3, 0, 3])
    np.testing.assert_array_equal(found[rows], np.asarray(expected)[rows])
    assert unit_scale(found) == unit_scale(expected)


def test_a_full_disk_is_told(monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", lambda buffering: Full())
    with pytest.raises(OSError, match=r"`max_memory`.*No space left on device.*TMPDIR"):
        HeldMaps(max_memory=1e-9).add(maps())


def test_memory_must_be_positive():
    with pytest.raises(ValueError, match="max_memory=0"):
        HeldMaps(max_memory=0)
