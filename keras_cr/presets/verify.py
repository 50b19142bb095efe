"""Finding a preset and checking its files, without building the model."""

import os
from typing import Any

from keras_cr.presets.load import locate
from keras_cr.presets.manifest import CONFIG, FILES, WEIGHTS, Located, read_manifest, verify_files


def verify_preset(
    name_or_handle: str | os.PathLike,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike | None = None,
    local_files_only: bool = False,
) -> tuple[Located, dict[str, Any]]:
    """Downloads a preset where it is not on this machine, and checks every file's sha256.

    Args:
        name_or_handle, revision, token, cache_dir, local_files_only: as for `load_preset`.

    Returns:
        Where it lies, and what its preset.json holds.

    Raises:
        PresetError: as `load_preset`, but for what only building the model would show.
    """
    preset = locate(
        name_or_handle,
        revision,
        FILES,
        {"token": token, "cache_dir": cache_dir, "local_files_only": local_files_only},
    )
    manifest = read_manifest(preset)
    if preset.pins:
        verify_files(preset, preset.pins, FILES)
    verify_files(preset, manifest["files"], (CONFIG, WEIGHTS))
    return preset, manifest
