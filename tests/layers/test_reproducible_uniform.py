"""Initial weights that no backend decides."""

import keras
import numpy as np
import pytest

from keras_cr.layers.reproducible_uniform import ReproducibleUniform, _philox


def test_the_generator_gives_its_authors_values():
    """From kat_vectors of Random123, the authors' library."""
    ones = np.full((1, 4), 0xFFFFFFFF, "uint32")
    for counter, key, expected in (
        (0 * ones, 0 * ones[0, :2], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (ones, ones[0, :2], [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ):
        np.testing.assert_array_equal(_philox(counter, key), [expected])


@pytest.mark.parametrize("seed", [0, 7, 2**31 - 2, 2**32 - 1])
def test_numbers_are_those_of_keras_under_tensorflow(seed):
    for shape in ((1, 1, 7, 3), (1, 1, 512, 1)):
        expected = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed)
        found = ReproducibleUniform(1 / 3, seed)
        np.testing.assert_array_equal(found(shape, "float32"), expected(shape, "float32"))


def test_other_seeds_and_its_config():
    shape = (1, 1, 5, 2)
    drawn = ReproducibleUniform(seed=None)
    again = ReproducibleUniform.from_config(ReproducibleUniform(0.5, 3).get_config())
    np.testing.assert_array_equal(drawn(shape), drawn(shape))
    np.testing.assert_array_equal(again(shape), ReproducibleUniform(0.5, 3)(shape))
    generator = ReproducibleUniform(seed=keras.random.SeedGenerator(0))
    assert np.abs(np.asarray(generator(shape)) - generator(shape)).max() > 0
