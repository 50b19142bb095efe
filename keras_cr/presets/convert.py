"""Weights of other frameworks, moved by name: all of them or none."""

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from keras_cr.models import BACKBONES, CommonRationaleEncoder, ResNet
from keras_cr.presets import hub
from keras_cr.presets.checkpoint import read_checkpoint
from keras_cr.presets.errors import CheckpointError

_PARAMETERS = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
_NOT_IN_A_BACKBONE = ("fc.", "num_batches_tracked")
# Passed over: heads, momentum copies, queues, what an optimizer or a centre keeps.
_HEADS = re.compile(
    r"(.*\.)?(fc|head|heads|classifier|linear|projector|predictor|projection|projetion|prediction"
    r"|projection_head|prediction_head|mlp)\d*\."
)
_PASSED_OVER = re.compile(
    r"(.*\.)?(encoder_k|momentum_encoder|backbone_momentum|projection_head_momentum|target_\w+"
    r"|teacher|ema)\.|(.*\.)?(queue|queue_ptr|queue_\w+|center|num_batches_tracked)$"
)
_BRANCH = re.compile(r"(?:.*\.)?(conv16\.weight|bn16\.\w+)$")
_SEQUENTIAL = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
_COPIES = re.compile(r"(_k|momentum|target|teacher|ema)[._]")
_SAFETENSORS = "model.safetensors"


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


@dataclasses.dataclass(frozen=True)
class Converted:
    """What `convert_checkpoint` made, and of what.

    Attributes:
        encoder: the encoder. With a rationale branch of the file's it pools by it, else equally.
        layout: where in the file the network was, for the reader.
        used: names of the tensors that were loaded.
        passed_over: names of those that were not: heads, momentum copies, queues, counters.
    """

    encoder: CommonRationaleEncoder
    layout: str
    used: tuple[str, ...]
    passed_over: tuple[str, ...]


def convert_checkpoint(
    source: str | os.PathLike | Mapping[str, np.ndarray],
    *,
    prefix: str | None = None,
    image_size: int | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
) -> Converted:
    """Makes an encoder of a ResNet that was trained elsewhere.

    Known are torchvision's and timm's ResNets of basic or bottleneck blocks (18, 34, 50, ...), and
    what self-supervised code stores around them: MoCo's `encoder_q`, its momentum copy and queue,
    the LCR release's branch (`conv16`, `bn16`), SimSiam's and BYOL's encoders, `backbone` with the
    numbers of a Sequential as lightly stores it; all with or without `module.`. The architecture is
    read off the shapes. Images are RGB 0..255: the network normalises them itself.

    Args:
        source: a file as `read_checkpoint` takes it, `hf://org/name[@revision]` with a
            `model.safetensors` such as timm's, or arrays by name.
        prefix: what the network's names begin with, where a file holds several.
        image_size: side of the images in pixels, kept with the encoder.
        revision, token: for `hf://`.

    Raises:
        CheckpointError: the file can't be read, holds no ResNet or several, or holds tensors that
            are neither used nor known to be superfluous; the message lists them.
        HubError: it can't be fetched.

    Example:

    >>> converted = convert_checkpoint("checkpoint_0199.pth.tar")
    >>> converted.encoder.save_to_preset("my_encoder")
    """
    tensors = source if isinstance(source, Mapping) else _read(source, revision, token)
    tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    prefix = _network_prefix(tensors) if prefix is None else prefix.removeprefix("module.")
    network, branch, passed, unknown = {}, {}, [], []
    for name, value in tensors.items():
        own = name.startswith(prefix)
        rest = name.removeprefix(prefix)
        if match := _BRANCH.match(rest if own else name):
            if own or not _COPIES.search(name):
                branch[match[1]] = (name, value)
        elif _PASSED_OVER.match(rest) or _HEADS.match(rest):
            passed.append(name)
        elif own:
            network[_torchvision_name(rest)] = (name, value)
        else:
            unknown.append(name)
    if unknown:
        raise CheckpointError(
            f"Tensors outside of {prefix!r} that are not known to be superfluous: "
            f"{_listed(unknown)}. Leave them out and pass the rest as a dict of arrays."
        )
    backbone = _resnet_of({name: value.shape for name, (_, value) in network.items()})
    try:
        load_torchvision_weights(backbone, {name: value for name, (_, value) in network.items()})
        encoder = _with_branch(backbone, {n: v for n, (_, v) in branch.items()}, image_size)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    used = (name for name, _ in (*network.values(), *branch.values()))
    found = f"{backbone.name} under {prefix!r}" if prefix else backbone.name
    layout = found + (" with a rationale branch" if branch else "")
    return Converted(encoder, layout, tuple(used), tuple(passed))


