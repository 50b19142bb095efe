"""Models that run an encoder where it was built: on one device, or on a strategy's replicas."""

import contextlib
from typing import Any

import keras

from keras_cr._replicas import number_of, predict_on_batch
from keras_cr._types import Tensor


class EncoderModel(keras.Model):
    """Something of an encoder, compiled, for `predict_on_batch`; a subclass has a `call`.

    Of an encoder that was built in the scope of a `tf.distribute` strategy, each replica sees its
    part of a batch.

    Args:
        encoder: a `CommonRationaleEncoder`, or another Keras model.
        **kwargs: as for `keras.Model`.
    """

    def __init__(self, encoder: keras.Model, **kwargs: Any) -> None:
        replicated = number_of(encoder) > 1
        with encoder.distribute_strategy.scope() if replicated else contextlib.nullcontext():
            super().__init__(**kwargs)
        self.encoder = encoder
        if keras.backend.backend() == "tensorflow":
            self.jit_compile = False  # XLA on CPU: seconds of compilation, no speed

    def predict_on_batch(self, x: Tensor) -> Any:
        if keras.backend.backend() == "tensorflow" and not self.predict_function:
            self._trace(x)
        return predict_on_batch(self, super().predict_on_batch, x)

    def _trace(self, x):
        """For any number of images: Keras would trace once more for a smaller last batch."""
        import tensorflow as tf

        self.make_predict_function()
        if number_of(self) == 1 and not self.run_eagerly:
            spec = tf.TensorSpec((None, *x.shape[1:]), x.dtype)
            self.predict_function.get_concrete_function([(spec,)])
