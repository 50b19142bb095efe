"""ResNets under torchvision's names: weights moved by name, all of them or none."""

from collections.abc import Iterable, Mapping

import numpy as np

from keras_cr.models import ResNet

BATCH_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def torchvision_names(backbone: ResNet) -> dict:
    """Every variable of a ResNet under the name torchvision gives it.

    Returns:
        `{"layer1.0.conv1.weight": variable, ...}`, in the order of the network.
    """
    names = {}
    for layer in backbone.layers:
        torch_layer = _torch_layer_name(layer.name)
        if hasattr(layer, "kernel"):
            names[f"{torch_layer}.weight"] = layer.kernel
        elif hasattr(layer, "moving_variance"):
            for torch_name, keras_name in BATCH_NORM.items():
                names[f"{torch_layer}.{torch_name}"] = getattr(layer, keras_name)
    return names


def load_torchvision_weights(backbone: ResNet, weights: Mapping[str, np.ndarray]) -> None:
    """Loads weights under torchvision's names into a ResNet-18, 34 or 50.

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
    arrays = {name: to_keras(weights[name]) for name in variables}
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


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names for a message: in order, the first few of many."""
    names = sorted(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "none"


def _torch_layer_name(name: str) -> str:
    """`layer1_0_downsample_1` -> `layer1.0.downsample.1`."""
    return name.replace("_", ".")
