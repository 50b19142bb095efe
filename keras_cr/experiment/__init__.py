"""A whole run from images to a preset: what the recipes call.

Imported before TensorFlow, it picks Keras' TensorFlow backend and makes it fast and quiet.
"""

import keras_cr._environment  # noqa: F401 - it has to come before anything that imports Keras
from keras_cr.experiment.run import Run, main, run
from keras_cr.experiment.settings import Settings, parse_settings

__all__ = ["Run", "Settings", "main", "parse_settings", "run"]
