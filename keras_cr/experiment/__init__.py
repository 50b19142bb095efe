"""A whole run from images to a preset: what the recipes call.

Imported before TensorFlow, it picks Keras' TensorFlow backend and makes it fast and quiet.
"""

import sys

import keras_cr._environment  # noqa: F401 - it has to come before anything that imports Keras
from keras_cr._progress import Progress, redraws

# a recipe's first wait; a log gets no line of it, and nothing stays on a terminal
with Progress("Starting Keras", verbose=redraws(sys.stderr), leave=False):
    from keras_cr.experiment.flags import parse_settings
    from keras_cr.experiment.program import main
    from keras_cr.experiment.rerun import rerun
    from keras_cr.experiment.run import Run, run
    from keras_cr.experiment.settings import Settings

__all__ = ["Run", "Settings", "main", "parse_settings", "rerun", "run"]
