"""preset.json: what a preset folder says about itself, and the checks of its files against it."""

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from keras_cr.presets.errors import (
    CorruptPresetError,
    ForeignPresetError,
    NewerPresetError,
    PresetError,
)
from keras_cr.version import __version__

FORMAT = 1
CONFIG, WEIGHTS, MANIFEST = "config.json", "model.weights.h5", "preset.json"
FILES = (CONFIG, WEIGHTS, MANIFEST)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Located:
    """A preset folder on this machine, and how to speak of it.

    Attributes:
        folder: where its files are.
        label: what the user asked for, for messages.
        remedy: what helps when a file is damaged.
        pins: sha256 and size of files as its card pins them; empty when nothing is pinned.
        downloaded: whether the folder is in the Hub's cache.
    """

    folder: Path
    label: str
    remedy: str = "save the preset again or get a fresh copy"
    pins: Mapping[str, Mapping[str, Any]] | None = None
    downloaded: bool = False


def fingerprint(path: Path) -> dict[str, Any]:
    """The sha256 and the size in bytes of a file."""
    with path.open("rb") as file:
        return {
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
            "size": os.fstat(file.fileno()).st_size,
        }


def is_fingerprint(value: object) -> bool:
    """Whether `value` is what `fingerprint` returns."""
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("size"), int)
        and isinstance(value.get("sha256"), str)
        and _SHA256.fullmatch(value["sha256"]) is not None
    )


def read_json(preset: Located, name: str) -> dict[str, Any]:
    """One of a preset's JSON files, refused with `CorruptPresetError` unless it is an object."""
    try:
        value = json.loads((preset.folder / name).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CorruptPresetError(
            f"{preset.label}: {name} cannot be read ({error}); {preset.remedy}."
        ) from error
    if not isinstance(value, dict):
        raise CorruptPresetError(
            f"{preset.label}: {name} must hold a JSON object, but holds a "
            f"{type(value).__name__}; {preset.remedy}."
        )
    return value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes strict JSON: NumPy values as plain ones, NaN and infinities refused."""
    text = json.dumps(plain(value, path.name), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", "utf-8")


def plain(value: Any, where: str) -> Any:
    """`value` in the types of JSON.

    Args:
        value: nested dicts, lists and tuples of strings, numbers, booleans, None, NumPy scalars
            and arrays, paths and dates.
        where: the name of the value, for messages.

    Returns:
        The same in dict, list, str, int, float, bool and None.

    Raises:
        PresetError: if a number is NaN or infinite, or a type has no place in JSON.
    """
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays; NumPy is not imported for it
        value = value.tolist()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise PresetError(f"{where} is {value}, which JSON cannot hold; leave it out.")
        return value
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise PresetError(f"{where} must have strings for keys; received {odd[0]!r}.")
        return {key: plain(item, f"{where}: {key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, date):
        return value.isoformat()
    raise PresetError(
        f"{where} must be text, a number, a list or a dict to be written as JSON; received "
        f"{type(value).__name__}."
    )


def read_manifest(preset: Located) -> dict[str, Any]:
    """Reads and checks preset.json.

    Args:
        preset: the folder and how to name it.

    Returns:
        Its content: "format", "keras_cr", "keras", "class", "name", "files" and more.

    Raises:
        ForeignPresetError: if there is no preset.json.
        NewerPresetError: if its format is newer than this version reads.
        CorruptPresetError: if it is damaged or lacks an entry.
    """
    if not (preset.folder / MANIFEST).is_file():
        raise ForeignPresetError(
            f"{preset.label} is not a keras_cr preset: it holds no {MANIFEST}. Presets are made by "
            "save_to_preset(folder) or by a recipe."
        )
    manifest = read_json(preset, MANIFEST)
    version = manifest.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise NewerPresetError(
            f"{preset.label} is written in preset format {version} by keras_cr "
            f"{manifest.get('keras_cr')}; this is keras_cr {__version__}, which reads up to format "
            f"{FORMAT}: pip install --upgrade keras-cr."
        )
    files = manifest.get("files")
    sound = version == FORMAT and isinstance(manifest.get("class"), str)
    if not (sound and isinstance(files, dict) and all(map(is_fingerprint, files.values()))):
        raise CorruptPresetError(
            f"{preset.label}: {MANIFEST} must hold 'format', 'class' and 'files' with a sha256 and "
            f"size each; {preset.remedy}."
        )
    return manifest


def verify_files(preset: Located, files: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Compares files on disk with the sizes and sha256 that are written down for them.

    Args:
        preset: the folder and how to name it.
        files: the expected {"sha256", "size"} by file name.
        names: the files to check.

    Raises:
        CorruptPresetError: if one is not listed, missing, truncated or altered.
    """
    for name in names:
        path = preset.folder / name
        if name not in files:
            fault = "has no sha256 to check it by"
        elif not path.is_file():
            fault = "is missing"
        elif (size := path.stat().st_size) != files[name]["size"]:
            fault = f"is truncated or altered: {size} bytes instead of {files[name]['size']}"
        elif fingerprint(path)["sha256"] != files[name]["sha256"]:
            fault = "is altered: its sha256 differs from the one written down"
        else:
            continue
        raise CorruptPresetError(f"{preset.label}: {name} {fault}; {preset.remedy}.")
