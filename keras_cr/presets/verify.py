"""Finding a preset and checking its files, without building the model."""

import os
from typing import Any

from keras_cr.presets.backbone_source import BackboneSource
from keras_cr.presets.locate import locate
from keras_cr.presets.manifest import (
    PATTERNS,
    Located,
    names_of,
    read_manifest,
    verify_files,
)
from keras_cr.presets.pinned_files import checked


def verify_preset(
    name_or_handle: str | os.PathLike,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike | None = None,
    local_files_only: bool = False,
    backbone: str | os.PathLike | None = None,
) -> tuple[Located, dict[str, Any]]:
    """Downloads a preset where it is not on this machine, and checks every file's sha256.

    Where the preset refers to its backbone, that is downloaded and checked as well.

    Args:
        name_or_handle, revision, token, cache_dir, local_files_only, backbone: as for
            `load_preset`.

    Returns:
        Where it lies, and what its preset.json holds.

    Raises:
        PresetError: as `load_preset`, but for what only building the model would show.
    """
    options = {"token": token, "cache_dir": cache_dir, "local_files_only": local_files_only}
    preset = locate(name_or_handle, revision, PATTERNS, options)
    manifest = read_manifest(preset)
    if preset.pins:
        verify_files(preset, preset.pins, names_of(manifest))
    verify_files(preset, manifest["files"], tuple(manifest["files"]))
    if (source := BackboneSource.of(manifest.get("backbone"))) is not None:
        checked(source, backbone, options)
    return preset, manifest
