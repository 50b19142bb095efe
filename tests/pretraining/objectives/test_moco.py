import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_cr.losses import info_nce, info_nce_logits
from keras_cr.optimizers import LARS, AdamW
from keras_cr.pretraining import MoCo, Neighbours, Rationale
from tests.case import images, run_pretrainer_test, tiny_encoder

SMALL = Rationale(Neighbours(k=3, bank_size=16, warmup=1))
ATTACHMENTS = ("detach_features", "detach_target")


def batch(number=8, seed=0):
    query = images(number, seed=seed)
    key = (query + np.random.default_rng(seed + 1).normal(0, 20, query.shape)).astype("float32")
    index = np.arange(number)
    made = {"query": query, "key": key, "index": index, "image": query, "label": index % 4}
    made["small"] = np.stack([query[:, :16, :16], key[:, 16:, 16:]], axis=1)
    for view, box in {
        "query": (0, 0, 1, 1),
        "key": (0, 0, 1, 1),
        "small": (0, 0, 0.5, 0.5),
    }.items():
        shape = (number, 2) if view == "small" else (number,)
        made[f"{view}_box"] = np.broadcast_to(np.float32(box), (*shape, 4))
        made[f"{view}_flip"] = np.zeros(shape, "int32")
    made["small_box"] = made["small_box"] + np.float32([[0], [0.5]])
    return made


def moco(rationale=SMALL, dtype=None, optimizer=None, eager=False, **kwargs):
    pretrainer = MoCo(
        tiny_encoder(num_detectors=3, dtype=dtype),
        **{"rationale": rationale, "projection_dim": 6, "queue_size": 16, "seed": 3} | kwargs,
        dtype=dtype,
    )
    pretrainer.compile(optimizer or keras.optimizers.SGD(0.1, momentum=0.9), run_eagerly=eager)
    return pretrainer


@pytest.mark.parametrize("rationale", [SMALL, Rationale.reference(), None])
def test_pretrainer(rationale, tmp_path):
    make = lambda: moco(rationale, backbone_lr_multiplier=0.5)  # noqa: E731
    run_pretrainer_test(make, batch(), tmp_path)


def train_plain_moco(pretrainer, batches, learning_rate, momentum):
    """MoCo v2 written out by hand on copies of a pretrainer's networks."""
    backbone, head = pretrainer.encoder.backbone, pretrainer.heads["project"]
    slow_backbone, slow_head = pretrainer.twin.backbone, pretrainer.twin.heads["project"]
    queue = np.asarray(pretrainer.queue.features).copy()
    variables = backbone.trainable_variables + head.trainable_variables
    slow = [
        own
        for network, copy in ((backbone, slow_backbone), (head, slow_head))
        for own, other in zip(copy.weights, network.weights, strict=True)
        if other.trainable
    ]
    optimizer = keras.optimizers.SGD(learning_rate, momentum=0.9)
    pointer, losses = 0, []

    def project(network, head, images):
        return ops.normalize(head(ops.mean(network(images, training=True), axis=(1, 2))), axis=-1)

    for data in batches:
        for own, other in zip(slow, variables, strict=True):
            own.assign(momentum * own + (1 - momentum) * other)
        keys = project(slow_backbone, slow_head, data["key"])
        with tf.GradientTape() as tape:
            queries = project(backbone, head, data["query"])
            logits = info_nce_logits(
                ops.sum(queries * keys, axis=-1), ops.matmul(queries, queue.T), 0.2
            )
            loss = ops.mean(info_nce(logits))
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        queue[pointer : pointer + len(keys)] = keys
        pointer = (pointer + len(keys)) % len(queue)
        losses.append(float(loss))
    return losses, queue


