"""A preset holds numbers: one with NaN in it would give NaN for every image, without a word."""

import keras

from keras_cr._finite import not_finite
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
    if wrong := not_finite(model):
        more = f" and {len(wrong) - 1} more variables" if len(wrong) > 1 else ""
        raise PresetError(f"{label}: {wrong[0]}{more} hold NaN or infinity; {way_out}.")
