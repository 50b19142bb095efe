"""Writing a preset: a folder with the architecture, the weights and what vouches for both."""

import contextlib
import dataclasses
import functools
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_cr._files import writing_hdf5
from keras_cr._text import printable
from keras_cr.presets.atomic import absolute, is_litter, replace, staging
from keras_cr.presets.backbone_source import BackboneSource
from keras_cr.presets.backbone_weights import backbone_of, is_from, owner_of
from keras_cr.presets.config import describe, without_source
from keras_cr.presets.errors import BackboneError, OccupiedFolderError, PresetError, shown
from keras_cr.presets.finite import check_finite
from keras_cr.presets.half_precision import check_weights_dtype, halve
from keras_cr.presets.hub import SCHEME
from keras_cr.presets.load import load_folder
from keras_cr.presets.manifest import (
    CONFIG,
    FILES,
    HALF,
    IN_HALF,
    IN_SHARDS,
    MANIFEST,
    WEIGHTS,
    WHOLE,
    WITHOUT_BACKBONE,
    Located,
    fingerprint,
    is_weights,
    sealed,
)
from keras_cr.presets.pinned_files import checked
from keras_cr.presets.plain import to_json
from keras_cr.presets.shards import check_max_shard_size, split
from keras_cr.version import __version__

_UNSOUND = "nothing was saved, because it could not be loaded again as it is"


def save_preset(
    model: keras.Model,
    folder: str | os.PathLike,
    *,
    name: str | None = None,
    source: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    licence: str | None = None,
    extra: Mapping[str, Any] | None = None,
    backbone: str = "inside",
    weights_dtype: str | None = None,
    max_shard_size: float | None = None,
) -> Path:
    """Writes a model as a preset folder: `config.json`, `model.weights.h5`, `preset.json`.

    The preset appears whole or not at all: a failure or a crash at any moment leaves the one that
    was there before. A folder that exists stays the same folder, be it a mount point, a link's
    target or the current directory. Optimizer, losses and metrics of a compiled model are left out.
    Before it appears, it is loaded once, as `load_preset` would.

    Args:
        model: a built keras_cr model.
        folder: where to; `store_path(name)` is where short names are looked up. A preset that is
            there already is replaced.
        name: the preset's name. Defaults to the folder's.
        source: where the weights come from, such as {"command": ..., "seed": ..., "date": ...}.
        metrics: measured values, in the layout of the recipes' metrics.json.
        licence: the weights' licence, such as "Apache-2.0".
        extra: anything else worth keeping.
        backbone: "inside", or "reference": the backbone's weights are left out, and preset.json
            pins where they come from, which `model.backbone_source` must say. `licence` is then
            that of the backbone too, where its source names none.
        weights_dtype: "float16" stores float32 weights in half as many bytes. Loading brings them
            back to the model's own dtype, rounded to three or so digits. None: as they are.
        max_shard_size: GB that a weights file may have, as in Keras' `save_weights`. Larger ones
            become `model.weights.h5`, `model.weights.2.h5` and so on, of whole layers. None: one.

    Returns:
        The folder, as an absolute path.

    Raises:
        OccupiedFolderError: if `folder` holds anything but a preset, hidden files, and what
            operating systems put into folders.
        OSError: if it can't be written to, or the disk is full.
        ForeignPresetError: if the model, or a part of it, is of a class that presets don't hold.
        IncompatiblePresetError: if it could not be loaded again as it is: a layer's `get_config`
            tells something else than its `from_config` takes.
        BackboneError: with "reference", if it is not known where the backbone's weights come from,
            or they have been changed since.
        PresetError: if the model is not built, its weights hold NaN or infinity, or a value cannot
            be written as JSON; or a layer alone is larger than `max_shard_size`.

    Example:
    ```python
    encoder = keras_cr.CommonRationaleEncoder("resnet50")
    save_preset(encoder, store_path("my_birds"), source={"seed": 0})
    ```
    """
    if not isinstance(folder, str | os.PathLike):
        raise PresetError(f"folder must be a path; received {shown(folder)}.")
    if "://" in os.fspath(folder):
        raise PresetError(f"folder must be a path on this machine; received {os.fspath(folder)!r}.")
    folder = absolute(folder)
    half = check_weights_dtype(weights_dtype, backbone)
    limit = check_max_shard_size(max_shard_size, backbone)
    source_of_backbone = _reference(model, backbone, licence)
    refers = source_of_backbone is not None
    config = describe(model)
    if refers:
        without_source(config)
    if not model.built:
        raise PresetError(f"model {model.name!r} has no weights yet; call it on images first.")
    check_finite(model, f"model {model.name!r}", "a preset of it would give NaN for every image")
    check_replaceable(folder)
    with staging(folder) as new:
        (new / CONFIG).write_bytes(to_json(config, CONFIG, compact=refers))
        weights = _write_weights(model, new / WEIGHTS, folder, refers, half, limit)
        manifest = {
            "format": WHOLE,
            "keras_cr": __version__,
            "keras": keras.__version__,
            "class": config["registered_name"],
            "name": printable(folder.name) if name is None else name,
            "parameters": model.count_params(),
            "source": source or {},
            "metrics": metrics or {},
            "licence": licence,
            "extra": extra or {},
            "files": {file: fingerprint(new / file) for file in (CONFIG, *weights)},
        }
        if refers:
            manifest |= {"format": WITHOUT_BACKBONE, "backbone": source_of_backbone.as_dict()}
        if half:
            manifest |= {"format": IN_HALF, "weights_dtype": HALF}
        if len(weights) > 1:
            manifest |= {"format": IN_SHARDS, "weights_dtype": HALF if half else None}
        (new / MANIFEST).write_bytes(sealed(manifest))
        with _drawing_nothing():
            trial = Located(new, f"Model {model.name!r} as a preset", _UNSOUND)
            load_folder(trial, backbone=backbone_of(model) if refers else None)
        replace(new, folder, functools.partial(check_replaceable, weights=weights))
    return folder


