"""A whole run from images to a preset: what the recipes call.

Imported before TensorFlow, it picks Keras' TensorFlow backend and turns TensorFlow's oneDNN
kernels on: they are off by default on some processors, where they triple training speed.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from keras_cr.experiment.run import Run, main, run
from keras_cr.experiment.settings import Settings, parse_settings

__all__ = ["Run", "Settings", "main", "parse_settings", "run"]
