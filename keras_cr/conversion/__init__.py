"""Weights of other frameworks: read without running code of theirs, and turned into encoders."""

from keras_cr.conversion.convert import convert_checkpoint, from_keras_resnet50
from keras_cr.presets.checkpoint import read_checkpoint

__all__ = ["convert_checkpoint", "from_keras_resnet50", "read_checkpoint"]
