"""Weights that are numbers: NaN in one of them makes NaN, or zeros, of every image."""

import keras
import numpy as np
from keras import ops


def not_finite(model: keras.layers.Layer) -> list[str]:
    """The paths of a model's or a layer's variables that hold NaN or infinity."""
    return [variable.path for variable in model.weights if not _is_finite(variable)]


def _is_finite(variable: keras.Variable) -> bool:
    if "float" not in keras.backend.standardize_dtype(variable.dtype):
        return True
    return bool(np.isfinite(ops.convert_to_numpy(variable)).all())
