"""Each task's targets and losses against loops in NumPy, on a backbone that is known."""

import types

import keras
import numpy as np
import pytest

from keras_cr.pretraining import DCL, PIRL, Inpainting, Puzzling, Rotation, Supervised, View
from keras_cr.pretraining.auxiliary.tiles import averaged, random_orders
from tests.case import tiny_encoder

CHANNELS = 3


def seen(images):
    """The stub's backbone: a map of 4 x 4 places, the mean colour of each, in 0..1."""
    return averaged(images, 4, 4) / 255.0


class Stub:
    """A pretrainer that keeps what a task shows it."""

    labels = False
    encoder = types.SimpleNamespace(map_size=types.SimpleNamespace(of=lambda *sides: (4, 4)))

    def look(self, images):
        self.shown = np.asarray(images)
        return seen(images)


def built(task):
    """With weights and biases that are not zero."""
    task.build(CHANNELS)
    rng = np.random.default_rng(5)
    for variable in task.trainable_variables:
        variable.assign(rng.standard_normal(variable.shape))
    return task


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    query, key = rng.uniform(0, 255, (2, 5, 8, 8, 3)).astype("float32")
    return {"query": query, "key": key, "index": np.arange(5)}


def told(task, batch, stub=None):
    feature_map = seen(batch["query"])
    pooled = keras.ops.mean(feature_map, axis=(1, 2))
    student = {"query": View(feature_map, pooled, pooled, pooled)}
    outcome = task.objective(stub or Stub(), student, batch)
    return float(outcome.loss), {name: float(value) for name, value in outcome.logs.items()}


def linear(head, features):
    layer = head.linears[0]
    return features @ np.asarray(layer.kernel) + np.asarray(layer.bias)


def cross_entropy(logits, label):
    return np.log(np.exp(logits).sum()) - logits[label]


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_rotation(batch):
    task, stub = built(Rotation()), Stub()
    loss, logs = told(task, batch, stub)
    losses, right = [], []
    for turns in range(4):
        for row, image in enumerate(batch["query"]):
            turned = np.rot90(image, turns)
            np.testing.assert_array_equal(stub.shown[5 * turns + row], turned)
            logits = linear(task.head, turned.mean(axis=(0, 1)) / 255)
            losses.append(cross_entropy(logits, turns))
            right.append(logits.argmax() == turns)
    assert loss == pytest.approx(np.mean(losses), rel=1e-4)
    assert logs == {"accuracy": pytest.approx(np.mean(right))}
    batch["query"] = batch["query"][:, :6]
    with pytest.raises(ValueError, match=r"square.*\(5, 6, 8, 3\)"):
        told(task, batch)


