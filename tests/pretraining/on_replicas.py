"""Trains on two and four virtual devices and on one, and prints how far apart they end, as JSON.

A process of its own: the devices of TensorFlow are fixed when it first computes.
"""

import contextlib
import functools
import json
import tempfile

import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)

from keras_cr.data import read_cub, synthetic_birds, write_cub_layout  # noqa: E402
from keras_cr.evaluation import extract  # noqa: E402
from keras_cr.experiment import Run, devices  # noqa: E402
from keras_cr.experiment.checkpoints import last_checkpoint  # noqa: E402
from keras_cr.models import CommonRationaleClassifier  # noqa: E402
from keras_cr.optimizers import LARS  # noqa: E402
from keras_cr.pretraining import (  # noqa: E402
    DCL,
    OBJECTIVES,
    PIRL,
    Inpainting,
    Neighbours,
    Puzzling,
    Rationale,
    Rotation,
    fit_rationale,
    loop,
)
from keras_cr.pretraining.distillation import Distillation  # noqa: E402
from tests.case import tiny_backbone, tiny_encoder  # noqa: E402
from tests.experiment.helpers import settings, train  # noqa: E402
from tests.pretraining.objectives.test_moco import batch  # noqa: E402
from tests.pretraining.objectives.test_values import small  # noqa: E402
from tests.pretraining.test_loop import scenes  # noqa: E402

STRATEGIES = {
    number: tf.distribute.MirroredStrategy(
        [f"CPU:{each}" for each in range(number)],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),  # fast eagerly
    )
    for number in (2, 4)
}
COLLECTIVE = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])  # as `mirrored` makes one
ON = Rationale(Neighbours(k=3, bank_size=16, warmup=1))


def sgd():
    return keras.optimizers.SGD(0.5, momentum=0.9, global_clipnorm=0.5)


def scaled():
    return keras.optimizers.LossScaleOptimizer(sgd(), initial_scale=1024.0)


def cases():
    """Arguments of `apart` by the name of the case: each objective, and two on four devices."""
    tasks = [task() for task in (Rotation, Puzzling, Inpainting, PIRL)]
    crops, paper, plain = {"small_crops": 2}, {"rationale": Rationale.paper()}, {"rationale": None}
    options = {
        "barlow_twins": plain,
        "byol": {"rationale": Rationale.reference("byol")},
        "dino": crops | paper,
        "lejepa": crops | plain,
        "moco": paper | {"optimizer": scaled},
        "patch_wise": crops,
        "pretext": plain | {"auxiliary": tasks},
        "simclr": paper,
        "simsiam": plain | {"projection_dim": 16, "hidden_dim": 16},
        "supervised": {"auxiliary": [DCL(grid=2)]},
    }
    for name in sorted(OBJECTIVES):
        yield name, {"name": name} | options.get(name, {})
    yield "moco on four", {"name": "moco", "replicas": 4, "optimizer": lambda: LARS(0.5)}
    yield "moco in a graph", {"name": "moco", "eager": False}
    yield "moco skips", {"name": "moco", "on_nan": "skip"}
    yield "vicreg on four", plain | {"name": "vicreg", "replicas": 4}


def built(name, replicas, rationale, optimizer, eager=True, **options):
    strategy = STRATEGIES.get(replicas) if eager else COLLECTIVE
    with strategy.scope() if replicas > 1 else contextlib.nullcontext():
        pretrainer = small(name, tiny_encoder(), rationale=rationale, **options)
        pretrainer.compile(optimizer(), run_eagerly=eager)
    if rationale and not rationale.explains_objective:
        pretrainer.neighbours.stored.assign(32)  # its random content has neighbours
    return pretrainer


def apart(
    name, replicas=2, rationale=ON, optimizer=sgd, on_nan="stop", **options
) -> dict[str, float]:
    """How far a step on replicas is from one on one device: 1 is 1e-4 of a log, 3e-4 of an update.

    Keras takes a synchronised variance as `E(x^2) - E(x)^2`, which costs digits. One that
    skips steps skips one before.
    """
    ended = []
    for number in (1, replicas):
        pretrainer = built(name, number, rationale, optimizer, **options)
        before = [np.asarray(variable) for variable in pretrainer.variables]
        data = batch(seed=1)  # of seed 0 one of MoCo's GradCAMs is nothing but rounding
        pretrainer.set_on_nan(on_nan)
        if on_nan == "skip":
            broken = data["query"].copy()
            broken[-1] = np.nan
            logs = pretrainer.train_on_batch(data | {"query": broken}, return_dict=True)
            assert logs["skipped_steps"] == 1
            same = zip(before, pretrainer.variables, strict=True)
            assert all(np.array_equal(one, other) for one, other in same)
        logs = pretrainer.train_on_batch(data, return_dict=True)
        ended.append((logs, pretrainer.variables, before))
    (logs, variables, before), (other_logs, mirrored, _) = ended
    updates = [np.asarray(one) - start for one, start in zip(variables, before, strict=True)]
    learnt = [each for each, one in zip(updates, variables, strict=True) if one.trainable]
    least = 1e-2 * max(np.abs(each).max() for each in learnt)  # rounding leaves no more than this
    found = {
        log: abs(value - other_logs[log]) / (1e-4 * max(abs(value), 0.1))
        for log, value in logs.items()
    }
    for update, several, start in zip(updates, mirrored, before, strict=True):
        copies = [np.asarray(copy) - start for copy in several.value.values]
        distance = max(np.abs(copy - update).max() for copy in copies)
        found[several.path] = distance / (3e-4 * max(np.abs(update).max(), least))
    return {key: float(value) for key, value in found.items()}


