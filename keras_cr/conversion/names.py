"""What the tensors of a checkpoint are, by the names that self-supervised code gives them."""

import re
from collections.abc import Mapping

import numpy as np

from keras_cr.conversion.torchvision import listed
from keras_cr.presets.errors import CheckpointError

# Passed over: heads; momentum copies, an optimizer's state; queues and centres.
_EXTRA = (
    r"(?:fc|heads?|classifier|linear|(?:online_)?(?:projector|predictor)|projection|projetion"
    r"|prediction|projection_head|prediction_head|mlp|qmax|kmax|conv16_2|bn16_2)\d*\."
    r"|(?:encoder_k|momentum_encoder|backbone_momentum|projection_head_momentum|target_\w+|teacher"
    r"|ema|optimizer\w*)\."
    r"|(?:queue\w*|center)$"
)
_AT_THE_TOP = re.compile(_EXTRA)  # inside the network: deeper, such a name belongs to its blocks
_AT_ANY_DEPTH = re.compile(rf"(?:.*\.)?(?:{_EXTRA})")
_BRANCH = re.compile(r"(?:.*\.)?(conv16\.weight|bn16\.\w+)")
_COPY = re.compile(r"(?:^|[._])(?:k|momentum|target|teacher|ema)[._]")
_SEQUENTIAL = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}


def find_networks(
    tensors: Mapping[str, np.ndarray], chosen: str | None
) -> tuple[str, tuple[str, ...]]:
    """Where in a checkpoint a ResNet is.

    Args:
        tensors: arrays by name, without `module.`.
        chosen: what the network's names begin with, or None where there is one alone.

    Returns:
        What its names begin with, and what those of its copies and of other networks begin with.

    Raises:
        CheckpointError: there is none, there are several, or none where it should be.
    """
    stems = [
        name.removesuffix(stem)
        for stem in ("conv1.weight", "0.weight")
        for name, value in tensors.items()
        if (name == stem or name.endswith(f".{stem}")) and value.shape[1:] == (3, 7, 7)
    ]
    if not stems:
        raise CheckpointError(
            "No ResNet: no 7x7 convolution of three channels called conv1.weight or 0.weight. "
            f"Received: {listed(tensors)}."
        )
    if chosen is None:
        own, *more = [prefix for prefix in stems if not _COPY.search(prefix)] or stems
        if not all(_same(_under(tensors, own), _under(tensors, other)) for other in more):
            raise CheckpointError(
                f"Several networks; choose one with prefix=: {listed((own, *more))}."
            )
    else:
        own = chosen.removeprefix("module.")
        own = f"{own}." if own and not own.endswith(".") else own
        if own not in stems:
            raise CheckpointError(
                f"prefix: names begin with {listed(map(repr, stems))}; received {chosen!r}."
            )
    return own, tuple(each for each in stems if not own.startswith(each))


def _under(tensors: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _same(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    """Whether a module was stored twice, under two attributes that hold it."""
    return one.keys() == other.keys() and all(
        np.array_equal(value, other[name]) for name, value in one.items()
    )


def sort_tensors(
    tensors: Mapping[str, np.ndarray], prefix: str, others: tuple[str, ...]
) -> tuple[dict, dict, list]:
    """Says of every tensor what it is.

    Args:
        tensors: arrays by name, without `module.`.
        prefix, others: as from `find_networks`.

    Returns:
        `{torchvision's name: (name, value)}` of the network, the same of a rationale branch
        (`conv16.weight`, `bn16.*`), and the names of what is superfluous.

    Raises:
        CheckpointError: there are others; the message lists them.
    """
    # nn.Sequential(network, projector): what has another number beside a network is a head.
    parents = [
        match[1] for each in (prefix, *others) if (match := re.match(r"(.*\.|)\d+\.$", each))
    ]
    beside = re.compile("|".join(rf"{re.escape(parent)}\d+\." for parent in parents) or "(?!)")
    network, branch, passed, unknown = {}, {}, [], []
    for name, value in tensors.items():
        other = name.startswith(others)
        own = name.startswith(prefix) and not other
        rest = name.removeprefix(prefix) if own else name
        if other or name.endswith("num_batches_tracked"):
            passed.append(name)
        elif (match := _BRANCH.fullmatch(rest)) and match[1] not in branch:
            branch[match[1]] = (name, value)
        elif own and not _AT_THE_TOP.match(rest):
            network[_torchvision_name(rest)] = (name, value)
        elif own or _AT_ANY_DEPTH.match(name) or beside.match(name):
            passed.append(name)
        else:
            unknown.append(name)
    if unknown:
        raise CheckpointError(
            f"Tensors outside of {prefix!r} that are not known to be superfluous: "
            f"{listed(unknown)}. Leave them out and pass the rest as a dict of arrays."
        )
    return network, branch, passed


def _torchvision_name(name: str) -> str:
    """`4.0.conv1.weight` -> `layer1.0.conv1.weight`; torchvision's names stay."""
    first, _, rest = name.partition(".")
    return f"{_SEQUENTIAL[first]}.{rest}" if first in _SEQUENTIAL else name
