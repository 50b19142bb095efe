"""The package computes what the authors' release computes (tests/reference/README.md).

Inputs and weights are drawn by name and seed; the file holds only what came out of them.
"""

import os
import pathlib
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_cr.attribution import grad_cam_from_loss
from keras_cr.conversion.convert import load_torchvision_weights, torchvision_names
from keras_cr.layers import RationaleBranch, RationalePooling
from keras_cr.losses import info_nce, info_nce_logits
from keras_cr.models import CommonRationaleEncoder, resnet50
from keras_cr.pretraining import MoCo, Rationale
from keras_cr.pretraining.objectives.moco import unit

FILE = os.environ.get(
    "KERAS_CR_PARITY_FILE", pathlib.Path(__file__).parent / "reference" / "lcr_reference.npz"
)
SEED = int(os.environ.get("KERAS_CR_PARITY_SEED", "0"))
TOLERANCE, TRUNK_TOLERANCE = 1e-4, 2e-3


def seeded(name, shape):
    rng = np.random.default_rng([zlib.crc32(name.encode()), SEED])
    if len(shape) == 4:
        scale = np.sqrt(2 / (shape[0] * shape[2] * shape[3]))
        return (rng.standard_normal(shape) * scale).astype("float32")
    if len(shape) == 2:
        return (rng.standard_normal(shape) * np.sqrt(1 / shape[1])).astype("float32")
    if name.endswith(("running_var", "weight")):
        return rng.uniform(0.5, 1.5, shape).astype("float32")
    return (rng.standard_normal(shape) * 0.1).astype("float32")


def drawn(number, shape):
    return np.random.default_rng([number, SEED]).standard_normal(shape)


@pytest.fixture(scope="module")
def expected():
    return np.load(FILE)


def norm(array):
    return np.linalg.norm(np.asarray(array, "float64"))


def check(actual, reference, tolerance=TOLERANCE):
    actual, reference = np.asarray(actual, "float64"), np.asarray(reference, "float64")
    assert actual.shape == reference.shape
    error = norm(actual - reference) / norm(reference)
    assert error <= tolerance, f"relative error {error:.2e}"


