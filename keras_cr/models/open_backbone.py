"""What `from_backbone` takes beside models: names, folders, files and handles, opened."""

import dataclasses
import difflib
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import keras

from keras_cr._optional import keras_hub
from keras_cr.models.backbone_reader import read_pinned
from keras_cr.models.backbones import BACKBONES
from keras_cr.models.normalization import Normalization
from keras_cr.presets.backbone_source import BackboneSource
from keras_cr.presets.hub import SCHEME
from keras_cr.presets.locate import locate
from keras_cr.presets.manifest import CONFIG, MANIFEST
from keras_cr.presets.plain import read_json
from keras_cr.presets.registry import list_presets
from keras_cr.presets.store import valid_name

_PROCESSOR = "preprocessor_config.json"
_META = {  # Meta's names of DINOv2's and DINOv3's models, and KerasHub's of the same weights
    **{f"dinov2_vit{size[0]}14": f"dinov2_{size}" for size in ("small", "base", "large", "giant")},
    **{
        f"dinov2_vit{size[0]}14_reg": f"dinov2_with_registers_{size}"
        for size in ("small", "base", "large", "giant")
    },
    "dinov3_vits16": "dinov3_vit_small_lvd1689m",
    "dinov3_vits16plus": "dinov3_vit_small_plus_lvd1689m",
    "dinov3_vitb16": "dinov3_vit_base_lvd1689m",
    "dinov3_vitl16": "dinov3_vit_large_lvd1689m",
    "dinov3_vith16plus": "dinov3_vit_huge_plus_lvd1689m",
    "dinov3_vit7b16": "dinov3_vit_7b_lvd1689m",
}


@dataclasses.dataclass(frozen=True)
class Opened:
    """A model that `adapt_backbone` takes, and what is known of it.

    Attributes:
        model: the model.
        normalization: for `adapt_backbone`; `"auto"` where its files don't say.
        source: where its weights are from, or None where that can't be pinned.
    """

    model: keras.Model
    normalization: Any = "auto"
    source: BackboneSource | None = None


def open_backbone(
    name: str | os.PathLike,
    image_size: tuple[int, int] | None = None,
    load_weights: bool = True,
    dtype: Any = None,
    **options: Any,
) -> Opened:
    """Loads a model that `adapt_backbone` takes, with a source where its files can be pinned.

    They can, but for KerasHub's names and handles of other places than the Hugging Face Hub, under
    another dtype than Keras' default, and without weights: there KerasHub's own loader does all.

    Args:
        name: what `keras_cr.models.load_backbone` loads; a preset of KerasHub (`"dinov2_small"`,
            `keras_hub.models.Backbone.presets` lists them), of DINOv2's and DINOv3's by Meta's
            names too (`"dinov3_vits16"`), or another handle of KerasHub's.
        image_size: height and width of the images.
        load_weights: False gives fresh weights; of a `.keras` file or a preset of this package
            they are loaded all the same.
        dtype: dtype policy of the model; not for those two.
        **options: `revision`, `token`, `cache_dir`, `local_files_only`, as for `load_backbone`.

    Raises:
        ValueError: it is none of these, or can't be loaded.
        ImportError: KerasHub is not installed.
    """
    if not isinstance(name, str | os.PathLike) or not os.fspath(name):
        raise ValueError(
            "`model` must be a Keras model, a preset's name, a folder, a .keras file or a handle. "
            f"Received: {name!r}"
        )
    text = os.fspath(name)
    if text in BACKBONES:
        raise ValueError(
            f"`model={text!r}` is a backbone without trained weights: build it with "
            f"CommonRationaleEncoder({text!r}), or give weights, such as from_preset's."
        )
    ours = text.endswith(".keras") or is_preset(text)
    here = ours or text.startswith(SCHEME) or _is_here(text)
    as_it_is = load_weights and (dtype is None or _is_default(dtype))
    if ours or (here and as_it_is):
        model, source, path = read_pinned(name, image_size=image_size, **options)
        if source.converter != "keras_hub" or path is None:
            return Opened(model, source=source)
        hub = keras_hub(f"The backbone {text!r}")
        return Opened(model, _normalization(hub, str(path), type(model)), source)
    if given := [each for each, value in options.items() if value not in (None, False)]:
        raise ValueError(
            f"`{given[0]}` is for folders and hf:// handles, with their weights and as they are. "
            f"Received: {given[0]}={options[given[0]]!r} for {text!r}"
        )
    hub = keras_hub(f"The backbone {text!r}")
    if not here and "://" not in text:
        text = _META.get(text, text)
        _check_known(text, hub.models.Backbone.presets)
    place = str(Path(text).expanduser()) if here and "://" not in text else text
    given = {} if dtype is None else {"dtype": dtype}
    try:
        model = hub.models.Backbone.from_preset(place, load_weights=load_weights, **given)
    except Exception as error:  # of the Hub's client, Kaggle's, or KerasHub's own loader
        raise ValueError(
            f"`model={text!r}` can't be loaded by KerasHub {hub.__version__}: "
            f"{type(error).__name__}: {str(error).strip()}"
        ) from error
    return Opened(model, _normalization(hub, place, type(model)))


