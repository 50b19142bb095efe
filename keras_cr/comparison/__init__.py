"""Arms over seeds: runs that differ in one thing, and whether that is more than chance."""

import keras_cr.experiment  # noqa: F401 - readies the environment before Keras is imported
from keras_cr.comparison.arms import ARMS, Arm
from keras_cr.comparison.compare import compare

__all__ = ["ARMS", "Arm", "compare"]
