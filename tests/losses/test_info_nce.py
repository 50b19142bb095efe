import numpy as np
import pytest
from keras import ops

from keras_cr.losses import info_nce, info_nce_logits


def test_values():
    positives = np.array([0.6, 0.0])
    negatives = np.array([[0.1, -0.2], [0.5, 0.5]])
    logits = ops.convert_to_numpy(info_nce_logits(positives, negatives, temperature=0.5))
    np.testing.assert_allclose(logits, [[1.2, 0.2, -0.4], [0.0, 1.0, 1.0]], rtol=1e-6)
    expected = -np.log(np.exp(logits[:, 0]) / np.exp(logits).sum(1))
    np.testing.assert_allclose(info_nce(logits), expected, rtol=1e-6)


def test_excluded_negatives_do_not_count():
    positives, negatives = np.array([0.3]), np.array([[0.9, 0.1]])
    exclude = np.array([[True, False]])
    loss = info_nce(info_nce_logits(positives, negatives, 0.2, exclude=exclude))
    np.testing.assert_allclose(
        loss, info_nce(info_nce_logits(positives, negatives[:, 1:], 0.2)), rtol=1e-6
    )


def test_uniform_similarities_give_the_log_of_the_number_of_candidates():
    loss = info_nce(info_nce_logits(np.zeros(3), np.zeros((3, 7))))
    np.testing.assert_allclose(loss, np.log(8), rtol=1e-6)


def test_bad_temperature():
    with pytest.raises(ValueError, match="temperature=0"):
        info_nce_logits(np.zeros(1), np.zeros((1, 1)), temperature=0)
