import numpy as np
import pytest

from keras_cr.evaluation import box_iou, box_thresholds, center_prior, foreground_boxes, map_boxes
from keras_cr.evaluation.boxes import choose_threshold


def test_box_iou_by_hand():
    boxes = [[0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 2, 2], [1, 1, 2, 2]]
    others = [[0, 0, 4, 4], [2, 2, 4, 4], [2, 2, 2, 2], [0, 0, 4, 4]]
    assert box_iou(boxes, others) == pytest.approx([1, 4 / 28, 0, 4 / 16])


def test_a_map_of_one_pixel_a_cell_gives_its_own_box():
    maps = np.zeros((1, 6, 6))
    maps[0, 1:4, 2:5] = 1
    assert map_boxes(maps, 6).tolist() == [[2, 1, 3, 3]]


def test_the_largest_region_counts_and_corners_connect():
    maps = np.zeros((2, 6, 6))
    maps[0, 0, :2] = 1  # two cells, apart from
    maps[0, 3:5, 3:6] = 0.6  # six
    maps[1, 0, 0] = maps[1, 1, 1] = 1  # one region by its corners
    maps[1, 4, 4] = 1
    assert map_boxes(maps, 6).tolist() == [[3, 3, 3, 2], [0, 0, 2, 2]]
    assert map_boxes(maps, 6, threshold=0.7)[0].tolist() == [0, 0, 2, 1]


def test_enlarged_boxes_keep_their_places():
    """A cell of 4 among 4 x 4 enlarged to 16: half its peak reaches half a cell further."""
    maps = np.zeros((1, 4, 4))
    maps[0, 2, 1] = 1
    x, y, width, height = map_boxes(maps, 16, threshold=0.5)[0]
    assert (x + width / 2, y + height / 2) == (6, 10)
    assert 4 <= width == height <= 6


def test_maps_that_say_nothing_mark_the_whole_image():
    maps = np.stack([np.zeros((3, 3)), np.ones((3, 3))])
    assert map_boxes(maps, 9).tolist() == [[0, 0, 9, 9]] * 2


def test_foreground_boxes():
    masks = np.zeros((2, 5, 5))
    masks[0, 1, 2] = masks[0, 3, 4] = 1
    assert foreground_boxes(masks).tolist() == [[2, 1, 3, 3], [0, 0, 0, 0]]


def test_the_threshold_is_the_best_of_the_grid_by_mean_overlap():
    rng = np.random.default_rng(0)
    maps = rng.random((6, 4, 4))
    boxes = foreground_boxes(rng.random((6, 16, 16)) > 0.98)
    grid = (0.2, 0.5, 0.8)
    overlap = [box_iou(map_boxes(maps, 16, t), boxes).mean() for t in grid]
    assert choose_threshold(maps, boxes, 16, grid) == grid[int(np.argmax(overlap))]


def test_map_and_centre_prior_are_given_the_same_chance():
    masks = np.zeros((3, 16, 16), "float32")
    masks[:, 6:10, 6:10] = 1
    masks[2] = 0  # an image without an object has no say
    chosen = box_thresholds(np.tile(center_prior(8, 8), (3, 1, 1)), masks)
    assert chosen["rationale"] == chosen["center_prior"] > 0.5
    with pytest.raises(ValueError, match="empty in all 1"):
        box_thresholds(np.ones((1, 4, 4)), 0 * masks[:1])


def test_refused_threshold():
    with pytest.raises(ValueError, match=r"`threshold` must lie in \(0, 1\]; received \(0,\)"):
        map_boxes(np.ones((1, 2, 2)), 4, threshold=0)
