"""Optimizers of self-supervised training that Keras lacks."""

from keras_cr.optimizers.adamw import AdamW
from keras_cr.optimizers.lars import LARS

__all__ = ["LARS", "AdamW"]
