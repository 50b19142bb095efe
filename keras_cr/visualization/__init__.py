"""Pictures of what an encoder weighs and of how it was trained, as arrays and PNG files."""

from keras_cr.visualization.curves import curves
from keras_cr.visualization.grid import rationale_grid
from keras_cr.visualization.overlay import overlay

__all__ = ["curves", "overlay", "rationale_grid"]
