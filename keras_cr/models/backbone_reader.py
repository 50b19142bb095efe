"""Backbones read from files that are pinned: a preset's, a `.keras` file, KerasHub's formats."""

import importlib
import os
import zipfile
from pathlib import Path
from typing import Any

import keras

from keras_cr._files import DAMAGED_ZIP
from keras_cr._numbers import sides
from keras_cr._optional import keras_hub
from keras_cr.models.of_size import of_size
from keras_cr.presets.backbone_files import Found, find
from keras_cr.presets.backbone_source import BackboneSource
from keras_cr.presets.backbone_weights import backbone_of, digest, sketch
from keras_cr.presets.config import check_others
from keras_cr.presets.errors import BackboneError, CorruptPresetError, one_line
from keras_cr.presets.finite import check_finite
from keras_cr.presets.hub import SCHEME
from keras_cr.presets.load import load_folder
from keras_cr.presets.manifest import CONFIG, Located, read_object
from keras_cr.presets.pinned_backbone import PinnedBackbone
from keras_cr.presets.plain import MAX_BYTES, parse_json


def load_backbone(
    handle: str | os.PathLike,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike | None = None,
    local_files_only: bool = False,
    image_size: int | tuple[int, int] | None = None,
) -> tuple[keras.Model, BackboneSource]:
    """Loads a backbone, and says where it is from so that it can be loaded again.

    Args:
        handle: a preset of keras_cr (a name, a folder, `hf://org/name[@revision]`), whose encoder's
            backbone is taken; a `.keras` file (a path, `hf://org/name[@revision]/FILE.keras`); or a
            model that KerasHub reads, in its own, transformers' or timm's format (a folder,
            `hf://org/name[@revision]`).
        revision: branch, tag or commit on the Hub.
        token: access token of the Hub.
        cache_dir: where the Hub's files are kept.
        local_files_only: use what is on this machine and ask no server.
        image_size: side of the images in pixels, or `(H, W)`, for a transformer of KerasHub's whose
            position embeddings are resized to it. None: as it was published.

    Returns:
        The model, and its source: the commit and the sha256 of every file that was read.

    Raises:
        BackboneError: there is nothing there that a backbone can be read from.
        PresetError: as `keras_cr.presets.load_preset`, for what can go wrong on the way.
        ImportError: KerasHub is needed and not installed.

    Example:

    >>> backbone, source = load_backbone("demo_squeezenet")
    >>> encoder = CommonRationaleEncoder(backbone, num_detectors=1, backbone_source=source)
    >>> encoder.save_to_preset("my_branch", backbone="reference")
    """
    return read_pinned(handle, revision, token, cache_dir, local_files_only, image_size)[:2]


def read_pinned(
    handle: str | os.PathLike,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike | None = None,
    local_files_only: bool = False,
    image_size: int | tuple[int, int] | None = None,
) -> tuple[keras.Model, BackboneSource, Path | None]:
    """`load_backbone`, and the folder or file that was read; None where a preset names another."""
    options = {"token": token, "cache_dir": cache_dir, "local_files_only": local_files_only}
    size = None if image_size is None else sides("image_size", image_size)
    try:
        return _loaded(find(handle, revision, options), options, size)
    except CorruptPresetError:
        if not os.fspath(handle).startswith(SCHEME) or local_files_only:
            raise
    options["force"] = True  # once more, over the damaged copy in the cache
    return _loaded(find(handle, revision, options), options, size)


def _loaded(
    found: Found, options: dict[str, Any], size: tuple[int, int] | None
) -> tuple[keras.Model, BackboneSource, Path | None]:
    if found.source is not None:
        label = f"Preset {os.fspath(found.path)!r}"
        pinned = PinnedBackbone.find(found.source, None, options, label)
        return pinned.read(read_backbone, size), found.source, None
    model = read_backbone(found.converter, found.path, size)
    check_finite(model, f"backbone {found.handle!r}", "take another")
    source = BackboneSource(
        handle=found.handle,
        commit=found.commit,
        files=found.files,
        converter=found.converter,
        converter_version=importlib.import_module(found.converter).__version__,
        weights=digest(model),
        licence=found.licence,
        resized=sketch(model),
    )
    return model, source, found.path


def read_backbone(converter: str, path: Path, size: tuple[int, int] | None = None) -> keras.Model:
    """Builds a backbone of files, once every class that they name is known to be harmless.

    Args:
        converter: what reads them, as in `BackboneSource`.
        path: a `.keras` file, or a folder.
        size: height and width of the images, for a model that KerasHub reads.

    Raises:
        PresetError: they can't be read, or hold no backbone.
        ImportError: the package that reads them is not installed.
    """
    if converter == "keras_cr":
        model = backbone_of(load_folder(Located(path, f"Preset {str(path)!r}")))
    elif converter == "keras":
        model = _read_keras(path)
    else:
        model = _read_keras_hub(path, size)
    if not isinstance(model, keras.Model):
        raise BackboneError(f"{str(path)!r} holds no model with a backbone; name another.")
    return model


def _read_keras(path: Path) -> keras.Model:
    label = f"Backbone {str(path)!r}"
    try:
        with zipfile.ZipFile(path) as archive, archive.open(CONFIG) as file:
            config = parse_json(file.read(MAX_BYTES + 1))
    except DAMAGED_ZIP as error:
        raise CorruptPresetError(
            f"{label} can't be read as a .keras file ({one_line(str(error))}); get a fresh copy."
        ) from error
    check_others(config, label)
    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    return backbone_of(model) or model


def _read_keras_hub(path: Path, size: tuple[int, int] | None) -> keras.Model:
    """A model of KerasHub's, for images of some size: what changes weights is done here.

    So it is done alike whenever the files are read. Layers without weights may be put around it.
    """
    label = f"Backbone {str(path)!r}"
    hub = keras_hub(label)
    config, _ = read_object(Located(path, label), CONFIG)
    check_others(config, label)
    model = hub.models.Backbone.from_preset(str(path))
    try:
        return of_size(model, size)
    except ValueError as error:
        raise BackboneError(f"{label}: {error}") from error