def is_preset(name: str) -> bool:
    """Whether it is a preset of this package: its folder, or a name in the store or with a card."""
    folder = Path(name).expanduser()
    return (folder / MANIFEST).is_file() or name in {info.name for info in list_presets()}


def backbone_of_preset(name: str) -> str | None:
    """What a preset calls its backbone; None where it isn't on this machine, or doesn't say.

    Args:
        name: a preset of this package, see `is_preset`.
    """
    try:
        folder = locate(name, None, (CONFIG,), {"local_files_only": True}).folder
        config = read_json(folder / CONFIG)[0]["config"]
        config = config.get("encoder", {"config": config})["config"]  # a classifier has one
        while "backbone" in config:  # one that was adapted is in another
            config = config["backbone"]["config"]
        found = config["name"].lower()
    except (ValueError, OSError, LookupError, TypeError, AttributeError):
        return None
    return found if valid_name(found) else None


def may_be_backbone(name: str) -> bool:
    """Whether a name that is no preset's may be a backbone's; says nothing of files on the Hub."""
    if "://" in name or (Path(name).expanduser() / CONFIG).is_file():
        return True
    if importlib.util.find_spec("keras_hub") is None:
        return False
    return _META.get(name, name) in keras_hub(f"The backbone {name!r}").models.Backbone.presets


def _is_here(text: str) -> bool:
    """Whether it is a folder of a backbone.

    Raises:
        ValueError: it is a folder of something else.
    """
    if "://" in text:
        return False
    folder = Path(text).expanduser()
    if (folder / CONFIG).is_file():
        return True
    if folder.is_dir() or os.sep in text or text[0] in ".~":
        raise ValueError(
            f"`model` must be a folder with a {CONFIG}, as backbone.save_to_preset writes it. "
            f"Received: {text!r}"
        )
    return False


def _is_default(dtype: Any) -> bool:
    return keras.dtype_policies.get(dtype).name == keras.config.dtype_policy().name


def _check_known(text: str, known: Any) -> None:
    """Refuses a name that KerasHub doesn't know."""
    if text not in known:
        close = difflib.get_close_matches(text, known, 3, 0.5)
        hint = f"; close ones: {', '.join(close)}" if close else ""
        raise ValueError(
            "`model` must be a preset of KerasHub (keras_hub.models.Backbone.presets), a folder, a "
            f".keras file or 'hf://org/name'. Received: {text!r}{hint}"
        )


def _normalization(hub: Any, preset: str, backbone: type) -> Any:
    """The preset's own, from its image converter or, of transformers' files, its processor."""
    layers = [each for each in vars(hub.layers).values() if isinstance(each, type)]
    for cls in layers:
        if getattr(cls, "backbone_cls", None) is backbone:
            try:
                converter = cls.from_preset(preset)  # type: ignore[attr-defined]
            except FileNotFoundError:
                converter = None
            if converter is not None and converter.scale is not None:
                return converter
    processor = _processor(preset)
    if not processor.get("do_normalize", "image_mean" in processor):
        return "auto"
    own = Normalization.of(processor["image_mean"], processor["image_std"])
    factor = 255 * processor.get("rescale_factor", 1 / 255)
    return tuple(factor * each for each in own.scale), own.offset


def _processor(preset: str) -> dict:
    """What `transformers` saves of its image processor; empty where there is none."""
    path = Path(preset) / _PROCESSOR
    if preset.startswith(SCHEME):
        import huggingface_hub

        try:
            path = huggingface_hub.hf_hub_download(preset.removeprefix(SCHEME), _PROCESSOR)
        except huggingface_hub.errors.EntryNotFoundError:
            return {}
    return json.loads(Path(path).read_text("utf-8")) if Path(path).is_file() else {}
