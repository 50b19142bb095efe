"""Networks under the names PyTorch's libraries give: weights moved by name, all or none."""

import itertools
import math
import operator
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from keras_cr.layers import GlobalResponseNormalization, LayerScale, PatchPositions, PrefixTokens

BATCH_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
ATTENTION = {
    f"{torch_name}.{torch_part}": f"{keras_name}_dense.{keras_part}"
    for torch_name, keras_name in (("q", "query"), ("k", "key"), ("v", "value"), ("proj", "output"))
    for torch_part, keras_part in (("weight", "kernel"), ("bias", "bias"))
}
_ATTRIBUTES = (  # kinds of layers, and PyTorch's names of what they hold
    (keras.layers.BatchNormalization, BATCH_NORM),
    (
        (keras.layers.LayerNormalization, GlobalResponseNormalization),
        {"weight": "gamma", "bias": "beta"},
    ),
    (LayerScale, {"": "gamma"}),
    (PatchPositions, {"": "grid"}),
    (PrefixTokens, {"": "tokens"}),
    (keras.layers.MultiHeadAttention, ATTENTION),
    (
        (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense),
        {"weight": "kernel", "bias": "bias"},
    ),
)
_MODULES = ("mlp", "se", "attn")  # what PyTorch's libraries keep parts of a block in


def torchvision_names(backbone: keras.Model) -> dict:
    """Every variable of a backbone of ours under the name torchvision, or timm, gives it.

    Returns:
        `{"layer1.0.conv1.weight": variable, ...}`, in the order of the network.
    """
    names = {}
    for layer in backbone.layers:
        attributes = next((found for kind, found in _ATTRIBUTES if isinstance(layer, kind)), {})
        for torch_name, keras_name in attributes.items():
            variable = operator.attrgetter(keras_name)(layer)
            if variable is not None:
                names[f"{_torch_layer_name(layer.name)}.{torch_name}".rstrip(".")] = variable
    return names


def load_torchvision_weights(backbone: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Loads weights under the names of `torchvision_names` into a backbone.

    All or nothing: names and shapes are compared before the first variable is written.

    Args:
        backbone: the network to fill.
        weights: arrays by torchvision's names, convolutions as OIHW. The classifier (`fc.*`) and
            `num_batches_tracked` are passed over.

    Raises:
        ValueError: names are missing or left over, a shape differs, or an array holds NaN or
            infinity; the message lists them.
    """
    variables = torchvision_names(backbone)
    weights = {
        name: np.asarray(value)
        for name, value in weights.items()
        if not name.startswith("fc.") and not name.endswith("num_batches_tracked")
    }
    missing, unknown = variables.keys() - weights.keys(), weights.keys() - variables.keys()
    if missing or unknown:
        raise ValueError(
            f"The weights do not fit {backbone.name!r}. "
            f"Missing: {listed(missing)}. Unknown: {listed(unknown)}."
        )
    arrays = {name: _fitted(weights[name], variables[name]) for name in variables}
    wrong = [
        f"{name}: expected {tuple(variables[name].shape)}, received {arrays[name].shape}"
        for name in variables
        if arrays[name].shape != tuple(variables[name].shape)
    ]
    if wrong:
        raise ValueError(f"The weights do not fit {backbone.name!r} (HWIO): {listed(wrong)}.")
    refuse_not_finite(arrays)
    for name, variable in variables.items():
        variable.assign(arrays[name])


def refuse_not_finite(arrays: Mapping[str, np.ndarray]) -> None:
    """Raises a ValueError for arrays that hold NaN, infinity or more than float32 can."""
    with np.errstate(over="ignore", invalid="ignore"):
        wrong = [name for name, each in arrays.items() if not np.isfinite(each.astype("f4")).all()]
    if wrong:
        raise ValueError(
            f"Weights hold NaN or infinity, as after a training that diverged: {listed(wrong)}. "
            "Take an earlier checkpoint."
        )


def to_keras(array: np.ndarray) -> np.ndarray:
    """A convolution's weights from OIHW to HWIO; all else as it is."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array


def _fitted(array: np.ndarray, variable: keras.Variable) -> np.ndarray:
    """PyTorch's array as the variable's layer holds it."""
    shape, array = tuple(variable.shape), to_keras(array)
    if len(shape) == 1 and array.size == max(array.shape, default=1):
        return array.reshape(-1)  # (1, 1, 1, C), (C, 1, 1)
    if len(shape) == 2 and array.ndim == 4 and array.shape[:2] == (1, 1):
        return array[0, 0]  # a 1x1 convolution's kernel
    if len(shape) == 2 and array.ndim == 2:
        return array.T
    if len(shape) == array.ndim + 1 and array.size == math.prod(shape):
        return array.T.reshape(shape)  # the heads of an attention are a dimension in Keras
    if len(shape) == 4 and array.ndim == 4 and shape[3] == 1 and array.shape[2] == 1:
        return array.swapaxes(2, 3)  # of a depthwise convolution
    return array


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names for a message: in order, the first few of many."""
    names = sorted(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "none"


def _torch_layer_name(name: str) -> str:
    """`layer1_0_downsample_1` -> `layer1.0.downsample.1`, `0_conv_pw` -> `0.conv_pw`."""
    parts = name.split("_")
    dotted = parts[0]
    for before, part in itertools.pairwise(parts):
        apart = before.isdigit() or part.isdigit() or before in _MODULES
        dotted += ("." if apart else "_") + part
    return dotted