@pytest.fixture(scope="module")
def trunk():
    backbone = resnet50(normalize_images=False)
    shapes = {}
    for name, variable in torchvision_names(backbone).items():
        shape = tuple(variable.shape)
        shapes[name] = (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape
    load_torchvision_weights(backbone, {name: seeded(name, s) for name, s in shapes.items()})
    return backbone


def test_trunk(trunk, expected):
    images = drawn(11, (2, 3, 96, 96)).astype("float32").transpose(0, 2, 3, 1)
    feature_map = trunk(images).numpy()
    pooled = feature_map.mean((1, 2))
    check(pooled, expected["trunk_eval_pooled"], TRUNK_TOLERANCE)
    check(feature_map.mean(-1), expected["trunk_eval_map_mean"], TRUNK_TOLERANCE)
    logits = pooled @ seeded("fc.weight", (1000, 2048)).T + seeded("fc.bias", (1000,))
    check(logits[:, :10], expected["trunk_eval_logits10"], TRUNK_TOLERANCE)

    trained = trunk(images, training=True).numpy().mean((1, 2))
    check(trained, expected["trunk_train_pooled"], TRUNK_TOLERANCE)
    batch_norm = trunk.get_layer("bn1")
    check(batch_norm.moving_mean, expected["trunk_after_train_bn1_mean"], TRUNK_TOLERANCE)
    check(batch_norm.moving_variance, expected["trunk_after_train_bn1_var"], TRUNK_TOLERANCE)


class _Step:
    """One training step of MoCo on given feature maps: the backbone is the identity."""

    def __init__(self, rationale):
        shape = (8, 2048, 7, 7)
        self.query, self.key = (
            np.maximum(drawn(number, shape), 0).astype("float32").transpose(0, 2, 3, 1)
            for number in (21, 22)
        )
        inputs = keras.Input((7, 7, 2048))
        encoder = CommonRationaleEncoder(
            keras.Model(inputs, keras.layers.Identity()(inputs)), num_detectors=32
        )
        self.pretrainer = pretrainer = MoCo(
            encoder,
            rationale=rationale,
            projection_dim=256,
            queue_size=512,
            momentum=0.999,
            temperature=0.2,
        )
        branch = encoder.branch
        branch.detectors.kernel.assign(
            seeded("conv16.weight", (32, 2048, 1, 1)).transpose(2, 3, 1, 0)
        )
        for torch_name, variable in zip(
            ("weight", "bias", "running_mean", "running_var"),
            branch.batch_norm.weights,
            strict=True,
        ):
            variable.assign(seeded(f"bn16.{torch_name}", (32,)))
        for network, name in (
            (pretrainer.heads["project"], "q"),
            (pretrainer.twin.heads["project"], "k"),
        ):
            for linear, number, width in zip(network.linears, (0, 2), (2048, 256), strict=True):
                prefix = f"encoder_{name}.fc.{number}"
                linear.kernel.assign(seeded(f"{prefix}.weight", (width, 2048)).T)
                linear.bias.assign(seeded(f"{prefix}.bias", (width,)))
        queue = np.random.default_rng([zlib.crc32(b"queue"), SEED]).standard_normal((256, 512))
        queue /= np.linalg.norm(queue, axis=0, keepdims=True)
        pretrainer.queue.features.assign(queue.T.astype("float32"))

    def run(self):
        """The gradients of the total loss, the way `train_step` takes them."""
        views = {"query": tf.constant(self.query), "key": tf.constant(self.key)}
        teacher = self.pretrainer.teach(views)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(views["query"])
            loss, logs, _ = self.pretrainer.compute_losses(views, teacher, tape)
        branch, head = self.pretrainer.encoder.branch, self.pretrainer.heads["project"]
        sources = {
            "conv": branch.detectors.kernel,
            "gamma": branch.batch_norm.gamma,
            "beta": branch.batch_norm.beta,
            "mlp0": head.linears[0].kernel,
            "mlp2_bias": head.linears[1].bias,
        }
        sources = {name: variable.value for name, variable in sources.items()}
        gradients = tape.gradient(loss, sources | {"phi": views["query"]})
        weight = self.pretrainer.rationale.weight
        gradients["fit_phi"] = weight * tape.gradient(logs["fit_loss"], views["query"])
        self.pretrainer.after_step(teacher, views)
        return logs, {name: gradient.numpy() for name, gradient in gradients.items()}


@pytest.fixture(scope="module")
def reference_step():
    step = _Step(Rationale.reference())
    step.logs, step.gradients = step.run()
    return step


def test_losses_and_gradients_of_a_step(reference_step, expected):
    logs, gradients = reference_step.logs, reference_step.gradients
    check(logs["ssl_loss"], expected["info_nce"])
    check(logs["fit_loss"], expected["kl_rows_sum"])
    check(gradients["conv"][0, 0].T[:4], expected["grad_conv"])
    check(gradients["gamma"], expected["grad_bn_gamma"])
    check(gradients["beta"], expected["grad_bn_beta"])
    # The reference's own float32 norm of 4 million values is off by 1e-4.
    check(norm(gradients["mlp0"]), expected["grad_mlp0_norm"], 5e-4)
    check(gradients["mlp2_bias"], expected["grad_mlp2_bias"])
    check(norm(gradients["phi"]), expected["grad_phi_norm"])
    check(gradients["phi"].mean(-1), expected["grad_phi_mean_c"])
    check(gradients["fit_phi"].mean(-1), expected["kl_grad_phi_mean_c"])


def test_attention_gradcam_and_both_fit_losses(expected):
    step = _Step(Rationale.reference())
    pretrainer = step.pretrainer
    teacher = pretrainer.teach({"query": step.query, "key": step.key})
    query = tf.constant(step.query)
    queries = unit(pretrainer.see(query, pretrainer.heads).projected)
    keys = unit(teacher["key"].projected)
    logits = info_nce_logits(ops.sum(queries * keys, axis=-1), pretrainer.queue(queries), 0.2)
    check(logits[:, :32], expected["logits"])
    check(ops.mean(info_nce(logits)), expected["info_nce"])

    cam, loss = grad_cam_from_loss(
        lambda phi: (
            pretrainer.objective({"query": pretrainer.see(phi, pretrainer.heads)}, teacher, {}).loss
        ),
        query,
    )
    check(loss, expected["info_nce"])
    check(cam, expected["gradcam"])
    attention = pretrainer.encoder.branch(query, training=True, normalization="batch")
    check(attention, expected["attention"])
    check(Rationale.reference().fit_loss()(cam, attention), expected["kl_rows_sum"])
    byol = Rationale.reference("byol")
    check(byol.fit_loss()(cam, attention), expected["kl_flat_t04_sum"])


def test_queue_and_momentum_update(reference_step, expected):
    pretrainer = reference_step.pretrainer
    check(pretrainer.queue.features.numpy()[:8].T, expected["queue_after_first"])
    assert int(pretrainer.queue.pointer.numpy()) == int(np.squeeze(expected["queue_ptr"]))
    check(pretrainer.twin.heads["project"].linears[1].bias, expected["key_fc2_bias_after_ema"])


def test_inference_embedding_after_the_step(reference_step, expected):
    branch: RationaleBranch = reference_step.pretrainer.encoder.branch
    query = tf.constant(reference_step.query)
    # The release takes minimum and maximum over the batch at test time as well.
    attention = branch(query, normalization="batch")
    pool = RationalePooling()
    check(pool(query, attention), expected["inference_masked_embedding"])
    check(pool(query), expected["inference_gap_embedding"])