def test_without_a_rationale_it_is_plain_moco():
    batches = [batch(seed=seed) for seed in range(5)]
    by_hand, pretrainer = moco(None), moco(None, mask_same_image=False, eager=True)
    losses, queue = train_plain_moco(by_hand, batches, 0.1, 0.999)
    trained = [pretrainer.train_on_batch(data, return_dict=True) for data in batches]
    np.testing.assert_allclose([float(logs["loss"]) for logs in trained], losses, rtol=1e-5)
    np.testing.assert_allclose(pretrainer.queue.features, queue, atol=1e-5)
    assert set(trained[0]) == {"loss", "ssl_loss", "contrastive_accuracy", "embedding_std"}


def test_the_branch_is_left_alone_without_a_rationale():
    pretrainer = moco(None, optimizer=keras.optimizers.SGD(0.1, weight_decay=0.1), eager=True)
    before = pretrainer.encoder.branch.get_weights()
    pretrainer.fit(tf.data.Dataset.from_tensors(batch()), verbose=0)
    for old, new in zip(before, pretrainer.encoder.branch.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_detached_rationale_leaves_the_backbone_to_the_objective_bit_for_bit():
    views = tf.data.Dataset.from_tensor_slices(batch(16)).batch(8)
    plain, with_rationale = (
        moco(None, eager=True),
        moco(dataclasses.replace(SMALL, weight=3.0), eager=True),
    )
    for pretrainer in (plain, with_rationale):
        pretrainer.fit(views, epochs=3, verbose=0)
    for one, other in (
        (plain.encoder.backbone, with_rationale.encoder.backbone),
        (plain.heads["project"], with_rationale.heads["project"]),
        (plain.queue, with_rationale.queue),
    ):
        for a, b in zip(one.weights, other.weights, strict=True):
            np.testing.assert_array_equal(a, b)
    kernels = [p.encoder.branch.detectors.kernel for p in (plain, with_rationale)]
    assert not np.allclose(*kernels, atol=1e-4)


def test_an_attached_rationale_reaches_the_backbone():
    data = batch()
    weights = []
    paper = Rationale.paper()
    attached = [paper.changed({name: False}) for name in ATTACHMENTS]
    for rationale in (None, *attached):
        pretrainer = moco(rationale, eager=True)
        pretrainer.train_on_batch(data)
        weights.append(np.asarray(pretrainer.encoder.backbone.trainable_variables[0]))
    assert np.abs(weights[0] - weights[1]).max() > 1e-6
    assert np.abs(weights[0] - weights[2]).max() > 1e-6


def test_the_branch_learns_its_target():
    views = tf.data.Dataset.from_tensors(batch()).repeat(200)
    adam = keras.optimizers.Adam(0.02)
    pretrainer = moco(Rationale.paper(), optimizer=adam, backbone_lr_multiplier=0)
    history = pretrainer.fit(views, epochs=2, steps_per_epoch=100, verbose=0).history
    assert history["fit_loss"][1] < history["fit_loss"][0]
    assert history["agreement"][1] > history["agreement"][0]
    assert history["agreement"][1] > 0.3


def test_frozen_affine_and_frozen_backbone():
    pretrainer = moco(backbone_lr_multiplier=0.0, eager=True)
    backbone = [np.asarray(v) for v in pretrainer.encoder.backbone.trainable_variables]
    pretrainer.fit(tf.data.Dataset.from_tensors(batch()).repeat(3), verbose=0)
    batch_norm = pretrainer.encoder.branch.batch_norm
    np.testing.assert_array_equal(batch_norm.gamma, [1, 1, 1])
    np.testing.assert_array_equal(batch_norm.beta, [0, 0, 0])
    assert np.any(np.asarray(batch_norm.moving_mean))
    for old, new in zip(backbone, pretrainer.encoder.backbone.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.SGD(0.05, momentum=0.9),
        keras.optimizers.Adam(0.01),
        LARS(5.0, weight_decay=0.1),
    ],
)
def test_the_multiplier_is_a_smaller_learning_rate(optimizer):
    config = keras.saving.serialize_keras_object(optimizer)
    slow = keras.saving.deserialize_keras_object(config)
    slow.learning_rate = float(optimizer.learning_rate) * 0.1
    pretrainers = [
        moco(None, optimizer=optimizer, backbone_lr_multiplier=0.1, eager=True),
        moco(None, optimizer=slow, eager=True),
    ]
    for pretrainer in pretrainers:
        pretrainer.train_on_batch(batch())
    one, other = (p.encoder.backbone.trainable_variables for p in pretrainers)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    heads = [pretrainer.heads["project"].weights[0] for pretrainer in pretrainers]
    assert not np.allclose(*heads)