def centers_apart() -> dict[str, float]:
    """How far DINO's centre on two devices is from that of all their images: 1 is 1e-5."""
    outputs = np.random.default_rng(0).standard_normal((2, 2, 3, 5)).astype("float32")
    with COLLECTIVE.scope():
        distillation = Distillation(5, 0.1, 0.04, 0.9)
    halves = COLLECTIVE.experimental_distribute_values_from_function(
        lambda context: tf.constant(outputs[context.replica_id_in_sync_group])
    )
    move = tf.function(
        lambda: COLLECTIVE.run(lambda half: distillation.move_center(half[0], half[1]), (halves,))
    )
    move()
    expected = 0.1 * outputs.mean((0, 1, 2))
    return {
        f"device {number}": float(np.abs(np.asarray(copy) - expected).max() / 1e-5)
        for number, copy in enumerate(distillation.center.value.values)
    }


def runs_apart() -> dict[str, float]:
    """The same of the trainings of two recipes, in graphs and with maps that cut: 1 is 1e-3."""
    loop.fit_rationale = functools.partial(fit_rationale, rounds=1, epochs=1)
    loop.doubt_of = lambda last: None  # the maps of an untrained network cut all the same
    devices.mirrored = lambda: STRATEGIES[2]
    seen = []
    with tempfile.TemporaryDirectory() as folder:
        birds = synthetic_birds(3, train_per_class=8, test_per_class=1, image_size=48, seed=1)
        place = write_cub_layout(birds, f"{folder}/birds")
        for strategy in ("none", "mirrored"):
            options = {"strategy": strategy, "refit": "off", "epochs": 1, "on_nan": "skip"}
            options["save_every"] = "2"  # in the middle of the epoch
            options["pooling"] = "rationale"  # a vocabulary's roots make more of the last digits
            chosen = settings(place, f"{folder}/{strategy}", **options)
            run = Run.prepare(chosen, read_cub, tiny_backbone, store=False)
            encoder = train(run)
            images = extract(encoder, run.dataset, 32, batch_size=5, verbose=0).embeddings
            seen.append({"embedding": images.embedding, "maps": images.rationale})
            for name, values in last_checkpoint(run.output)[1].history[-1].items():
                seen[-1][name] = values
            run.lock.release()
        assert not any(norm.synchronized for norm in norms(encoder))
        with devices.scope(chosen):
            state = last_checkpoint(run.output)[0]
        assert len(state.queue.indices.value.values) == 2
    return {
        name: float(np.abs(np.subtract(value, seen[1][name])).max() / 1e-3)
        for name, value in seen[0].items()
    }


def fine_tunings_apart() -> dict[str, float]:
    """The same of a classifier's `fit` and `evaluate`: 1 is 1e-3."""
    made, seen = batch(24), []
    images, labels = made["query"], made["label"]
    for scope in (contextlib.nullcontext(), STRATEGIES[2].scope()):
        with scope:
            classifier = CommonRationaleClassifier(tiny_encoder(), 4, encoder_lr_multiplier=0.1)
            loss = "sparse_categorical_crossentropy"
            optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
            classifier.compile(optimizer, loss, metrics=["accuracy"], run_eagerly=True)
        sizes = {"batch_size": 8, "verbose": 0}  # the last batch has 6 images, 3 of them on each
        history = classifier.fit(images, labels, shuffle=False, epochs=2, **sizes).history
        logs = classifier.evaluate(images[:13], labels[:13], return_dict=True, **sizes)
        learnt = {f"weight {n}": np.asarray(each) for n, each in enumerate(classifier.weights)}
        seen.append(history | {f"test {name}": value for name, value in logs.items()} | learnt)
    return {
        name: float(np.abs(np.subtract(value, seen[1][name])).max() / 1e-3)
        for name, value in seen[0].items()
    }


def norms(model):
    """Its layers of batch normalisation."""
    layers = model._flatten_layers()
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]


def refused() -> dict[str, str]:
    """What is told where a batch does not divide, or something is not built where it should be."""
    pretrainer, plain = built("moco", 2, None, sgd), tiny_encoder()
    uneven, rows = batch(7), tf.data.Dataset.from_tensor_slices(batch(15)).batch(8)
    outside = {
        "train_on_batch": lambda: pretrainer.train_on_batch(uneven),
        "fit": lambda: pretrainer.fit(rows, verbose=0),
        "pretrain": lambda: loop.pretrain(pretrainer, scenes(), 32, 7, epochs=1),
    }
    inside = {
        "a classifier": lambda: CommonRationaleClassifier(plain, 4),
        "MoCo": lambda: small("moco", plain),
        "fit_rationale": lambda: fit_rationale(plain, scenes().images, ON, verbose=0),
    }
    found = {name: told(attempt) for name, attempt in outside.items()}
    with STRATEGIES[2].scope():
        return found | {name: told(attempt) for name, attempt in inside.items()}


def told(attempt) -> str:
    """The message of what is raised."""
    try:
        attempt()
    except (ValueError, tf.errors.InvalidArgumentError) as error:
        return str(error)
    return "nothing"


if __name__ == "__main__":
    for case, options in cases():
        print(json.dumps({case: apart(**options)}), flush=True)
    print(json.dumps({"a centre": centers_apart()}), flush=True)
    print(json.dumps({"a run": runs_apart()}), flush=True)
    print(json.dumps({"a classifier": fine_tunings_apart()}), flush=True)
    print(json.dumps({"refused": refused()}), flush=True)
