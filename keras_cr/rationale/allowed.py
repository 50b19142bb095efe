"""What the values of a rationale's choices may be."""

import math
import numbers
from typing import Any

import numpy as np

ALLOWED = {
    "cut": ("rationale", "center", "shuffled", "mask"),
    "refine": ("colours", "none"),
    "filling": ("background", "image", "mean"),
    "images": ("whole", "views"),
    "contrast": ("infonce", "similarity"),
    "target": ("sign", "cam"),
    "prior": ("center", "none"),
    "cam": ("elementwise", "channel"),
    "sign": (1, -1),
    "target_normalization": ("image", "none"),
    "softmax": ("map", "rows", "places"),
    "reduction": ("mean", "sum"),
    "map_normalization": ("image", "batch"),
}
_NOT_NEGATIVE = ("weight", "lr_multiplier", "warmup", "background", "background_negatives")
_POSITIVE = ("temperature", "contrast_temperature", "k", "cut_softness")
_SHARES = ("cut_level", "swap_probability", "crop_share")
_BOOLEANS = ("mirror", "self_training", "train_affine", "detach_target", "detach_features")
CHANGED_VIEWS = ("query", "key", "small")
_VIEWS = {"extra_passes": ("query", "key"), "swapped": CHANGED_VIEWS}


def check_choices(choices: Any) -> None:
    """Refuses a field whose value can't be, by its name; NumPy's scalars become plain ones.

    Raises:
        ValueError: there is one.
    """
    for name, value in list(vars(choices).items()):
        if isinstance(value, np.generic):
            value = value.item()
            object.__setattr__(choices, name, value)
        if name in (*_NOT_NEGATIVE, *_POSITIVE, *_SHARES) and not _is_number(value):
            wanted = "a finite number"
        elif name in _BOOLEANS and not isinstance(value, bool):
            wanted = "True or False"
        elif name in ALLOWED and not (isinstance(value, str | int) and value in ALLOWED[name]):
            wanted = f"one of {ALLOWED[name]}"
        elif name in _NOT_NEGATIVE and not value >= 0:
            wanted = "0 or more"
        elif name in _POSITIVE and not value > 0:
            wanted = "positive"
        elif name in _SHARES and not 0 <= value <= 1:
            wanted = "in 0..1"
        elif name in _VIEWS and not all(view in _VIEWS[name] for view in value):
            wanted = f"some of {_VIEWS[name]}"
        else:
            continue
        raise ValueError(f"`{name}` must be {wanted}. Received: {name}={value!r}")


def _is_number(value: Any) -> bool:
    plain = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return plain and math.isfinite(value)
