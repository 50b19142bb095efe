"""Training steps of ours that benchmarks share: MoCo on batches that are there already."""

from collections.abc import Callable
from typing import Any

RATIONALES = ("plain", "views", "whole", "paper")  # "views" is the recipes' default


def rationale(name: str) -> Any:
    """The rationale of an arm; None for `"plain"`."""
    from keras_cr.pretraining import Neighbours, Rationale

    if name == "plain":
        return None
    if name == "paper":
        return Rationale.paper()
    return Rationale(Neighbours(images=name))


def batch(batch_size: int, image_size: int) -> dict[str, Any]:
    """Random views, and whole images of their size."""
    import numpy as np
    import tensorflow as tf

    shape, rng = (batch_size, image_size, image_size, 3), np.random.default_rng(0)
    names = ("query", "key", "image")
    return {name: tf.constant(rng.uniform(0, 255, shape), "float32") for name in names}


def moco(
    backbone: Any = "resnet18",
    arm: str = "plain",
    precision: str = "float32",
    jit_compile: bool = False,
    detectors: int = 1,
    bank_size: int | None = None,
    **options: Any,
) -> Any:
    """A compiled MoCo whose queue holds 1,024 keys where nothing else is said."""
    import keras

    from keras_cr import CommonRationaleEncoder
    from keras_cr.pretraining import MoCo

    choices = rationale(arm)
    if bank_size is not None:
        choices = choices.changed({"bank_size": bank_size})
    encoder = CommonRationaleEncoder(backbone, num_detectors=detectors, seed=0, dtype=precision)
    options = {"queue_size": 1024} | options
    pretrainer = MoCo(encoder, rationale=choices, dtype=precision, **options)
    pretrainer.compile(keras.optimizers.SGD(0.03, momentum=0.9), jit_compile=jit_compile)
    return pretrainer


def step(pretrainer: Any, views: dict[str, Any]) -> Callable[[], float]:
    """One training step as a work; it returns the loss, which is there when the step is done."""
    return lambda: float(pretrainer.train_on_batch(views, return_dict=True)["loss"])
