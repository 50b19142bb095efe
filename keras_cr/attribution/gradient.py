"""The gradient of a scalar, under each of Keras' backends that have gradients."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def value_and_gradient(function: Callable, x: Any) -> tuple:
    """A function's value and its gradient by `x`, through the backend's own differentiation.

    That is `tf.GradientTape`, `jax.value_and_grad` or `torch.autograd.grad`, eagerly as well as
    inside `tf.function` and `jax.jit`. Under JAX a function must leave variables as they are that
    depend on `x`, such as statistics of a batch normalisation that trains.

    Args:
        function: takes a tensor of the shape of `x` and returns a scalar one.
        x: an array or a tensor of floats.

    Returns:
        `(value, gradient)`; None for the gradient where the value does not depend on `x`.

    Raises:
        RuntimeError: Keras runs on a backend without gradients.
    """
    backend = keras.backend.backend()
    if backend not in _BY_BACKEND:
        raise RuntimeError(
            f"Gradients need one of Keras' backends {', '.join(_BY_BACKEND)}. Running: {backend}. "
            "Set KERAS_BACKEND before importing keras."
        )
    return _BY_BACKEND[backend](function, ops.convert_to_tensor(x))


def _tensorflow(function: Callable, x) -> tuple:
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        value = function(x)
    return value, tape.gradient(value, x)


def _jax(function: Callable, x) -> tuple:
    import jax

    depends = []

    def traced(x):
        value = function(x)
        depends.append(type(value) is type(x))  # else it is a constant to this gradient
        return value

    value, gradient = jax.value_and_grad(traced)(x)
    return value, gradient if depends[-1] else None


def _torch(function: Callable, x) -> tuple:
    import torch

    x = x if x.requires_grad else x.detach().requires_grad_()
    with torch.enable_grad():
        value = function(x)
    if not value.requires_grad:
        return value, None
    # the graph is kept: the value may be differentiated by weights as well
    return value, torch.autograd.grad(value, x, retain_graph=True, allow_unused=True)[0]


_BY_BACKEND = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
