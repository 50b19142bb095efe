"""Callbacks that watch an encoder while it is trained, in any `fit`.

They only look: weights, random numbers and the course of training are the same without them.
"""

from keras_cr.callbacks.knn_monitor import KNNMonitor
from keras_cr.callbacks.rationale_health import RationaleHealth
from keras_cr.callbacks.rationale_images import RationaleImages

__all__ = ["KNNMonitor", "RationaleHealth", "RationaleImages"]
