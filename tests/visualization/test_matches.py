"""The sheet of matches shows every picture, under its map too, with its text."""

import numpy as np
import pytest

from keras_cr.visualization import match_sheet
from keras_cr.visualization.matches import CELL

RED, GREEN, BLUE = ([255, 0, 0], [0, 255, 0], [0, 0, 255])


def flat(*colors):
    return np.stack([np.full((20, 20, 3), color, "uint8") for color in colors])


def test_what_is_where(tmp_path):
    bright = np.ones((1, 4, 4))
    sheet = match_sheet(
        flat(RED, GREEN),
        [flat(BLUE, RED), flat(BLUE)],
        np.concatenate([bright, 0 * bright]),
        [np.concatenate([bright, 0 * bright]), bright],
        titles=[["query", "first\nsecond line", "c"], ["query", "d"]],
        path=tmp_path / "new" / "sheet.png",
    )
    assert (tmp_path / "new" / "sheet.png").is_file()
    counts = [(np.asarray(sheet) == color).all(axis=-1).sum() for color in (RED, GREEN, BLUE)]
    inside = (CELL - 8) ** 2  # without the frames
    assert counts[0] >= 2 * inside
    assert counts[1] >= inside
    assert counts[2] >= 2 * inside
    one = match_sheet(flat(RED), [flat(BLUE)], bright, [bright])
    assert one.shape[0] < sheet.shape[0] / 2
    assert one.shape[1] < sheet.shape[1]


def test_a_query_without_matches():
    sheet = match_sheet(
        flat(RED), [np.zeros((0, 20, 20, 3))], np.ones((1, 4, 4)), [np.zeros((0, 4, 4))]
    )
    assert (np.asarray(sheet) == RED).all(axis=-1).any()


def test_what_does_not_fit():
    one = np.ones((1, 4, 4))
    with pytest.raises(ValueError, match="one entry for each of the 1 queries; received 2 and 1"):
        match_sheet(flat(RED), [flat(RED)] * 2, one, [one])
    with pytest.raises(ValueError, match="one map for each of the 2 images"):
        match_sheet(flat(RED), [flat(RED, RED)], one, [one])
    with pytest.raises(ValueError, match="`titles` must have one line for each of the 2 images"):
        match_sheet(flat(RED), [flat(RED)], one, [one], titles=[["query"]])
