"""Weights of other frameworks, moved by name."""

from collections.abc import Iterable, Mapping

import numpy as np

from keras_cr.models import ResNet, SqueezeNet
from keras_cr.presets.load import load_preset
from keras_cr.presets.registry import PACKAGED

_PARAMETERS = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
_NOT_IN_A_BACKBONE = ("fc.", "num_batches_tracked")


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
            for torch_name, keras_name in _PARAMETERS.items():
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
        ValueError: names are missing or left over, or a shape differs; the message lists them.
    """
    variables = torchvision_names(backbone)
    weights = {
        name: np.asarray(value)
        for name, value in weights.items()
        if not any(part in name for part in _NOT_IN_A_BACKBONE)
    }
    missing, unknown = variables.keys() - weights.keys(), weights.keys() - variables.keys()
    if missing or unknown:
        raise ValueError(
            f"The weights do not fit {backbone.name!r}. "
            f"Missing: {_listed(missing)}. Unknown: {_listed(unknown)}."
        )
    arrays = {name: _to_keras(weights[name]) for name in variables}
    wrong = [
        f"{name}: expected {tuple(variables[name].shape)}, received {arrays[name].shape}"
        for name in variables
        if arrays[name].shape != tuple(variables[name].shape)
    ]
    if wrong:
        raise ValueError(f"The weights do not fit {backbone.name!r} (HWIO): {_listed(wrong)}.")
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _torch_layer_name(name: str) -> str:
    """`layer1_0_downsample_1` -> `layer1.0.downsample.1`."""
    return name.replace("_", ".")


def _to_keras(array: np.ndarray) -> np.ndarray:
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array


def _listed(names: Iterable[str], most: int = 8) -> str:
    names = sorted(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "none"


def load_imagenet_weights(backbone: ResNet | SqueezeNet) -> None:
    """Loads weights that were trained on ImageNet.

    A ResNet gets torchvision's first weights, as timm publishes them on the Hugging Face Hub, a
    SqueezeNet those of the packaged preset demo_squeezenet, without a network.

    Args:
        backbone: one named `resnet18`, `resnet34`, `resnet50` or `squeezenet`.

    Raises:
        OSError: they can't be fetched (no network, say) and are not in the Hub's cache.
        ValueError: they don't fit the backbone.
    """
    if isinstance(backbone, SqueezeNet):
        backbone.set_weights(load_preset(PACKAGED / "demo_squeezenet").backbone.get_weights())
        return
    from huggingface_hub import hf_hub_download
    from safetensors.numpy import load_file

    repo = f"timm/{backbone.name}.tv_in1k"
    try:
        path = hf_hub_download(repo, "model.safetensors")
    except Exception as error:
        raise OSError(
            f"ImageNet weights could not be fetched from https://huggingface.co/{repo} "
            f"({type(error).__name__}). Without a network, give --init a .keras file of a "
            "pretrained backbone, or start from random weights with --init none."
        ) from error
    load_torchvision_weights(backbone, load_file(path))
