import numpy as np
import pytest

from keras_cr.evaluation import center_prior, localization


def quarter(size=8):
    """Foreground in the upper left quarter."""
    mask = np.zeros((1, size, size), "float32")
    mask[:, : size // 2, : size // 2] = 1
    return mask


def test_by_hand():
    maps = np.array([[[1.0, 0.5], [0.5, 0.0]]])
    result = localization(maps, quarter())
    assert result["energy_ratio"] == pytest.approx(0.5 / 0.25)
    assert result["energy"] == pytest.approx(0.5)
    assert result["pointing_game"] == 1
    # enlarged to 8 x 8: half the peak reaches along both sides, 0.8 of it 4 pixels, as the mask
    assert (result["box_iou"], result["box_found"]) == (16 / 64, 0)
    narrow = localization(maps, quarter(), thresholds={"rationale": 0.8})
    assert (narrow["box_iou"], narrow["box_found"]) == (1, 1)
    nothing = {"energy": 0.25, "energy_ratio": 1, "pointing_game": 0.25}
    whole = {"box_iou": 16 / 64, "box_found": 0}
    assert result["uniform"] == pytest.approx(nothing | whole)
    assert result["center_prior"] == pytest.approx(nothing | whole)
    assert (result["images"], result["foreground_share"]) == (1, 0.25)


def test_a_centred_object_is_found_by_the_centre_prior():
    mask = np.zeros((2, 9, 9), "float32")
    mask[:, 3:6, 3:6] = 1
    result = localization(np.ones((2, 3, 3)), mask)
    prior = center_prior(3, 3)
    energy = prior[1, 1] / prior.sum()
    assert result["center_prior"]["energy"] == pytest.approx(energy)
    assert result["center_prior"]["energy_ratio"] == pytest.approx(9 * energy)
    assert result["center_prior"]["pointing_game"] == 1
    # 1 at pixel 4, falling by 0.589 in 3 pixels: half is reached 2 pixels away, 0.7 one away
    assert result["center_prior"]["box_iou"] == pytest.approx(9 / 25)
    narrow = localization(np.ones((2, 3, 3)), mask, thresholds={"center_prior": 0.7})
    assert (narrow["center_prior"]["box_iou"], narrow["center_prior"]["box_found"]) == (1, 1)
    assert prior[1, 1] == 1
    assert prior[0, 1] == pytest.approx(np.exp(-8 / 9))
    assert result["uniform"]["pointing_game"] == pytest.approx(1 / 9)


def test_cells_that_are_no_multiple_of_pixels():
    """3 cells over 4 pixels: the first cell holds the first pixel and a third of the second."""
    mask = np.zeros((1, 4, 4), "float32")
    mask[:, :, 0] = 1
    maps = np.zeros((1, 3, 3))
    maps[:, :, 0] = 1
    result = localization(maps, mask)
    assert result["pointing_game"] == pytest.approx(3 / 4)
    assert result["energy_ratio"] == pytest.approx((3 / 4) / (1 / 4))


def test_batches_equal_the_whole():
    rng = np.random.default_rng(0)
    maps, masks = rng.random((7, 5, 5)), (rng.random((7, 16, 16)) < 0.3).astype("float32")
    batches = (masks[start : start + 3] for start in range(0, 7, 3))
    assert localization(maps, batches) == localization(maps, masks)


def test_empty_foregrounds_and_empty_maps():
    masks = np.concatenate([quarter(), np.zeros_like(quarter()), quarter()])
    maps = np.zeros((3, 2, 2))
    maps[2, 0, 0] = 1
    result = localization(maps, masks)
    assert (result["images"], result["empty_foregrounds"], result["empty_maps"]) == (2, 1, 1)
    assert result["energy_ratio"] == pytest.approx((1 + 4) / 2)
    assert result["pointing_game"] == pytest.approx((0.25 + 1) / 2)


@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        (np.ones((2, 2, 2)), quarter(), "1 masks and 2 maps"),
        (np.ones((1, 2)), quarter(), "`rationale` must have shape"),
        (-np.ones((1, 2, 2)), quarter(), "not negative"),
        (np.full((1, 2, 2), np.nan), quarter(), "finite"),
        (np.ones((1, 2, 2)), 255 * quarter(), "divide masks in 0..255 by 255"),
        (np.ones((1, 2, 2)), 0 * quarter(), "empty in all 1"),
        (np.ones((1, 2, 2)), quarter()[0], "`foreground` must have shape"),
        (np.ones((1, 2, 2)), quarter()[:, :4], "`foreground` must have shape"),
    ],
)
def test_refusals(maps, masks, message):
    with pytest.raises(ValueError, match=message):
        localization(maps, masks)
