"""Loading a preset: find it, verify its files, and only then build the model."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from keras_cr.presets.atomic import is_moving, stuck
from keras_cr.presets.backbone_source import BackboneSource
from keras_cr.presets.backbone_weights import owner_of
from keras_cr.presets.build import build_model
from keras_cr.presets.classes import check_classes, model_class
from keras_cr.presets.config import float_policy
from keras_cr.presets.errors import CorruptPresetError, PresetError, WrongClassError, shown
from keras_cr.presets.locate import locate
from keras_cr.presets.manifest import (
    CONFIG,
    MANIFEST,
    PATTERNS,
    Located,
    read_manifest,
    read_object,
    verify_files,
    weights_files,
)
from keras_cr.presets.pinned_backbone import PinnedBackbone, tell_licence

_ATTEMPTS = 5


def load_preset(
    name_or_handle: str | os.PathLike,
    *,
    expected: type[keras.Model] | tuple[type[keras.Model], ...] | None = None,
    load_weights: bool = True,
    dtype: Any = None,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike | None = None,
    local_files_only: bool = False,
    backbone: "str | os.PathLike | keras.Model | None" = None,
) -> keras.Model:
    """Loads a model from a preset, after its files have been verified.

    Args:
        name_or_handle: a folder; `hf://org/name[@revision]`; or a name, looked up in the local
            store and then among the cards, whose weights are inside the package or on the Hub.
            A copy in the Hub's cache that turns out to be damaged is downloaded once more.
        expected: the model class the preset must hold, or a tuple of them.
        load_weights: False builds the architecture with fresh weights.
        dtype: a dtype policy to load under, such as "bfloat16" or "mixed_bfloat16". Defaults to
            the one the model was saved with. Layers pinned to another policy keep it.
        revision: a branch, tag or commit; for `hf://` handles only.
        token: a Hub token, True for the stored one, False for none.
        cache_dir: the Hub cache; defaults to huggingface_hub's.
        local_files_only: never use the network.
        backbone: for a preset without a backbone, where the files that it pins are if not where it
            says (a file, a folder, a name or a handle), or a model with the weights that it pins.

    Returns:
        The model, built, with the weights loaded and not compiled.

    Raises:
        UnknownPresetError: if nothing has that name.
        UnpublishedPresetError: if it has a card and no weights yet.
        ForeignPresetError: if it is no preset of keras_cr, or holds a class of something else.
        NewerPresetError: if it was written in a newer format.
        CorruptPresetError: if a file is missing, truncated or altered.
        IncompatiblePresetError: if the model cannot be built, the weights do not fit it or hold NaN
            or infinity, or an entry of config.json or model.weights.h5 is one that nothing reads.
        WrongClassError: if it holds another class than `expected`.
        BackboneError: if the backbone it refers to is missing, or another than it pins.
        HubError: if it, or that backbone, cannot be fetched from the Hub.
        PresetError: if an argument is wrong. All of the above are PresetErrors, hence ValueErrors.

    Example:
    ```python
    encoder = load_preset("cub_resnet50", expected=keras_cr.CommonRationaleEncoder)
    ```
    """
    if dtype is not None:
        dtype = float_policy(dtype)
    options = {
        "token": token,
        "cache_dir": cache_dir,
        "local_files_only": local_files_only,
        "force": False,
    }
    files = PATTERNS if load_weights else (CONFIG, MANIFEST)
    for _ in range(_ATTEMPTS):  # another process may replace the folder meanwhile
        preset = locate(name_or_handle, revision, files, options)
        before = _identity(preset.folder)
        try:
            model = load_folder(preset, expected, load_weights, dtype, backbone, options)
        except PresetError as error:
            damaged = isinstance(error, CorruptPresetError) and preset.downloaded
            if damaged and not (local_files_only or options["force"]):
                options["force"] = True  # once more, over the damaged copy
                continue
            if before and _identity(preset.folder) == before:
                raise
        else:
            if before and _identity(preset.folder) == before:
                if load_weights:
                    tell_licence(model, preset.label)
                return model
    if moving := stuck(preset.folder):
        raise PresetError(
            f"{preset.label} holds {moving!r}, which no save has left like that; look what is in "
            "it and remove it."
        )
    raise PresetError(
        f"{preset.label} is being replaced over and over, or a save was cut off where this user "
        "can't finish it; try again later, or save it again."
    )


def _identity(folder: Path) -> tuple[tuple[int, int], ...] | None:
    """What tells a folder and its files from those that take their place; None meanwhile."""
    try:
        paths = [folder, *(path for name in PATTERNS for path in sorted(folder.glob(name)))]
        seen = tuple((status.st_ino, status.st_mtime_ns) for status in map(os.stat, paths))
    except OSError:
        return None
    return seen if seen and not is_moving(folder) else None


def load_folder(
    preset: Located,
    expected: Any = None,
    load_weights: bool = True,
    dtype: Any = None,
    backbone: Any = None,
    options: Mapping[str, Any] | None = None,
) -> keras.Model:
    """Verifies everything that can be verified, then builds the model and loads its weights.

    Args:
        preset: a folder on this machine.
        expected, load_weights, backbone: as for `load_preset`.
        dtype: None, or what `float_policy` returned.
        options: keywords of `hub.fetch`, for a backbone that lies elsewhere.

    Raises:
        PresetError: as `load_preset`, for what can be wrong with a folder.
    """
    importlib.import_module("keras_cr.models")  # registers the classes that presets hold
    manifest = read_manifest(preset)
    verified = (CONFIG, *weights_files(manifest["files"])) if load_weights else (CONFIG,)
    if preset.pins:
        verify_files(preset, preset.pins, (MANIFEST, *verified))
    verify_files(preset, manifest["files"], verified)
    config, _ = read_object(preset, CONFIG)
    cls = model_class(config, preset.label)
    if config.get("registered_name") != manifest["class"]:
        raise CorruptPresetError(
            f"{preset.label}: {MANIFEST} speaks of {shown(manifest['class'])}, {CONFIG} of "
            f"{shown(config.get('registered_name'))}; {preset.remedy}."
        )
    check_classes(config, preset.label)
    if expected is not None and not issubclass(cls, expected):
        wanted = " or ".join(c.__name__ for c in _as_tuple(expected))
        raise WrongClassError(
            f"{preset.label} holds a {cls.__name__}, not a {wanted}; load it with "
            f"{cls.__name__}.from_preset."
        )
    source = BackboneSource.of(manifest.get("backbone"))
    if backbone is not None and source is None:
        raise PresetError(f"backbone: {preset.label} has its own inside; leave it out.")
    pinned = None
    if source is not None and load_weights:
        pinned = PinnedBackbone.find(source, backbone, dict(options or {}), preset.label)
    model = build_model(config, manifest, preset, load_weights, dtype, pinned)
    if source is not None:
        owner_of(model).backbone_source = source
    return model


def _as_tuple(value: Any) -> tuple:
    return value if isinstance(value, tuple) else (value,)
