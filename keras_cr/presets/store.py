"""The local store: the folder where recipes leave presets and short names are looked up first."""

import os
import re
from pathlib import Path

from keras_cr.presets.errors import PresetError
from keras_cr.presets.manifest import MANIFEST

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def home() -> Path:
    """Where keras_cr keeps its files: `$KERAS_CR_HOME`, or `~/.keras_cr`."""
    return Path(os.environ.get("KERAS_CR_HOME") or "~/.keras_cr").expanduser()


def valid_name(name: object) -> bool:
    """Whether `name` can name a preset: a plain lower-case word, never a path."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def store_path(name: str) -> Path:
    """The folder that a preset of this name has in the local store, whether it exists or not.

    Args:
        name: lower-case letters, digits, `_`, `.` and `-`, beginning with a letter or digit.

    Returns:
        `home() / "presets" / name`.

    Raises:
        PresetError: if `name` is anything else, a path above all.
    """
    if not valid_name(name):
        raise PresetError(
            "name must be lower-case letters, digits, '_', '.' and '-', beginning with a letter or "
            f"digit, such as 'cub_resnet50'; received {name!r}."
        )
    return home() / "presets" / name


def stored_presets() -> dict[str, Path]:
    """The presets in the local store, by name."""
    try:
        folders = sorted((home() / "presets").iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {f.name: f for f in folders if valid_name(f.name) and (f / MANIFEST).is_file()}