@pytest.mark.parametrize(
    ("optimizer", "dtype"), [(LARS, "mixed_float16"), (AdamW, "float32")], ids=["lars", "adamw"]
)
def test_schedules_of_rate_and_weight_decay(optimizer, dtype, tmp_path):
    def make():
        rate = keras.optimizers.schedules.CosineDecay(0.0, 8, warmup_target=0.02, warmup_steps=2)
        decay = keras.optimizers.schedules.CosineDecay(0.04, 10, alpha=10.0)
        made = optimizer(rate, weight_decay=decay)
        return moco(optimizer=made, dtype=dtype, backbone_lr_multiplier=0.5)

    run_pretrainer_test(make, batch(), tmp_path)


def test_old_keys_of_the_same_image_are_no_negatives():
    pretrainer, data = moco(None, eager=True), batch(8)
    for _ in range(2):
        pretrainer.train_on_batch(data)
    np.testing.assert_array_equal(
        pretrainer.queue.same_image(data["index"]), np.tile(np.eye(8, dtype=bool), (1, 2))
    )
    feature_map = pretrainer.encoder.feature_map(data["query"], training=True)
    seen = {"query": pretrainer.see(feature_map, pretrainer.heads)}
    teacher = pretrainer.teach(data)
    masked = pretrainer.objective(seen, teacher, data)
    del data["index"]
    assert float(masked.loss) < float(pretrainer.objective(seen, teacher, data).loss)
    pretrainer.mask_same_image = False
    unmasked = pretrainer.objective(seen, teacher, data | {"index": np.arange(8)})
    assert float(masked.loss) < float(unmasked.loss)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16", "bfloat16"])
@pytest.mark.parametrize("rationale", [Rationale.paper(), Rationale.reference()])
def test_low_precision(dtype, rationale):
    exact = moco(rationale, eager=True).train_on_batch(batch(), return_dict=True)
    low = moco(rationale, dtype=dtype, eager=True).train_on_batch(batch(), return_dict=True)
    assert float(low["ssl_loss"]) == pytest.approx(float(exact["ssl_loss"]), rel=0.02)
    # The GradCAM sees the unscaled loss: its height is that of float32.
    assert float(low["cam_peak"]) == pytest.approx(float(exact["cam_peak"]), rel=0.1)
    assert float(low["target_entropy"]) == pytest.approx(float(exact["target_entropy"]), abs=0.05)


@pytest.mark.parametrize("options", [{"jit_compile": True}, {"steps_per_execution": 2}])
def test_other_ways_to_run(options):
    plain, other = moco(), moco()
    other.compile(keras.optimizers.SGD(0.1, momentum=0.9), **options)
    views = tf.data.Dataset.from_tensors(batch()).repeat(4)
    histories = [p.fit(views, epochs=1, verbose=0).history for p in (plain, other)]
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=2e-3, atol=1e-4)


def test_bad_batches_and_arguments():
    pretrainer = moco()
    with pytest.raises(ValueError, match="'query' and 'key'.*'images'"):
        pretrainer.train_on_batch({"images": images()})
    with pytest.raises(RuntimeError, match="evaluate"):
        pretrainer.evaluate(batch(), verbose=0)
    with pytest.raises(ValueError, match="8 keys.*size=4"):
        moco(queue_size=4).train_on_batch(batch())
    with pytest.raises(ValueError, match="momentum=2"):
        moco(momentum=2)
    with pytest.raises(ValueError, match="Rationale or None.*'on'"):
        moco("on")
    with pytest.raises(ValueError, match="CommonRationaleEncoder. Received: Dense"):
        MoCo(keras.layers.Dense(2))