def from_keras_resnet50(model: keras.Model, image_size: int | None = None) -> Converted:
    """Makes an encoder of `keras.applications.ResNet50(include_top=False)`.

    It is another network than ours (stride in the first 1x1 convolution, biases) and takes
    blue-green-red images without their mean, so it is kept as it is behind a layer that takes the
    mean off RGB 0..255; the order of channels goes into the first kernel.

    Args:
        model: the application, with any weights. It is not changed.
        image_size: side of the images in pixels, kept with the encoder.

    Raises:
        CheckpointError: it is another model.
    """
    if not (
        isinstance(model, keras.Model)
        and {"conv1_conv", "conv5_block3_out"} <= {layer.name for layer in model.layers}
        and len(model.output_shape) == 4
    ):
        raise CheckpointError(
            "model must be keras.applications.ResNet50(include_top=False, pooling=None); received "
            f"{getattr(model, 'name', model)!r}."
        )
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    first = twin.get_layer("conv1_conv")
    first.kernel.assign(np.asarray(first.kernel)[:, :, ::-1])
    images = keras.Input((None, None, 3), name="images")
    centred = keras.layers.Normalization(
        mean=(123.68, 116.779, 103.939), variance=(1.0,) * 3, name="imagenet_mean"
    )(images)
    backbone = keras.Model(images, twin(centred), name="keras_resnet50")
    encoder = CommonRationaleEncoder(
        backbone, num_detectors=1, pooling="average", image_size=image_size
    )
    used = tuple(variable.path for variable in model.weights)
    return Converted(encoder, "keras.applications.ResNet50", used, ())


def _read(source: str | os.PathLike, revision: str | None, token: str | bool | None) -> dict:
    text = os.fspath(source)
    if text.startswith(hub.SCHEME):
        repo, revision = hub.parse_handle(text, revision)
        folder = hub.fetch(repo, revision, (_SAFETENSORS,), token=token)
        if not (folder / _SAFETENSORS).is_file():
            raise CheckpointError(f"{text} has no {_SAFETENSORS}; download its file and name that.")
        text = str(folder / _SAFETENSORS)
    return read_checkpoint(text)


def _network_prefix(tensors: Mapping[str, np.ndarray]) -> str:
    """What the names of the one ResNet begin with that is no momentum copy."""
    stems = [
        name.removesuffix(stem)
        for stem in ("conv1.weight", "0.weight")
        for name, value in tensors.items()
        if (name == stem or name.endswith(f".{stem}")) and value.shape[1:] == (3, 7, 7)
    ]
    if not stems:
        raise CheckpointError(
            "No ResNet: no 7x7 convolution of three channels called conv1.weight or 0.weight. "
            f"Received: {_listed(tensors)}."
        )
    own = [prefix for prefix in stems if not _COPIES.search(prefix)] or stems
    if len(own) > 1:
        raise CheckpointError(f"Several networks; choose one with prefix=: {_listed(own)}.")
    return own[0]


def _torchvision_name(name: str) -> str:
    """`4.0.conv1.weight` -> `layer1.0.conv1.weight`; torchvision's names stay."""
    first, _, rest = name.partition(".")
    return f"{_SEQUENTIAL[first]}.{rest}" if first in _SEQUENTIAL else name


def _resnet_of(shapes: Mapping[str, tuple[int, ...]]) -> ResNet:
    """The ResNet that has tensors of these names."""
    places = [match for name in shapes if (match := re.match(r"layer(\d)\.(\d+)\.", name))]
    stages = sorted({int(match[1]) for match in places})
    blocks = tuple(
        len({match[2] for match in places if int(match[1]) == stage}) for stage in stages
    )
    if not blocks or stages != list(range(1, len(stages) + 1)):
        raise CheckpointError(f"No ResNet: its stages are {stages}. Names: {_listed(shapes)}.")
    bottleneck = "layer1.0.conv3.weight" in shapes
    for name, build in BACKBONES.items():
        if name.startswith("resnet") and shapes["conv1.weight"][0] == 64:
            backbone = build(seed=0)
            if (backbone.blocks, backbone.bottleneck) == (blocks, bottleneck):
                return backbone
    return ResNet(blocks, bottleneck, width=shapes["conv1.weight"][0], seed=0)


def _with_branch(
    backbone: ResNet, branch: Mapping[str, np.ndarray], image_size: int | None
) -> CommonRationaleEncoder:
    """An encoder with the release's branch, or without one."""
    if not branch:
        return CommonRationaleEncoder(
            backbone, num_detectors=1, pooling="average", image_size=image_size, seed=0
        )
    names = {"conv16.weight", *(f"bn16.{name}" for name in _PARAMETERS)}
    branch = {name: value for name, value in branch.items() if "num_batches" not in name}
    if branch.keys() != names:
        raise ValueError(f"A rationale branch has {_listed(names)}. Received: {_listed(branch)}.")
    kernel = _to_keras(branch["conv16.weight"])
    encoder = CommonRationaleEncoder(
        backbone, num_detectors=kernel.shape[-1], image_size=image_size, seed=0
    )
    norm = encoder.branch.batch_norm
    pairs = [(encoder.branch.detectors.kernel, kernel)] + [
        (getattr(norm, ours), branch[f"bn16.{theirs}"]) for theirs, ours in _PARAMETERS.items()
    ]
    for variable, value in pairs:
        if tuple(variable.shape) != value.shape:
            raise ValueError(
                f"{variable.path}: expected {tuple(variable.shape)}, received {value.shape}."
            )
    for variable, value in pairs:
        variable.assign(value)
    return encoder
