"""Which places of two crops match, and the loss over them, in NumPy."""

from dataclasses import replace

import numpy as np
import pytest

from keras_cr.data import two_views
from keras_cr.pretraining import View
from keras_cr.pretraining.matching import matched_places, view_box
from tests.case import tiny_encoder
from tests.data.helpers import STILL, dataset
from tests.pretraining.objectives.test_dino import cross_entropy
from tests.pretraining.objectives.test_moco import batch
from tests.pretraining.objectives.test_values import small

WHOLE, RIGHT = (0, 0, 1, 1), (0, 0.5, 1, 1)


def matches(boxes, flips, shapes):
    views = {"query_box": [boxes[0]], "query_flip": [flips[0]]}
    views |= {"key_box": [boxes[1]], "key_flip": [flips[1]]}
    views = {name: np.asarray(values) for name, values in views.items()}
    query, key = view_box(views, "query"), view_box(views, "key")
    index, inside = matched_places(query, shapes[0], key, shapes[1])
    found = np.where(inside, index, -1)[0].reshape(shapes[0])
    return found.tolist()


@pytest.mark.parametrize(
    ("boxes", "flips", "shapes", "expected"),
    [
        # A view's own places are its own; flipped, they are mirrored.
        ((WHOLE, WHOLE), (0, 0), ((2, 3), (2, 3)), [[0, 1, 2], [3, 4, 5]]),
        ((WHOLE, WHOLE), (1, 1), ((2, 3), (2, 3)), [[0, 1, 2], [3, 4, 5]]),
        ((WHOLE, WHOLE), (1, 0), ((2, 3), (2, 3)), [[2, 1, 0], [5, 4, 3]]),
        # Middles at 1/8, 3/8, 5/8, 7/8 of the image: the last two at 1/4 and 3/4 of its right half.
        ((WHOLE, RIGHT), (0, 0), ((1, 4), (1, 2)), [[-1, -1, 0, 1]]),
        ((WHOLE, RIGHT), (0, 1), ((1, 4), (1, 2)), [[-1, -1, 1, 0]]),
        ((WHOLE, RIGHT), (1, 0), ((1, 4), (1, 2)), [[1, 0, -1, -1]]),
        ((WHOLE, RIGHT), (1, 1), ((1, 4), (1, 2)), [[0, 1, -1, -1]]),
        ((RIGHT, WHOLE), (0, 0), ((1, 4), (1, 4)), [[2, 2, 3, 3]]),
        ((RIGHT, WHOLE), (1, 0), ((1, 4), (1, 4)), [[3, 3, 2, 2]]),
        # A larger map; rows; crops that don't meet.
        ((RIGHT, WHOLE), (0, 0), ((2, 2), (4, 4)), [[6, 7], [14, 15]]),
        (((0.5, 0, 1, 1), WHOLE), (0, 0), ((2, 1), (4, 1)), [[2], [3]]),
        (((0, 0, 1, 0.5), RIGHT), (0, 0), ((2, 2), (2, 2)), [[-1, -1], [-1, -1]]),
    ],
)
def test_two_crops_by_hand(boxes, flips, shapes, expected):
    assert matches(boxes, flips, shapes) == expected


def test_places_that_match_show_the_same_part_of_the_image():
    y, x = np.mgrid[:64, :64].astype("uint8")
    data = dataset(30, images=np.repeat(np.stack([y, x, x], -1)[None], 30, axis=0))
    crops = replace(STILL, scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3), flip=0.5)
    options = {"augmentation": crops, "boxes": True, "small_crops": 1, "small_size": 16}
    (views,) = two_views(data, 32, 30, **options).as_numpy_iterator()

    def shown(view, side):
        pixels = views[view].reshape(30, side, views[view].shape[-2] // side, side, -1, 3)
        return pixels.mean(axis=(2, 4))[..., :2].reshape(30, side * side, 2)

    for view, side in (("key", 4), ("small", 2)):
        boxes = view_box(views, view), view_box(views, "query")
        index, inside = map(np.asarray, matched_places(boxes[0], (side, side), boxes[1], (4, 4)))
        there = np.take_along_axis(shown("query", 4), index[..., None], axis=1)
        apart = np.abs(shown(view, side) - there)[inside]
        cells = np.abs(boxes[1][:, 2:] - boxes[1][:, :2]) * 64 / 4
        cells = np.broadcast_to(cells[:, None], (30, side * side, 2))[inside]
        assert 0.2 < inside.mean() < 0.95
        assert (apart <= cells / 2 + 1.0).all()


def test_value():
    rng = np.random.default_rng(0)
    data = {
        "query_box": [WHOLE, (0, 0, 1, 0.5)],
        "query_flip": [False, False],
        "key_box": [RIGHT, RIGHT],
        "key_flip": [True, False],
        "small_box": [[WHOLE, RIGHT], [(0, 0, 1, 0.5), RIGHT]],
        "small_flip": [[False, False], [False, True]],
    }
    data = {name: np.asarray(each) for name, each in data.items()}
    pretrainer = small("patch_wise", tiny_encoder(), rationale=None, prototypes=3, small_crops=2)
    centers = {"projected": rng.uniform(-0.1, 0.1, 3), "dense": rng.uniform(-0.1, 0.1, 3)}
    for name, center in centers.items():
        pretrainer.distillations[name].center.assign(center)

    def view(rows, side):
        outputs = rng.uniform(-0.3, 0.3, (rows, 1 + side * side, 3)).astype("float32")
        feature_map = np.zeros((rows, side, side, 8), "float32")
        return View(feature_map, None, outputs[:, 0], outputs[:, 0], outputs[:, 1:])

    student = {"query": view(2, 2), "key": view(2, 2), "small": view(4, 1)}
    teacher = {"query": view(2, 2), "key": view(2, 2)}
    # Places of the student's view that lie in a place of the teacher's, image by image.
    pairs = {
        ("key", "query"): [{0: 1, 1: 1, 2: 3, 3: 3}, {}],
        ("query", "key"): [{1: 1, 3: 3}, {}],
        ("small", "query"): [{0: 3}, {0: 3}, {0: 3}, {}],
        ("small", "key"): [{}, {0: 3}, {}, {0: 3}],
    }
    total = []
    for (name, other), matched in pairs.items():
        for row, places in enumerate(matched):
            image = row // 2 if name == "small" else row
            wanted, given = teacher[other], student[name]
            terms = [
                cross_entropy(wanted.projected[image], given.projected[row], centers["projected"])
            ]
            terms += [
                cross_entropy(wanted.dense[image, to], given.dense[row, own], centers["dense"])
                for own, to in places.items()
            ]
            total.append(np.mean(terms))
    outcome = pretrainer.objective(student, teacher, data)
    assert float(outcome.loss) == pytest.approx(np.mean(total), rel=1e-4)
    assert float(outcome.logs["matched_places"]) == pytest.approx(0.5)

    pretrainer.after_step(teacher, data)
    outputs = np.concatenate([teacher[name].dense for name in ("query", "key")]).reshape(-1, 3)
    moved = 0.9 * centers["dense"] + 0.1 * outputs.mean(axis=0)
    np.testing.assert_allclose(pretrainer.distillations["dense"].center, moved, rtol=1e-4)


def test_it_needs_boxes():
    data = batch()
    del data["small_flip"]
    pretrainer = small("patch_wise", tiny_encoder(), rationale=None, small_crops=2)
    pretrainer.compile("sgd", run_eagerly=True)
    with pytest.raises(ValueError, match=r"PatchWise needs 'small_flip'.*boxes=True"):
        pretrainer.train_on_batch(data)
