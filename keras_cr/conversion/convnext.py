"""ConvNeXt, V1 and V2, by the names that libraries give its tensors; timm's are ours."""

import re

from keras_cr.conversion.layout import Facts, Layout, Shapes, places, renamed
from keras_cr.models import ConvNeXt
from keras_cr.models.torchvision import listed
from keras_cr.presets.errors import CheckpointError

_SIZES = {  # depths and first width
    ((2, 2, 6, 2), 40): "atto",
    ((2, 2, 6, 2), 48): "femto",
    ((2, 2, 6, 2), 64): "pico",
    ((2, 2, 8, 2), 80): "nano",
    ((3, 3, 9, 3), 96): "tiny",
    ((3, 3, 27, 3), 96): "small",
    ((3, 3, 27, 3), 128): "base",
    ((3, 3, 27, 3), 192): "large",
    ((3, 3, 27, 3), 256): "xlarge",
    ((3, 3, 27, 3), 352): "huge",
}
_BLOCK = r"stages.\1.blocks.\2."
_TIMM = {
    r"stem\.[01]\.\w+": r"\g<0>",
    r"stages\.\d+\.downsample\.[01]\.\w+": r"\g<0>",
    r"stages\.\d+\.blocks\.\d+\.(?:conv_dw|norm|mlp\.fc[12]|mlp\.grn)\.\w+": r"\g<0>",
    r"stages\.\d+\.blocks\.\d+\.gamma": r"\g<0>",
    r"(?:head\.norm|norm_pre)\.(\w+)": r"norm.\1",
}
_PARTS = {"0": "conv_dw", "2": "norm", "3": "mlp.fc1", "5": "mlp.fc2"}


def _half(match: re.Match) -> int:
    """torchvision counts blocks and what halves the map alike."""
    return int(match[1]) // 2


_TORCHVISION = {
    r"features\.0\.([01]\.\w+)": r"stem.\1",
    r"features\.([2468])\.([01]\.\w+)": lambda m: f"stages.{_half(m)}.downsample.{m[2]}",
    r"features\.([1357])\.(\d+)\.block\.([0235])\.(\w+)": lambda m: (
        f"stages.{_half(m)}.blocks.{m[2]}.{_PARTS[m[3]]}.{m[4]}"
    ),
    r"features\.([1357])\.(\d+)\.layer_scale": lambda m: f"stages.{_half(m)}.blocks.{m[2]}.gamma",
    r"classifier\.0\.(\w+)": r"norm.\1",
}
_AUTHORS = {
    r"downsample_layers\.0\.([01]\.\w+)": r"stem.\1",
    r"downsample_layers\.(\d)\.([01]\.\w+)": r"stages.\1.downsample.\2",
    r"stages\.(\d)\.(\d+)\.dwconv\.(\w+)": rf"{_BLOCK}conv_dw.\3",
    r"stages\.(\d)\.(\d+)\.norm\.(\w+)": rf"{_BLOCK}norm.\3",
    r"stages\.(\d)\.(\d+)\.pwconv([12])\.(\w+)": rf"{_BLOCK}mlp.fc\3.\4",
    r"stages\.(\d)\.(\d+)\.grn\.gamma": rf"{_BLOCK}mlp.grn.weight",
    r"stages\.(\d)\.(\d+)\.grn\.beta": rf"{_BLOCK}mlp.grn.bias",
    r"stages\.(\d)\.(\d+)\.gamma": rf"{_BLOCK}gamma",
    r"norm\.(\w+)": r"\g<0>",
}
_STAGE = r"encoder\.stages\.(\d)\."
_TRANSFORMERS = {
    r"embeddings\.patch_embeddings\.(\w+)": r"stem.0.\1",
    r"embeddings\.layernorm\.(\w+)": r"stem.1.\1",
    rf"{_STAGE}downsampling_layer\.([01]\.\w+)": r"stages.\1.downsample.\2",
    rf"{_STAGE}layers\.(\d+)\.dwconv\.(\w+)": rf"{_BLOCK}conv_dw.\3",
    rf"{_STAGE}layers\.(\d+)\.layernorm\.(\w+)": rf"{_BLOCK}norm.\3",
    rf"{_STAGE}layers\.(\d+)\.pwconv([12])\.(\w+)": rf"{_BLOCK}mlp.fc\3.\4",
    rf"{_STAGE}layers\.(\d+)\.grn\.(\w+)": rf"{_BLOCK}mlp.grn.\3",
    rf"{_STAGE}layers\.(\d+)\.layer_scale_parameter": rf"{_BLOCK}gamma",
    r"layernorm\.(\w+)": r"norm.\1",
}
_MODEL = r"(?:model\.)?stages\.(\d)"
_DINOV3 = {  # as transformers names DINOv3's
    r"(?:model\.)?stages\.0\.downsample_layers\.([01]\.\w+)": r"stem.\1",
    rf"{_MODEL}\.downsample_layers\.([01]\.\w+)": r"stages.\1.downsample.\2",
    rf"{_MODEL}\.layers\.(\d+)\.depthwise_conv\.(\w+)": rf"{_BLOCK}conv_dw.\3",
    rf"{_MODEL}\.layers\.(\d+)\.layer_norm\.(\w+)": rf"{_BLOCK}norm.\3",
    rf"{_MODEL}\.layers\.(\d+)\.pointwise_conv([12])\.(\w+)": rf"{_BLOCK}mlp.fc\3.\4",
    rf"{_MODEL}\.layers\.(\d+)\.gamma": rf"{_BLOCK}gamma",
    r"layer_norm\.(\w+)": r"norm.\1",
}


def _build(shapes: Shapes, facts: Facts) -> ConvNeXt:
    blocks = places(r"stages\.(\d+)\.blocks\.(\d+)\.", shapes)
    stages = sorted({stage for stage, _ in blocks})
    depths = tuple(sum(stage == each for each, _ in blocks) for stage in stages)
    firsts = [shapes.get(f"stages.{stage}.blocks.0.conv_dw.weight") for stage in stages]
    if not depths or stages != list(range(len(stages))) or None in firsts:
        raise CheckpointError(f"No ConvNeXt: its stages are {stages}. Names: {listed(shapes)}.")
    widths = tuple(shape[0] for shape in firsts)
    version = 2 if "stages.0.blocks.0.mlp.grn.weight" in shapes else 1
    kind = "convnext" if version == 1 else "convnextv2"
    doubled = tuple(widths[0] * 2**stage for stage in range(len(widths)))
    size = _SIZES.get((depths, widths[0])) if widths == doubled else None  # type: ignore[arg-type]
    return ConvNeXt(
        depths,
        widths,
        version=version,
        scaled="stages.0.blocks.0.gamma" in shapes,
        normalized="norm.weight" in shapes,
        seed=0,
        name=f"{kind}_{size}" if size else kind,
        **facts.normalization,  # type: ignore[arg-type]
    )


def _layout(library: str, stem: str, table: dict) -> Layout:
    return Layout(
        library, "ConvNeXt", stem, (3, 4, 4).__eq__, lambda name, _: renamed(name, table), _build
    )


LAYOUTS = (
    _layout("timm", r"stem\.0\.weight", _TIMM),
    _layout("torchvision", r"features\.0\.0\.weight", _TORCHVISION),
    _layout("its authors", r"downsample_layers\.0\.0\.weight", _AUTHORS),
    _layout("transformers", r"embeddings\.patch_embeddings\.weight", _TRANSFORMERS),
    _layout(
        "transformers (DINOv3)", r"(?:model\.)?stages\.0\.downsample_layers\.0\.weight", _DINOV3
    ),
)
