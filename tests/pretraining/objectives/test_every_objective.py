"""What holds for every objective, with the rationale on and off."""

import math
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr.pretraining import OBJECTIVES, Rationale
from keras_cr.pretraining.twin import rising
from tests.case import tiny_encoder
from tests.pretraining.objectives.test_moco import SMALL, batch
from tests.pretraining.objectives.test_values import SIZES, small


def compiled(name, rationale=SMALL, **options):
    pretrainer = small(name, tiny_encoder(num_detectors=2), rationale=rationale, **options)
    pretrainer.compile(keras.optimizers.SGD(0.05, momentum=0.9, clipnorm=1.0))
    return pretrainer


def test_sizes_and_rows_of_the_page_are_there_for_all():
    assert set(SIZES) == set(OBJECTIVES)
    page = (pathlib.Path(__file__).parents[3] / "docs" / "objectives.md").read_text()
    for name, objective in OBJECTIVES.items():
        (row,) = [row for row in page.splitlines() if row.startswith(f"| `{name}` |")]
        assert f"| `{objective.__name__}` |" in row
        assert ("| yes |" in row) == bool(objective.explained)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_it_trains_in_a_graph_and_goes_on_from_a_file(name, tmp_path):
    pretrainer = compiled(name)
    views = tf.data.Dataset.from_tensors(batch()).repeat(3)
    history = pretrainer.fit(views, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert {"loss", "ssl_loss", "embedding_std", "fit_loss", *pretrainer.logged} <= set(history)
    pretrainer.save(tmp_path / "pretrainer.keras")
    loaded = keras.saving.load_model(tmp_path / "pretrainer.keras")
    logs = []
    for each in (pretrainer, loaded):
        each.run_eagerly, each.train_function = True, None
        each.reset_metrics()
        logs.append(each.train_on_batch(batch(seed=1), return_dict=True))
    assert logs[0] == logs[1]
    for one, other in zip(pretrainer.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    whole, alone = (loaded.encoder(batch()["image"][:number]) for number in (8, 1))
    np.testing.assert_allclose(whole[:1], alone, atol=1e-6)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_low_precision(name):
    losses = []
    for policy in ("float32", "mixed_bfloat16"):
        encoder = tiny_encoder(num_detectors=2, dtype=policy)
        pretrainer = small(name, encoder, rationale=SMALL, dtype=policy)
        pretrainer.compile(keras.optimizers.SGD(0.05), run_eagerly=True)
        logs = pretrainer.train_on_batch(batch(), return_dict=True)
        losses.append(float(logs["loss"]))
        assert all(v.dtype == "float32" for v in pretrainer.trainable_variables)
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_the_rationale_leaves_the_objective_as_it_is_bit_for_bit(name):
    plain, with_it = compiled(name, None), compiled(name)
    for pretrainer in (plain, with_it):
        pretrainer.run_eagerly = True
        for seed in range(2):
            pretrainer.train_on_batch(batch(seed=seed))
    parts = [(p.encoder.backbone, *p.heads.values()) for p in (plain, with_it)]
    for one, other in zip(*parts, strict=True):
        for a, b in zip(one.weights, other.weights, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_the_papers_rationale_explains_a_loss_that_images_have(name):
    if not OBJECTIVES[name].explained:
        with pytest.raises(ValueError, match="no image has one that could be explained"):
            small(name, tiny_encoder(), rationale=Rationale.paper())
        return
    pretrainer = compiled(name, Rationale.paper())
    pretrainer.run_eagerly = True
    assert float(pretrainer.train_on_batch(batch(), return_dict=True)["cam_peak"]) > 0


def test_the_references_passes_need_views_that_an_objective_sees():
    with pytest.raises(ValueError, match="`rationale`.*Supervised sees, query.*'key' among them"):
        small("supervised", tiny_encoder(), rationale=Rationale.reference())
    moco = compiled("moco", Rationale.reference())
    moco.run_eagerly = True
    assert np.isfinite(moco.train_on_batch(batch(), return_dict=True)["loss"])


@pytest.mark.parametrize(
    ("name", "argument", "least"),
    [
        ("moco", "temperature", "a positive number"),
        ("simclr", "temperature", "a positive number"),
        ("barlow_twins", "off_diagonal_weight", "a number of 0 or more"),
        ("vicreg", "invariance_weight", "a number of 0 or more"),
        ("vicreg", "variance_weight", "a number of 0 or more"),
        ("vicreg", "covariance_weight", "a number of 0 or more"),
        ("byol", "objective_weight", "a number of 0 or more"),
        ("byol", "backbone_lr_multiplier", "a number of 0 or more"),
    ],
)
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "1"])
def test_numbers_are_looked_at_before_a_step(name, argument, least, value):
    with pytest.raises(ValueError, match=f"`{argument}` must be {least}. Received: {argument}="):
        small(name, tiny_encoder(), **{argument: value})


def test_a_twin_can_rise_to_the_end():
    assert float(rising(0.9, 10, 0)) == pytest.approx(0.9)
    assert float(rising(0.9, 10, 5)) == pytest.approx(0.95)
    assert float(rising(0.9, 10, 10)) == pytest.approx(1.0)
    pretrainer = compiled("byol", None, momentum=0.5, total_steps=2)
    pretrainer.run_eagerly = True
    for _ in range(2):
        pretrainer.train_on_batch(batch())
    before = [np.asarray(w) for w in pretrainer.twin.heads["project"].linears[0].weights]
    pretrainer.train_on_batch(batch())  # its momentum is 1
    for old, new in zip(before, pretrainer.twin.heads["project"].linears[0].weights, strict=True):
        np.testing.assert_array_equal(old, new)
