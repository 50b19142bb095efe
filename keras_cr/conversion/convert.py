"""Checkpoints of other frameworks become encoders, where every tensor in them is accounted for."""

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_cr.conversion.checkpoint import read_checkpoint
from keras_cr.conversion.names import find_networks, sort_tensors
from keras_cr.conversion.torchvision import (
    BATCH_NORM,
    listed,
    load_torchvision_weights,
    refuse_not_finite,
    to_keras,
    torchvision_names,
)
from keras_cr.layers import ChannelRescaling
from keras_cr.models import CommonRationaleEncoder, ResNet, resnet18, resnet34, resnet50
from keras_cr.presets import hub
from keras_cr.presets.errors import CheckpointError, PresetError
from keras_cr.presets.finite import check_finite
from keras_cr.presets.manifest import fingerprint

__all__ = [
    "Converted",
    "convert_checkpoint",
    "from_keras_resnet50",
    "load_torchvision_weights",
    "torchvision_names",
]

_NAMED = {
    ((2, 2, 2, 2), False): resnet18,
    ((3, 4, 6, 3), False): resnet34,
    ((3, 4, 6, 3), True): resnet50,
}
_SAFETENSORS = "model.safetensors"


@dataclasses.dataclass(frozen=True)
class Converted:
    """What `convert_checkpoint` made, and of what.

    Attributes:
        encoder: the encoder. With a rationale branch of the file's it pools by it, else equally.
        layout: where in the file the network was, for the reader.
        used: names of the tensors that were loaded.
        passed_over: names of those that were not: heads, copies, queues, counters.
        origin: file or handle with commit, sha256 and size, for a preset's `source`.
    """

    encoder: CommonRationaleEncoder
    layout: str
    used: tuple[str, ...]
    passed_over: tuple[str, ...]
    origin: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def convert_checkpoint(
    source: str | os.PathLike | Mapping[str, np.ndarray],
    *,
    prefix: str | None = None,
    max_pool: bool | None = None,
    image_size: int | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
) -> Converted:
    """Makes an encoder of a ResNet that was trained elsewhere.

    Known are torchvision's and timm's ResNets of basic or bottleneck blocks (18, 34, 50, ...), and
    what self-supervised code stores around them: MoCo's `encoder_q`, its momentum copy and queue,
    the LCR release's branch (`conv16`, `bn16`) in its MoCo and BYOL form, SimSiam's and BYOL's
    encoders, `backbone` with the numbers of a Sequential as lightly stores it; all with or without
    `module.`. The architecture is read off names and shapes. What they don't show is taken to be as
    in torchvision: the stride in a bottleneck's 3x3 convolution, ImageNet's mean and deviation,
    which the network itself takes off RGB 0..255.

    Args:
        source: a file as `read_checkpoint` takes it, `hf://org/name[@revision]` with a
            `model.safetensors` such as timm's, or arrays by name.
        prefix: what the network's names begin with, where a file holds several; the others are
            passed over.
        max_pool: whether the network has the max pooling after its first convolution. None: it
            has, but for the LCR release's BYOL, whose forward leaves it out.
        image_size: side of the images in pixels, kept with the encoder.
        revision, token: for `hf://`.

    Raises:
        CheckpointError: the file can't be read, holds no ResNet or several, or holds tensors that
            are neither used nor known to be superfluous, the message lists them; or a tensor that
            is used holds NaN or infinity.
        FileNotFoundError: `source` names no file.
        HubError: it can't be fetched.

    Example:

    >>> converted = convert_checkpoint("checkpoint_0199.pth.tar")
    >>> converted.encoder.save_to_preset("my_encoder", source=converted.origin)
    """
    tensors, origin = (
        (source, {}) if isinstance(source, Mapping) else _read(source, revision, token)
    )
    tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    prefix, others = find_networks(tensors, prefix)
    network, branch, passed = sort_tensors(tensors, prefix, others)
    if max_pool is None:
        max_pool = not (branch and any(name.startswith("online_encoder.") for name in tensors))
    backbone = _resnet_of({name: value.shape for name, (_, value) in network.items()}, max_pool)
    try:
        load_torchvision_weights(backbone, {name: value for name, (_, value) in network.items()})
        encoder = _with_branch(backbone, {n: v for n, (_, v) in branch.items()}, image_size)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    layout = (
        (f"{backbone.name} under {prefix!r}" if prefix else backbone.name)
        + ("" if max_pool else " without max pooling")
        + (" with a rationale branch" if branch else "")
    )
    used = (name for name, _ in (*network.values(), *branch.values()))
    return Converted(encoder, layout, tuple(used), tuple(passed), origin)


