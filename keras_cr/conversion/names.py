"""What the tensors of a checkpoint are, by the names that self-supervised code gives them."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from keras_cr.conversion.layout import Layout
from keras_cr.models.torchvision import listed
from keras_cr.presets.errors import CheckpointError

# Passed over: heads; momentum copies, an optimizer's state; queues and centres.
_EXTRA = (
    r"(?:_?fc|heads?|classifier|linear|(?:online_)?(?:projector|predictor)|projection|projetion"
    r"|prediction|projection_head|prediction_head|mlp|qmax|kmax|conv16_2|bn16_2|conv_head"
    r"|projectors|norms)\d*\."
    r"|(?:encoder_k|momentum_encoder|backbone_momentum|projection_head_momentum|target_\w+|teacher"
    r"|ema|optimizer\w*)\."
    r"|text_model\.|(?:queue\w*|center|mask_token|logit_scale|logit_bias)$"
)
_AT_THE_TOP = re.compile(_EXTRA)  # inside the network: deeper, such a name belongs to its blocks
_AT_ANY_DEPTH = re.compile(rf"(?:.*\.)?(?:{_EXTRA})")
_BRANCH = re.compile(r"(?:.*\.)?(conv16\.weight|bn16\.\w+)")
_COPY = re.compile(r"(?:^|[._])(?:k|momentum|target|teacher|ema)[._]")


def find_networks(
    tensors: Mapping[str, np.ndarray], chosen: str | None, layouts: Sequence[Layout]
) -> tuple[Layout, str, tuple[str, ...]]:
    """Where in a checkpoint a network is.

    Args:
        tensors: arrays by name, without `module.`.
        chosen: what the network's names begin with, or None where there is one alone.
        layouts: those that are known.

    Returns:
        Its layout, what its names begin with, and what those of its copies and of other networks
        begin with.

    Raises:
        CheckpointError: there is none, there are several, or none where it should be.
    """
    shapes = {name: value.shape for name, value in tensors.items()}
    found = {stem: layout for layout in reversed(layouts) for stem in layout.stems(shapes)}
    stems = [stem for layout in layouts for stem in layout.stems(shapes)]
    if not stems:
        families = listed({layout.family for layout in layouts})
        raise CheckpointError(
            f"No network that is known ({families}) by the name and shape of its first kernel. "
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
    return found[own], own, tuple(each for each in stems if not own.startswith(each))


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
    tensors: Mapping[str, np.ndarray], layout: Layout, prefix: str, others: tuple[str, ...]
) -> tuple[dict, dict, list]:
    """Says of every tensor what it is.

    Args:
        tensors: arrays by name, without `module.`.
        layout, prefix, others: as from `find_networks`.

    Returns:
        `{our layers' name: (name, value)}` of the network, the same of a rationale branch
        (`conv16.weight`, `bn16.*`), and the names of what is superfluous.

    Raises:
        CheckpointError: there are others; the message lists them.
    """
    # nn.Sequential(network, projector): what has another number beside a network is a head.
    parents = [
        match[1] for each in (prefix, *others) if (match := re.match(r"(.*\.|)\d+\.$", each))
    ]
    beside = re.compile("|".join(rf"{re.escape(parent)}\d+\." for parent in parents) or "(?!)")
    shapes = {name: value.shape for name, value in _under(tensors, prefix).items()}
    network, branch, passed, unknown = {}, {}, [], []
    for name, value in tensors.items():
        other = name.startswith(others)
        own = name.startswith(prefix) and not other
        rest = name.removeprefix(prefix) if own else name
        if other or name.endswith("num_batches_tracked"):
            passed.append(name)
        elif (match := _BRANCH.fullmatch(rest)) and match[1] not in branch:
            branch[match[1]] = (name, value)
        elif own and (ours := layout.rename(rest, shapes)):
            network[ours] = (name, value)
        elif own and not _AT_THE_TOP.match(rest):
            network[rest] = (name, value)  # of no layer, which loading will say
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
