"""Checkpoints of other frameworks become encoders, where every tensor in them is accounted for."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_cr.conversion import (
    convnext,
    efficientnet,
    efficientnet_pytorch,
    resnet,
    vision_transformer,
)
from keras_cr.conversion.layout import Facts
from keras_cr.conversion.names import find_networks, sort_tensors
from keras_cr.conversion.source import read_source
from keras_cr.layers import ChannelRescaling
from keras_cr.models import CommonRationaleEncoder
from keras_cr.models.torchvision import (
    BATCH_NORM,
    listed,
    load_torchvision_weights,
    refuse_not_finite,
    to_keras,
    torchvision_names,
)
from keras_cr.presets.errors import CheckpointError, PresetError
from keras_cr.presets.finite import check_finite

__all__ = [
    "Converted",
    "convert_checkpoint",
    "from_keras_resnet50",
    "load_torchvision_weights",
    "torchvision_names",
]

LAYOUTS = (
    *(*resnet.LAYOUTS, *convnext.LAYOUTS),
    *(*efficientnet.LAYOUTS, *efficientnet_pytorch.LAYOUTS),
    *vision_transformer.LAYOUTS,
)
_PREFIXES = ("tf_", "tv_")  # of timm's names, for where the weights come from


@dataclasses.dataclass(frozen=True)
class Converted:
    """What `convert_checkpoint` made, and of what.

    Attributes:
        encoder: the encoder. With a rationale branch of the file's it pools by it, else equally.
        layout: what the network was recognised as, and where in the file it was, for the reader.
        used: names of the tensors that were loaded.
        passed_over: names of those that were not: heads, copies, queues, counters.
        origin: file or handle with commit, sha256 and size, for a preset's `source`.
        taken: what the tensors don't show and how the network has it, for the reader.
    """

    encoder: CommonRationaleEncoder
    layout: str
    used: tuple[str, ...]
    passed_over: tuple[str, ...]
    origin: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    taken: str = ""


def convert_checkpoint(
    source: str | os.PathLike | Mapping[str, np.ndarray],
    *,
    backbone: str | None = None,
    prefix: str | None = None,
    max_pool: bool | None = None,
    image_size: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
) -> Converted:
    """Makes an encoder of a network that was trained elsewhere.

    Known are, by the names of torchvision, timm, transformers or their authors (docs/presets.md has
    the table): ResNets of basic or bottleneck blocks (wide ones and ResNeXt too), ConvNeXt V1 and
    V2, EfficientNet, its Lite form and V2, MobileNetV3, ViT, DINOv2, SigLIP. Around them may stand
    what self-supervised code stores: MoCo's `encoder_q`, its momentum copy and queue, the LCR
    release's branch (`conv16`, `bn16`) in its MoCo and BYOL form, SimSiam's and BYOL's encoders,
    `backbone` with the numbers of a Sequential as lightly stores it; all with or without `module.`.
    The architecture is read off names and shapes. What they don't show is read from the
    `config.json` and `preprocessor_config.json` that timm and transformers put beside a
    `model.safetensors`, or is taken to be as in the library: the stride in a bottleneck's 3x3
    convolution, ImageNet's mean and deviation, which the network itself takes off RGB 0..255;
    `taken` says so.

    Args:
        source: a file as `read_checkpoint` takes it, `hf://org/name[@revision]` or a folder with a
            `model.safetensors` such as timm's, or arrays by name.
        backbone: the architecture by timm's or torchvision's name, such as `"convnext_tiny"`: to
            tell `"tf_efficientnet_b0"` (padded as TensorFlow does) from `"efficientnet_b0"`; else a
            check of what is recognised.
        prefix: what the network's names begin with, where a file holds several; the others are
            passed over.
        max_pool: whether a ResNet has the max pooling after its first convolution. None: it has,
            but for the LCR release's BYOL, whose forward leaves it out.
        image_size: side of the images in pixels, kept with the encoder.
        mean, std: what images are normalised by, as shares of 255, three numbers each.
        revision, token: for `hf://`.

    Raises:
        CheckpointError: the file can't be read, holds no known network or several, or holds tensors
            that are neither used nor known to be superfluous, the message lists them; or a tensor
            that is used holds NaN or infinity; or the architecture is another than the one named.
        FileNotFoundError: `source` names no file.
        HubError: it can't be fetched.
        ValueError: `mean` and `std` are not three numbers each.

    Example:

    >>> converted = convert_checkpoint("checkpoint_0199.pth.tar")
    >>> converted.encoder.save_to_preset("my_encoder", source=converted.origin)
    """
    given = Facts(backbone, _channels("mean", mean), _channels("std", std))
    if (given.mean is None) != (given.std is None):
        raise ValueError(f"`mean` and `std` go together. Received: mean={mean!r}, std={std!r}")
    if isinstance(source, Mapping):
        tensors, origin, found, named = source, {}, Facts(), None
    else:
        tensors, origin, found, named = read_source(source, revision, token)
    tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    layout, prefix, others = find_networks(tensors, prefix, LAYOUTS)
    network, branch, passed = sort_tensors(tensors, layout, prefix, others)
    if max_pool is None and branch:
        max_pool = not any(name.startswith("online_encoder.") for name in tensors)
    facts = Facts(
        backbone or found.architecture or named,
        given.mean or found.mean,
        given.std or found.std,
        max_pool,
        found.heads,
    )
    model = layout.build({name: value.shape for name, (_, value) in network.items()}, facts)
    _check_name(backbone, "backbone", model.name)
    _check_name(found.architecture, "config.json", model.name)
    try:
        arrays = {name: value for name, (_, value) in network.items()}
        load_torchvision_weights(model, layout.arrange(arrays))
        encoder = _with_branch(model, {n: v for n, (_, v) in branch.items()}, image_size)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    layout = (
        f"{model.name} as {layout.library} names it"
        + (f", under {prefix!r}" if prefix else "")
        + (", without max pooling" if max_pool is False else "")
        + (", with a rationale branch" if branch else "")
    )
    used = (name for name, _ in (*network.values(), *branch.values()))
    return Converted(encoder, layout, tuple(used), tuple(passed), origin, _taken(model, facts))


def _channels(name: str, values: Sequence[float] | None) -> tuple[float, ...] | None:
    if values is None:
        return None
    if len(values) != 3 or not all(0 <= value <= 1 for value in values):
        raise ValueError(
            f"`{name}` must be three numbers in 0..1, shares of 255. Received: {name}={values!r}"
        )
    return tuple(map(float, values))


def _check_name(name: str | None, where: str, recognised: str) -> None:
    """Refuses an architecture that was named and is not what the tensors show."""
    bare = name
    for each in _PREFIXES:
        bare = bare and bare.removeprefix(each)
    if bare and not bare.startswith(recognised):
        raise CheckpointError(
            f"{where}: names {name!r}, but the tensors are those of {recognised}. Networks with "
            "such tensors may differ in what tensors don't show, so nothing was converted."
        )


def _taken(model: keras.Model, facts: Facts) -> str:
    """What tensors don't show of a network."""
    whose = "as given" if facts.normalization else "usual there; nothing says so"
    told = f"images less {model.mean} over {model.std} of 255 ({whose})"
    if hasattr(model, "padding"):
        told += f"; padding {model.padding!r}, epsilon {model.epsilon:g}"
    return told


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


def _with_branch(
    backbone: keras.Model, branch: Mapping[str, np.ndarray], image_size: int | None
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