def test_puzzling(batch):
    task, stub = built(Puzzling(grid=2, seed=3)), Stub()
    loss, logs = told(task, batch, stub)
    orders = np.asarray(random_orders(5, 4, keras.random.SeedGenerator(3)))
    losses, right = [], []
    for image, shown, order in zip(batch["query"], stub.shown, orders, strict=True):
        for place, source in enumerate(order):
            (row, column), (old_row, old_column) = divmod(place, 2), divmod(source, 2)
            tile = shown[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            old = image[4 * old_row : 4 * old_row + 4, 4 * old_column : 4 * old_column + 4]
            np.testing.assert_array_equal(tile, old)
            logits = linear(task.head, tile.mean(axis=(0, 1)) / 255)
            losses.append(cross_entropy(logits, source))
            right.append(logits.argmax() == source)
    assert loss == pytest.approx(np.mean(losses), rel=1e-4)
    assert logs == {"accuracy": pytest.approx(np.mean(right))}
    assert not np.array_equal(orders, random_orders(5, 4, task.random)), "other draws a step"


def confused_by_hand(number, grid, reach, seed):
    random = keras.random.SeedGenerator(seed)
    shape = (number, grid, grid)
    in_rows, in_columns = (
        np.asarray(keras.random.uniform(shape, -reach, reach, seed=random)) for _ in range(2)
    )
    found = []
    for image in range(number):
        regions = np.arange(grid**2).reshape(grid, grid)
        rows = [
            line[np.argsort(np.arange(grid) + in_rows[image, row])]
            for row, line in enumerate(regions)
        ]
        columns = [
            line[np.argsort(np.arange(grid) + in_columns[image, column])]
            for column, line in enumerate(np.stack(rows).T)
        ]
        found.append(np.stack(columns).T.ravel())
    return np.stack(found)


@pytest.mark.parametrize(("grid", "reach"), [(7, 2), (4, 1)])
def test_the_confusion_of_regions(grid, reach):
    moved = np.asarray(DCL(reach=reach, seed=4).confused(50, grid))
    np.testing.assert_array_equal(moved, confused_by_hand(50, grid, reach, seed=4))
    np.testing.assert_array_equal(np.sort(moved), np.tile(np.arange(grid**2), (50, 1)))
    now = np.stack(np.divmod(np.arange(grid**2), grid))
    distances = np.abs(np.stack(np.divmod(moved, grid), axis=1) - now)
    assert 0 < distances.max() < 2 * reach
    assert 0.2 < (distances.sum(axis=1) > 0).mean() < 1


def test_dcl(batch):
    task, stub = built(DCL(location_weight=0.5, seed=4)), Stub()
    loss, logs = told(task, batch, stub)
    moved = confused_by_hand(5, 4, 2, seed=4)  # the map has four places a side
    adversarial = location = 0
    for row, image in enumerate(batch["query"]):
        np.testing.assert_array_equal(stub.shown[row], image)
        for kind, sources in enumerate((np.arange(16), moved[row])):
            shown = stub.shown[5 * kind + row]
            logits = linear(task.adversary, shown.mean(axis=(0, 1)) / 255)
            adversarial += cross_entropy(logits, kind) / 5
            for place, source in enumerate(sources):
                (y, x), (old_y, old_x) = divmod(place, 4), divmod(source, 4)
                tile = shown[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
                old = image[2 * old_y : 2 * old_y + 2, 2 * old_x : 2 * old_x + 2]
                np.testing.assert_array_equal(tile, old)
                told_place = np.tanh(linear(task.locator, tile.mean(axis=(0, 1)) / 255))
                middle = np.array([old_y, old_x]) / 2 - 0.75  # -3/4, -1/4, 1/4, 3/4
                location += np.abs(told_place - middle).sum() / 16 / 5
    assert logs["adversarial"] == pytest.approx(adversarial, rel=1e-4)
    assert logs["location"] == pytest.approx(location, rel=1e-4)
    assert loss == pytest.approx(adversarial + 0.5 * location, rel=1e-4)


def test_dcl_beside_labels_classifies_the_destructed_image():
    rng = np.random.default_rng(0)
    query = rng.uniform(0, 255, (6, 32, 32, 3)).astype("float32")
    batch = {"query": query, "key": query, "label": np.array([0, 1, 2, 0, 1, 2])}
    pretrainer = Supervised(tiny_encoder(), None, num_classes=3, auxiliary=[DCL()])
    (task,) = pretrainer.auxiliary
    shown = []
    look = pretrainer.look
    pretrainer.look = lambda images: shown.append(look(images)) or shown[-1]
    student = {"query": pretrainer.see(look(query), pretrainer.heads)}
    outcome = task.objective(pretrainer, student, batch)
    pooled = np.asarray(shown[0])[6:].mean(axis=(1, 2))
    logits = linear(pretrainer.heads["project"], pooled)
    expected = np.mean([cross_entropy(*each) for each in zip(logits, batch["label"], strict=True)])
    parts = float(outcome.logs["adversarial"]) + float(outcome.logs["location"])
    assert float(outcome.loss) - parts == pytest.approx(expected, rel=1e-4)


def test_pirl(batch):
    task, stub = built(PIRL(projection_dim=4, queue_size=8, tiles_weight=0.3, seed=2)), Stub()
    task.queue.enqueue(unit(np.ones((2, 4), "float32")), np.array([0, 9]))
    negatives = np.asarray(task.queue.features).copy()
    images = np.asarray(task.queue.indices).copy()
    loss, logs = told(task, batch, stub)
    orders = np.asarray(random_orders(5, 4, keras.random.SeedGenerator(2)))
    of_image = unit(linear(task.image_head, batch["query"].mean(axis=(1, 2)) / 255))
    of_tiles = []
    for row, view in enumerate(batch["key"]):
        projected = []
        for place, tile in enumerate(stub.shown[4 * row : 4 * row + 4]):
            y, x = divmod(place, 2)
            np.testing.assert_array_equal(tile, view[4 * y : 4 * y + 4, 4 * x : 4 * x + 4])
            projected.append(linear(task.tile_head, tile.mean(axis=(0, 1)) / 255))
        joined = np.concatenate([projected[tile] for tile in orders[row]])
        of_tiles.append(unit(linear(task.joint_head, joined)))
    of_tiles = np.stack(of_tiles)

    def info_nce(looking, found, row):
        others = negatives[images != row]
        logits = np.append(looking[row] @ found[row], others @ looking[row]) / 0.07
        return cross_entropy(logits, 0), logits.argmax() == 0

    tiles, right = np.array([info_nce(of_tiles, of_image, row) for row in range(5)]).T
    image, _ = np.array([info_nce(of_image, of_tiles, row) for row in range(5)]).T
    assert loss == pytest.approx(0.3 * tiles.mean() + 0.7 * image.mean(), rel=1e-4)
    assert logs == {"accuracy": pytest.approx(right.mean())}
    np.testing.assert_allclose(np.asarray(task.queue.features)[2:7], of_image, rtol=1e-4)
    np.testing.assert_array_equal(np.asarray(task.queue.indices)[2:7], np.arange(5))


def test_tiles_too_small_for_a_backbone_are_enlarged(batch):
    task, stub = built(PIRL(projection_dim=4, queue_size=8)), Stub()
    stub.encoder = types.SimpleNamespace(map_size=types.SimpleNamespace(of=lambda *sides: (1, 1)))
    told(task, batch, stub)
    assert stub.shown.shape == (20, 8, 8, 3)
    np.testing.assert_allclose(stub.shown[0, 0, 0], batch["key"][0, 0, 0], rtol=1e-5)


def test_inpainting(batch):
    task, stub = built(Inpainting(grid=3, hidden_dim=6, seed=1)), Stub()
    loss, logs = told(task, batch, stub)
    ranks = np.asarray(random_orders(5, 9, keras.random.SeedGenerator(1)))
    hidden, out = task.decoder.linears
    error = variance = weights = 0
    for row, image in enumerate(batch["query"]):
        mean = image.mean(axis=(0, 1))
        erased = (ranks[row] < 2).reshape(3, 3)  # a quarter of nine tiles
        mask = np.array([[erased[3 * y // 8, 3 * x // 8] for x in range(8)] for y in range(8)])
        expected = np.where(mask[..., None], mean, image)
        np.testing.assert_allclose(stub.shown[row], expected, rtol=1e-5)
        places = expected.reshape(4, 2, 4, 2, 3).mean(axis=(1, 3)) / 255
        for y in range(16):  # four painted pixels for each place, two for each of the view's
            for x in range(16):
                features = places[y // 4, x // 4] @ np.asarray(hidden.kernel)
                features = np.maximum(features + np.asarray(hidden.bias), 0)
                painted = features @ np.asarray(out.kernel) + np.asarray(out.bias)
                painted = painted[12 * (y % 4) + 3 * (x % 4) :][:3]
                wanted = (image[y // 2, x // 2] - mean) / 127.5
                if mask[y // 2, x // 2]:
                    error += ((painted - wanted) ** 2).mean()
                    variance += (wanted**2).mean()
                    weights += 1
    assert loss == pytest.approx(error / weights, rel=1e-3)
    assert logs["explained"] == pytest.approx(1 - error / variance, rel=1e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rotation(weight=0), "`weight` must be a positive number. Received: weight=0"),
        (lambda: Puzzling(grid=1), "`grid` must be an integer of 2 or more. Received: grid=1"),
        (lambda: Inpainting(erased=1), "`erased` must lie between 0 and 1. Received: erased=1"),
        (lambda: DCL(reach=0), "`reach` must be a positive integer. Received: reach=0"),
        (lambda: PIRL(tiles_weight=2), "`tiles_weight` must lie in 0..1. Received: 2"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
