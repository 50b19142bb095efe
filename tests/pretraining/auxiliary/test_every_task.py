"""What holds for every auxiliary task."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr.pretraining import AUXILIARY, AuxiliaryTask, MoCo, Outcome, Pretext, Rotation
from tests.case import run_pretrainer_test, tiny_encoder
from tests.pretraining.objectives.test_moco import batch, moco

SMALL = {
    "dcl": {"grid": 4},
    "inpainting": {"hidden_dim": 16},
    "pirl": {"projection_dim": 8, "queue_size": 16},
    "puzzling": {"grid": 2},
    "rotation": {},
}
LEARNT = {  # a scalar, where it begins without learning, and where it must have come to
    "dcl": ("adversarial", 2 * np.log(2), 0.5),
    "inpainting": ("explained", 0, 0.2),
    "pirl": ("accuracy", 1 / 17, 0.9),
    "puzzling": ("accuracy", 1 / 4, 0.7),
    "rotation": ("accuracy", 1 / 4, 0.8),
}


def tasks(*names):
    return [AUXILIARY[name](**SMALL[name]) for name in names or SMALL]


def smooth(number=8):
    """Images without borders inside, so that a shuffled one can be told."""
    data = batch(number)
    for name in ("query", "key"):
        small = tf.image.resize(data[name][:, 4::8, 4::8], (32, 32), "bicubic")
        data[name] = np.clip(small, 0, 255)
    return data


def test_sizes_are_there_for_all():
    assert set(SMALL) == set(LEARNT) == set(AUXILIARY)
    assert {name: task.name for name, task in zip(SMALL, tasks(), strict=True)} == {
        name: name for name in SMALL
    }


@pytest.mark.parametrize("name", SMALL)
def test_it_is_learnt_without_labels(name):
    pretrainer = Pretext(tiny_encoder(channels=16), None, auxiliary=tasks(name))
    pretrainer.compile(keras.optimizers.Adam(0.01))
    data = smooth()
    history = []
    for _ in range(60):
        history.append(pretrainer.train_on_batch(data, return_dict=True))
        pretrainer.reset_metrics()
    scalar, chance, wanted = LEARNT[name]
    found = np.mean([float(logs[f"{name}_{scalar}"]) for logs in history[-10:]])
    assert (found - wanted) * (wanted - chance) > 0, (found, chance, wanted)
    assert float(history[-1]["loss"]) == pytest.approx(float(history[-1][f"{name}_loss"]))
    assert float(history[-1]["ssl_loss"]) == 0


def test_they_are_saved_and_go_on(tmp_path):
    """Draws go on too: those of the loaded pretrainer are the next ones."""

    def make():
        pretrainer = Pretext(tiny_encoder(), None, auxiliary=tasks("dcl", "pirl"))
        pretrainer.compile(keras.optimizers.SGD(0.1, momentum=0.9))
        return pretrainer

    run_pretrainer_test(make, batch(), tmp_path)


def test_draws_are_saved_with_the_heads(tmp_path):
    pretrainer = moco(None, auxiliary=tasks("puzzling"))
    pretrainer.run_eagerly = True
    for _ in range(3):
        pretrainer.train_on_batch(batch())
    pretrainer.save(tmp_path / "it.keras")
    pretrainer.save_weights(tmp_path / "it.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "it.keras")
    fresh = moco(None, auxiliary=tasks("puzzling"))
    fresh.load_weights(tmp_path / "it.weights.h5")
    for other in (loaded, fresh):
        np.testing.assert_array_equal(other.auxiliary[0].random.state, [0, 3])
        for a, b in zip(pretrainer.variables, other.variables, strict=True):
            np.testing.assert_array_equal(a, b)


class Silent(AuxiliaryTask):
    """Looks at other images, and learns nothing of them."""

    def objective(self, pretrainer, student, batch):
        return Outcome(0.0 * keras.ops.mean(pretrainer.look(255.0 - 2.0 * batch["query"])))


def test_the_objective_and_what_inference_uses_stay_as_they_are_bit_for_bit():
    plain, beside = moco(None), moco(None, auxiliary=[Silent()])
    for pretrainer in (plain, beside):
        pretrainer.run_eagerly = True
        for seed in range(3):
            pretrainer.train_on_batch(batch(seed=seed))
    assert beside.auxiliary[0].name == "silent"
    pairs = zip(plain.encoder.variables, beside.encoder.variables, strict=True)
    for a, b in pairs:  # the running statistics of batch normalisation are among them
        np.testing.assert_array_equal(a, b)
    for a, b in zip(plain.variables, moco(None, auxiliary=()).variables, strict=True):
        assert a.shape == b.shape


def test_weights_of_the_losses():
    rotation = Rotation(weight=0.1)
    pretrainer = moco(None, auxiliary=[rotation], objective_weight=0.9)
    pretrainer.run_eagerly = True
    logs = pretrainer.train_on_batch(batch(), return_dict=True)
    expected = 0.9 * float(logs["ssl_loss"]) + 0.1 * float(logs["rotation_loss"])
    assert float(logs["loss"]) == pytest.approx(expected, rel=1e-5)
    plain = moco(None)
    plain.run_eagerly = True
    assert float(plain.train_on_batch(batch(), return_dict=True)["ssl_loss"]) == pytest.approx(
        float(logs["ssl_loss"])
    )


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_low_precision(dtype):
    logs = []
    for policy in ("float32", dtype):
        encoder = tiny_encoder(dtype=policy)
        pretrainer = Pretext(encoder, None, auxiliary=tasks(), dtype=policy)
        pretrainer.compile(keras.optimizers.SGD(0.05), run_eagerly=True)
        logs.append(pretrainer.train_on_batch(batch(), return_dict=True))
        assert all(v.dtype == "float32" for v in pretrainer.auxiliary[0].trainable_variables)
    for name in SMALL:
        exact, low = (float(each[f"{name}_loss"]) for each in logs)
        assert low == pytest.approx(exact, rel=0.03), name


def test_sides_that_no_grid_divides():
    pretrainer = Pretext(tiny_encoder(), None, auxiliary=tasks())
    pretrainer.compile("sgd", run_eagerly=True)
    data = {
        name: values[:, :31, :31] if values.ndim == 4 else values
        for name, values in batch(4).items()
    }
    logs = pretrainer.train_on_batch(data, return_dict=True)
    assert all(np.isfinite(float(value)) for value in logs.values())


def test_each_pretrainer_has_copies_of_its_own():
    shared = [Rotation(weight=0.5)]
    first, second = (MoCo(tiny_encoder(), None, auxiliary=shared) for _ in range(2))
    assert not shared[0].built
    heads = [pretrainer.auxiliary[0].head.linears[0].kernel for pretrainer in (first, second)]
    assert heads[0] is not heads[1]
    np.testing.assert_array_equal(*heads)
    assert first.auxiliary[0].weight == 0.5
    with pytest.raises(ValueError, match="two tasks called 'rotation'.*another `name`"):
        moco(None, auxiliary=[Rotation(), Rotation()])
    with pytest.raises(ValueError, match=r"such as \[Rotation\(weight=0.1\)\]. Received: 'dcl'"):
        moco(None, auxiliary=["dcl"])
    with pytest.raises(ValueError, match="Pretext is to learn.*Received: auxiliary=()"):
        Pretext(tiny_encoder())


def test_an_encoder_knows_nothing_of_them():
    pretrainer = moco(None, auxiliary=tasks())
    assert len(pretrainer.encoder.variables) == len(moco(None).encoder.variables)
