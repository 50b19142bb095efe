"""Vision transformers by timm's names, which are DINOv2's own too, and SigLIP's by transformers'.

KerasHub reads transformers' DINOv2, DINOv3, ViT and DeiT into its own classes.
"""

import math

import numpy as np

from keras_cr.conversion.layout import Facts, Layout, Shapes, places, renamed
from keras_cr.models import VisionTransformer
from keras_cr.models.torchvision import listed
from keras_cr.presets.errors import CheckpointError

_HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1152: 16, 1280: 16, 1408: 16, 1536: 24}  # by width
_SIZES = {  # width, depth
    (192, 12): "tiny",
    (384, 12): "small",
    (768, 12): "base",
    (1024, 24): "large",
    (1152, 27): "so400m",
    (1280, 32): "huge",
    (1408, 40): "giant",
}
_TIMM = {
    r"patch_embed\.proj\.(\w+)": r"patch_embed.\1",
    r"pos_embed|cls_token|norm\.\w+": r"\g<0>",
    r"register_tokens|reg_token": "registers",
    r"blocks\.\d+\.(?:norm[12]|attn\.qkv|attn\.proj|mlp\.fc[12])\.\w+": r"\g<0>",
    r"(blocks\.\d+\.ls[12])\.gamma": r"\1",
}
_LAYER = r"encoder\.layers\.(\d+)\."
_SIGLIP = {
    r"embeddings\.patch_embedding\.(\w+)": r"patch_embed.\1",
    r"embeddings\.position_embedding\.weight": "pos_embed",
    r"post_layernorm\.(\w+)": r"norm.\1",
    rf"{_LAYER}layer_norm([12]\.\w+)": r"blocks.\1.norm\2",
    rf"{_LAYER}self_attn\.([qkv])_proj\.(\w+)": r"blocks.\1.attn.\2.\3",
    rf"{_LAYER}self_attn\.out_proj\.(\w+)": r"blocks.\1.attn.proj.\2",
    rf"{_LAYER}mlp\.(fc[12]\.\w+)": r"blocks.\1.mlp.\2",
}
_SIGLIP_OPTIONS = {"activation": "gelu_tanh", "mean": (0.5,) * 3, "std": (0.5,) * 3}


def _build(shapes: Shapes, facts: Facts, family: str, options: dict) -> VisionTransformer:
    blocks = places(r"blocks\.(\d+)\.", shapes)
    needed = {"pos_embed", "patch_embed.weight", "norm.weight", "blocks.0.mlp.fc1.weight"}
    if blocks != [(number,) for number in range(len(blocks))] or not needed <= shapes.keys():
        raise CheckpointError(
            f"No vision transformer with {listed(needed)}. Received: {listed(shapes)}."
        )
    width, _, patch, _ = shapes["patch_embed.weight"]
    prefix = int("cls_token" in shapes) + shapes.get("registers", (1, 0, width))[1]
    _, side = _positions(shapes["pos_embed"][-2], prefix)
    heads = facts.heads or _HEADS.get(width)
    if heads is None:
        raise CheckpointError(
            f"A transformer of width {width}, whose heads its tensors don't show; put the "
            "config.json of transformers beside its model.safetensors."
        )
    scaled = "blocks.0.ls1" in shapes
    if scaled and family == "vit" and patch == 14:
        family = "dinov2"
    size = _SIZES.get((width, len(blocks)))
    return VisionTransformer(
        patch,
        (side, side),
        width,
        len(blocks),
        heads,
        hidden=shapes["blocks.0.mlp.fc1.weight"][0],
        prefix=prefix,
        class_token="cls_token" in shapes,
        scaled=scaled,
        seed=0,
        name=f"{family}_{size}" if size else family,
        **options | facts.normalization,
    )


def _positions(number: int, prefix: int) -> tuple[int, int]:
    """How many of so many positions are the class token's and the registers', and the grid's side.

    Raises:
        CheckpointError: what is left is no square.
    """
    for first in sorted({0, min(prefix, 1), prefix}):
        side = math.isqrt(max(number - first, 0))
        if side and side * side == number - first:
            return first, side
    raise CheckpointError(
        f"pos_embed: {number} positions, which are no square of patches beside {prefix} tokens."
    )


def _arrange(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Queries, keys and values apart; positions as a grid, the class token's added to it."""
    found = {}
    for name, value in arrays.items():
        start, _, part = name.rpartition("qkv.")
        if start and len(value) % 3 == 0:
            for letter, third in zip("qkv", np.split(value, 3), strict=True):
                found[f"{start}{letter}.{part}"] = third
        else:
            found[name] = value
    positions = found.pop("pos_embed").reshape(-1, found["norm.weight"].size)
    names = [name for name in ("cls_token", "registers") if name in found]
    prefix = [found.pop(name).reshape(-1, positions.shape[1]) for name in names]
    prefix = np.concatenate([positions[:0], *prefix])
    first, side = _positions(len(positions), len(prefix))
    prefix = np.concatenate([prefix[:first] + positions[:first], prefix[first:]])
    grid = {"pos_embed": positions[first:].reshape(side, side, -1)}
    return found | grid | ({"prefix": prefix[None]} if len(prefix) else {})


def _square(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[0] == 3 and shape[1] == shape[2]


LAYOUTS = (
    Layout(
        *("timm", "VisionTransformer", r"patch_embed\.proj\.weight", _square),
        rename=lambda name, _: renamed(name, _TIMM),
        build=lambda shapes, facts: _build(shapes, facts, "vit", {}),
        arrange=_arrange,
    ),
    Layout(
        *("transformers", "SigLIP", r"embeddings\.patch_embedding\.weight", _square),
        rename=lambda name, _: renamed(name, _SIGLIP),
        build=lambda shapes, facts: _build(shapes, facts, "siglip", _SIGLIP_OPTIONS),
        arrange=_arrange,
    ),
)
