"""EfficientNet and its Lite form by the names of EfficientNet-PyTorch and what follows it.

Its networks came from TensorFlow's releases: padded and normalised as there. Blocks are counted
through; a stage ends where the kind of block, the kernel or the channels change, which in these
networks is always.
"""

import re

from keras_cr.conversion.efficientnet import TENSORFLOW, build
from keras_cr.conversion.layout import Facts, Layout, Shapes, places
from keras_cr.models import EfficientNet

_LITE = {"mean": (127 / 255,) * 3, "std": (128 / 255,) * 3}  # of TensorFlow's EfficientNet-Lite
_TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
_SQUEEZE = {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}
_SEPARABLE = _SQUEEZE | {
    **{"_depthwise_conv": "conv_dw", "_bn1": "bn1"},
    **{"_project_conv": "conv_pw", "_bn2": "bn2"},
}
_INVERTED = _SQUEEZE | {
    **{"_expand_conv": "conv_pw", "_bn0": "bn1"},
    **{"_depthwise_conv": "conv_dw", "_bn1": "bn2"},
    **{"_project_conv": "conv_pwl", "_bn2": "bn3"},
}


def _rename(name: str, shapes: Shapes) -> str | None:
    """timm's name of a tensor."""
    if match := re.fullmatch(r"(_\w+)\.(\w+)", name):
        return f"{_TOP[match[1]]}.{match[2]}" if match[1] in _TOP else None
    match = re.fullmatch(r"_blocks\.(\d+)\.(_\w+)\.(\w+)", name)
    if not match:
        return None
    number, part, rest = int(match[1]), match[2], match[3]
    parts = _INVERTED if _expands(number, shapes) else _SEPARABLE
    found = _places(shapes).get(number)
    if part not in parts or found is None:
        return None
    return f"blocks.{found[0]}.{found[1]}.{parts[part]}.{rest}"


def _expands(number: int, shapes: Shapes) -> bool:
    return f"_blocks.{number}._expand_conv.weight" in shapes


def _places(shapes: Shapes) -> dict[int, tuple[int, int]]:
    """Stage, and number within it, of every block."""
    found: dict[int, tuple[int, int]] = {}
    before, place = None, (-1, 0)
    for (number,) in places(r"_blocks\.(\d+)\.", shapes):
        block = f"_blocks.{number}."
        kernel = shapes.get(f"{block}_depthwise_conv.weight", ())[2:]
        filters = shapes.get(f"{block}_project_conv.weight", ())[:1]
        kind = (_expands(number, shapes), kernel, filters)
        place = (place[0], place[1] + 1) if kind == before else (place[0] + 1, 0)
        found[number], before = place, kind
    return found


def _build(shapes: Shapes, facts: Facts) -> EfficientNet:
    squeezes = any(".se." in name for name in shapes)
    return build(shapes, TENSORFLOW | ({} if squeezes else _LITE) | facts.normalization)


LAYOUTS = (
    Layout(
        *("EfficientNet-PyTorch", "EfficientNet", r"_conv_stem\.weight"),
        *((3, 3, 3).__eq__, _rename, _build),
    ),
)