def _reference(model: keras.Model, backbone: str, licence: str | None) -> BackboneSource | None:
    """What preset.json is to say of a backbone that is left out; None where it is inside."""
    if backbone == "inside":
        return None
    if backbone != "reference":
        raise PresetError(f"backbone must be 'inside' or 'reference'; received {shown(backbone)}.")
    source = getattr(owner_of(model), "backbone_source", None)
    inside = "save it with backbone='inside'"
    if source is None:
        raise BackboneError(
            f"model {model.name!r} doesn't know where its backbone's weights come from: {inside}, "
            "or say it: backbone, encoder.backbone_source = keras_cr.models.load_backbone(handle)."
        )
    if not is_from(backbone_of(model), source):
        raise BackboneError(
            f"the backbone of model {model.name!r} has other weights than {source.pinned_handle} "
            f"(it was trained, or loaded under another dtype): {inside}."
        )
    if not source.handle.startswith(SCHEME):
        checked(source, None, {}, f"bring them back, or {inside}")
    return dataclasses.replace(source, licence=source.licence or licence)


def _write_weights(
    model: keras.Model,
    path: Path,
    folder: Path,
    without_backbone: bool,
    half: bool,
    limit: int | None,
) -> list[str]:
    """Writes the weights, and returns the names of their files."""
    left_out = list(_optimizers(model))
    if without_backbone:
        left_out += backbone_of(model)._flatten_layers()
    with writing_hdf5("the weights", folder):
        keras.saving.save_weights(model, path, objects_to_skip=left_out)
        if half:
            halve(path)
        return [path.name] if limit is None else split(path, limit)


@contextlib.contextmanager
def _drawing_nothing() -> Iterator[None]:
    """Leaves Python's generator as it is: initializers without a seed draw one from it."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def _optimizers(model: keras.Model) -> Iterator[Any]:
    """The optimizers of a model and of the models inside it: training state, not weights."""
    if getattr(model, "optimizer", None) is not None:
        yield model.optimizer
    for layer in getattr(model, "layers", ()):
        yield from _optimizers(layer)


def check_replaceable(folder: Path, weights: Sequence[str] | None = None) -> None:
    """Refuses to touch anything that is not a preset or an empty folder.

    Hidden files and those of operating systems are passed over: saving leaves them where they are.

    Args:
        folder: the place to take.
        weights: the names of the weights files to come; None where they are not known yet. A preset
            that has more of them is not replaced: the others would stay there.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OccupiedFolderError(f"folder must not be a file; received {str(folder)!r}.")
    names = {path.name for path in folder.iterdir() if not is_litter(path.name)}
    known = {name for name in names if is_weights(name)} | set(FILES)
    strange = sorted(names if MANIFEST not in names else names - known)
    strange += [name for name in sorted(known) if (folder / name).is_dir()]
    if left := sorted(names & known - {*FILES, *(weights or known)}):
        raise OccupiedFolderError(
            f"folder {str(folder)!r} holds a preset of more files, {left[0]!r} among them, which "
            "would stay; remove it or choose another folder."
        )
    if strange:
        raise OccupiedFolderError(
            f"folder {str(folder)!r} holds {strange[0]!r}, which is not part of a preset; move it "
            "away or choose another folder."
        )
