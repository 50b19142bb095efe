"""Momentum networks: copies that follow a trained network by an exponential moving average."""

import keras
import tensorflow as tf

from keras_cr.models.learning_rates import assign_all


def momentum_copy(model: keras.Model | keras.layers.Layer):
    """Copies a model or layer with its weights, and takes the copy's variables out of training.

    The variables are frozen, not the layers: batch normalisation still works on batch statistics
    when the copy is called in training mode.
    """
    if isinstance(model, keras.Model):
        twin = keras.models.clone_model(model)
    else:
        twin = type(model).from_config(model.get_config())
    if not twin.built:
        twin.build_from_config(model.get_build_config())
    twin.set_weights(model.get_weights())
    for variable in twin.variables:
        variable.trainable = False
    return twin


def follow(twin, model, momentum: float) -> None:
    """Moves a copy's trained parameters: `momentum * own + (1 - momentum) * the model's`.

    Batch normalisation's running statistics are left to the copy's own passes, as in He et al.,
    "Momentum Contrast", CVPR 2020, equation 2, and its published code.
    """
    pairs = [
        (own, other)
        for own, other in zip(twin.weights, model.weights, strict=True)
        if other.trainable
    ]
    values = [momentum * own.value + (1 - momentum) * other.value for own, other in pairs]
    assign_all([own for own, _ in pairs], values)


def gather(values):
    """Joins the batches of all replicas along the first axis, on every replica."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return context.all_gather(values, axis=0)
