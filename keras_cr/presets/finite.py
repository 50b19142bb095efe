"""Weights that are numbers: a model with NaN in it gives NaN for every image, without a word."""

import keras
import numpy as np
from keras import ops

from keras_cr.presets.errors import PresetError


def check_finite(model: keras.Model, label: str, way_out: str) -> None:
    """Refuses a model whose weights hold NaN or infinity.

    Args:
        model: a built model.
        label: what the error calls it.
        way_out: what to do about it.

    Raises:
        PresetError: naming the first such variable.
    """
    wrong = [variable.path for variable in model.weights if not _is_finite(variable)]
    if wrong:
        more = f" and {len(wrong) - 1} more variables" if len(wrong) > 1 else ""
        raise PresetError(f"{label}: {wrong[0]}{more} hold NaN or infinity; {way_out}.")


def _is_finite(variable: keras.Variable) -> bool:
    if "float" not in keras.backend.standardize_dtype(variable.dtype):
        return True
    values = ops.convert_to_numpy(variable)
    return bool(np.isfinite(values).all()) if values.size else True
