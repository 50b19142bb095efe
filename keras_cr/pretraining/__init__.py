"""Self-supervised training of an encoder and its rationale branch."""

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "keras_cr.pretraining trains through tf.GradientTape and needs Keras' TensorFlow backend. "
        f"Running: {keras.backend.backend()}. Set KERAS_BACKEND=tensorflow before importing keras; "
        "encoders, evaluation and presets work on every backend."
    )

from keras_cr.pretraining.base import RationalePretrainer
from keras_cr.pretraining.fit_rationale import fit_rationale
from keras_cr.pretraining.moco import MoCo
from keras_cr.pretraining.rationale import Rationale

__all__ = ["MoCo", "Rationale", "RationalePretrainer", "fit_rationale"]
