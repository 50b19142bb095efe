"""DINO's loss and centre in NumPy, its small crops, and that it does not collapse."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr.data import Augmentation
from keras_cr.pretraining import DINO, View
from tests.case import images, tiny_encoder
from tests.pretraining.objectives.test_moco import batch
from tests.pretraining.objectives.test_values import small


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(target, output, center):
    """Of one teacher's row and one student's."""
    wanted = softmax((target - center) / 0.04)
    return -(wanted * np.log(softmax(output / 0.1))).sum()


def seen(outputs):
    return View(None, None, outputs, outputs)


def test_value_and_center():
    rng = np.random.default_rng(0)
    query, key, slow_query, slow_key = rng.uniform(-0.3, 0.3, (4, 5, 12)).astype("float32")
    crops = rng.uniform(-0.3, 0.3, (5, 2, 12)).astype("float32")
    center = rng.uniform(-0.1, 0.1, 12).astype("float32")
    dino = small("dino", tiny_encoder(), rationale=None, small_crops=2)
    dino.distillations["projected"].center.assign(center)
    student = {"query": seen(query), "key": seen(key), "small": seen(crops.reshape(10, 12))}
    teacher = {"query": seen(slow_query), "key": seen(slow_key)}

    total = []
    for i in range(5):
        views = [query[i], key[i], *crops[i]]
        for number, target in enumerate((slow_query[i], slow_key[i])):
            others = [view for place, view in enumerate(views) if place != number]
            total += [cross_entropy(target, view, center) for view in others]
    outcome = dino.objective(student, teacher, {})
    assert float(outcome.loss) == pytest.approx(np.mean(total), rel=1e-4)

    wanted = softmax((slow_query - center) / 0.04)
    entropy = -(wanted * np.log(wanted)).sum(axis=1).mean() / np.log(12)
    assert float(outcome.logs["teacher_entropy"]) == pytest.approx(entropy, rel=1e-4)
    mean = wanted.mean(axis=0)
    entropy = -(mean * np.log(mean)).sum() / np.log(12)
    assert float(outcome.logs["prototype_entropy"]) == pytest.approx(entropy, rel=1e-4)

    dino.after_step(teacher, {})
    moved = 0.9 * center + 0.1 * np.concatenate([slow_query, slow_key]).mean(axis=0)
    np.testing.assert_allclose(dino.distillations["projected"].center, moved, rtol=1e-5)


def test_small_crops_are_trained_on():
    data, losses = batch(), []
    for crops in (data["small"], 255 - data["small"]):
        dino = small("dino", tiny_encoder(), rationale=None, small_crops=2)
        dino.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        losses.append(dino.train_on_batch(data | {"small": crops}, return_dict=True)["ssl_loss"])
    assert losses[0] != losses[1]
    assert (dino.views, DINO.views) == (("query", "key", "small"), ("query", "key"))
    with pytest.raises(ValueError, match="small_crops=2.*3, 16, 16, 3"):
        dino.train_on_batch(data | {"small": np.repeat(data["small"][:, :1], 3, axis=1)})
    del data["small"]
    with pytest.raises(ValueError, match=r"DINO needs 'small'.*two_views\(..., small_crops=2\)"):
        dino.train_on_batch(data)


def test_defaults_are_the_papers():
    dino = DINO(tiny_encoder(), rationale=None, prototypes=16)
    config = DINO.__init__.__defaults__
    assert 65536 in config
    assert dino.heads["project"].units == (2048, 2048, 256)
    assert (dino.temperature, dino.teacher_temperature, dino.momentum) == (0.1, 0.04, 0.996)
    assert [each.scale for each in Augmentation.dino()] == [(0.14, 1.0)] * 2
    with pytest.raises(ValueError, match="teacher_temperature"):
        DINO(tiny_encoder(), teacher_temperature=0)


@pytest.mark.parametrize(("name", "crops"), [("dino", 0), ("patch_wise", 1)])
def test_it_does_not_collapse(name, crops):
    """Targets differ from image to image, and agree in views."""
    rng, whole = np.random.default_rng(0), images(32)
    box = np.broadcast_to(np.float32([0, 0, 1, 1]), (32, 4))
    fixed = {f"{view}_box": box for view in ("query", "key")}
    fixed |= {f"{view}_flip": np.zeros(32, bool) for view in ("query", "key")}
    fixed |= {"small": whole[:, None, :16, :16], "small_flip": np.zeros((32, 1), bool)}
    fixed["small_box"] = np.broadcast_to(np.float32([0, 0, 0.5, 0.5]), (32, 1, 4))

    def views():
        while True:
            noisy = whole + rng.normal(0, 20, (2, *whole.shape))
            yield fixed | dict(zip(("query", "key"), noisy.astype("float32"), strict=True))

    keras.utils.set_random_seed(0)
    sizes = {"prototypes": 64, "hidden_dim": 32, "bottleneck_dim": 16, "small_crops": crops}
    pretrainer = small(name, tiny_encoder(), rationale=None, momentum=0.95, **sizes)
    pretrainer.compile(keras.optimizers.SGD(0.05, momentum=0.9))
    signature = {key: tf.TensorSpec(each.shape, each.dtype) for key, each in next(views()).items()}
    data = tf.data.Dataset.from_generator(views, output_signature=signature)
    history = pretrainer.fit(data, epochs=3, steps_per_epoch=25, verbose=0).history
    assert history["ssl_loss"][-1] < 0.6 * np.log(64)
    assert history["teacher_entropy"][-1] < history["prototype_entropy"][-1] - 0.3
    assert history["embedding_std"][-1] > 0.8