def from_keras_resnet50(model: keras.Model, image_size: int | None = None) -> Converted:
    """Makes an encoder of `keras.applications.ResNet50(include_top=False)`, or ResNet101 or 152.

    It is another network than ours (stride in the first 1x1 convolution, biases) and takes
    blue-green-red images without their mean, so it is kept as it is behind a layer that takes the
    mean off RGB 0..255; the order of channels goes into the first kernel.

    Args:
        model: the application, with any weights. It is not changed.
        image_size: side of the images in pixels, kept with the encoder.

    Raises:
        CheckpointError: it is another model, or its weights hold NaN or infinity.
    """
    if not (
        isinstance(model, keras.Model)
        and {"conv1_conv", "conv1_bn", "conv5_block3_out"} <= {each.name for each in model.layers}
        and len(model.output_shape) == 4
    ):
        raise CheckpointError(
            "model must be keras.applications.ResNet50(include_top=False, pooling=None), not a V2; "
            f"received {getattr(model, 'name', model)!r}."
        )
    try:
        check_finite(model, f"model {model.name!r}", "take other weights")
    except PresetError as error:
        raise CheckpointError(str(error)) from error
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    first = twin.get_layer("conv1_conv")
    first.kernel.assign(np.asarray(first.kernel)[:, :, ::-1])
    images = keras.Input((None, None, 3), name="images")
    means = [-123.68, -116.779, -103.939]
    centred = ChannelRescaling(1.0, means, name="center_images")(images)
    backbone = keras.Model(images, twin(centred), name=f"keras_{model.name}")
    encoder = CommonRationaleEncoder(
        backbone, num_detectors=1, pooling="average", image_size=image_size
    )
    used = tuple(variable.path for variable in model.weights)
    return Converted(encoder, f"{model.name} of keras.applications", used, ())


def _read(
    source: str | os.PathLike, revision: str | None, token: str | bool | None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The tensors of a file, and what identifies it."""
    text = os.fspath(source)
    if text.startswith(hub.SCHEME):
        repo, revision = hub.parse_handle(text, revision)
        folder = hub.fetch(repo, revision, (_SAFETENSORS,), token=token)
        path, name = folder / _SAFETENSORS, f"{hub.SCHEME}{repo}@{folder.name}"
        if not path.is_file():
            raise CheckpointError(f"{text} has no {_SAFETENSORS}; download its file and name that.")
    else:
        path = Path(text).expanduser()
        name = path.name
        if not path.is_file():
            what = "a folder" if path.is_dir() else "No such file"
            raise FileNotFoundError(
                f"source: {what}: {text!r}. Name a checkpoint's file, or hf://org/name."
            )
    return read_checkpoint(path), {"converted_from": name, **fingerprint(path)}


def _resnet_of(shapes: Mapping[str, tuple[int, ...]], max_pool: bool) -> ResNet:
    """The ResNet that has tensors of these names."""
    places = [match for name in shapes if (match := re.match(r"layer(\d)\.(\d+)\.", name))]
    stages = sorted({int(match[1]) for match in places})
    blocks = tuple(
        len({match[2] for match in places if int(match[1]) == stage}) for stage in stages
    )
    if not blocks or stages != list(range(1, len(stages) + 1)):
        raise CheckpointError(f"No ResNet: its stages are {stages}. Names: {listed(shapes)}.")
    bottleneck, width = "layer1.0.conv3.weight" in shapes, shapes["conv1.weight"][0]
    if width == 64 and (build := _NAMED.get((blocks, bottleneck))):
        return build(max_pool=max_pool, seed=0)
    return ResNet(blocks, bottleneck, width, max_pool=max_pool, seed=0)


def _with_branch(
    backbone: ResNet, branch: Mapping[str, np.ndarray], image_size: int | None
) -> CommonRationaleEncoder:
    """An encoder with the release's branch, or without one."""
    if not branch:
        return CommonRationaleEncoder(
            backbone, num_detectors=1, pooling="average", image_size=image_size, seed=0
        )
    names = {"conv16.weight", *(f"bn16.{name}" for name in BATCH_NORM)}
    if branch.keys() != names:
        raise ValueError(f"A rationale branch has {listed(names)}. Received: {listed(branch)}.")
    kernel = to_keras(branch["conv16.weight"])
    encoder = CommonRationaleEncoder(
        backbone, num_detectors=kernel.shape[-1], image_size=image_size, seed=0
    )
    norm = encoder.branch.batch_norm
    pairs = [(encoder.branch.detectors.kernel, kernel)] + [
        (getattr(norm, ours), branch[f"bn16.{theirs}"]) for theirs, ours in BATCH_NORM.items()
    ]
    refuse_not_finite(branch)
    for variable, value in pairs:
        if tuple(variable.shape) != value.shape:
            raise ValueError(
                f"{variable.path}: expected {tuple(variable.shape)}, received {value.shape}."
            )
    for variable, value in pairs:
        variable.assign(value)
    return encoder
