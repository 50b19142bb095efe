import numpy as np
import pytest

from keras_cr.layers import TokensToMap
from tests.case import run_layer_test


def test_layer():
    tokens = np.random.default_rng(0).random((2, 9, 4), "float32")
    run_layer_test(
        TokensToMap, {"height": 2, "width": 4, "skip": 1}, [tokens], (2, 2, 4, 4), weights=(0, 0)
    )


def test_rows_of_patches_follow_each_other():
    tokens = np.arange(8, dtype="float32").reshape(1, 8, 1)
    expected = [[[[2], [3], [4]], [[5], [6], [7]]]]
    np.testing.assert_array_equal(TokensToMap(2, 3, skip=2)(tokens), expected)


@pytest.mark.parametrize("number", [7, 9, 16])
def test_another_number_of_tokens_is_refused(number):
    with pytest.raises(ValueError, match=r"2 x 3 patches and 2 in front.*Received shape: \(2, "):
        TokensToMap(2, 3, skip=2)(np.zeros((2, number, 1), "float32"))
