"""preset.json: what a preset folder says about itself, and the checks of its files against it.

It vouches for the other files, and from format 2 on for itself: its entry `sha256` is the sum
of its own bytes with zeros for the digits of that entry. So no byte of a preset can change unseen.
Format 3 is that of presets without a backbone: the entry `backbone` says where it is; format 4 that
of presets whose weights are stored in half precision, as the entry `weights_dtype` says; format 5
that of presets whose weights are in several files, in half precision where that entry says so.
"""

import hashlib
import itertools
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_cr.presets.backbone_source import BackboneSource
from keras_cr.presets.errors import (
    CorruptPresetError,
    ForeignPresetError,
    NewerPresetError,
    PresetError,
    one_line,
    shown,
)
from keras_cr.presets.fingerprints import fingerprint, is_fingerprint, is_sha256
from keras_cr.presets.plain import plain, read_json, to_json
from keras_cr.version import __version__

FORMAT = 5  # the newest that is read
# 1 had no sum of preset.json itself
_SEALED = WHOLE, WITHOUT_BACKBONE, IN_HALF, IN_SHARDS = 2, 3, 4, 5
HALF = "float16"  # how wide floats are stored in half precision
CONFIG, WEIGHTS, MANIFEST = "config.json", "model.weights.h5", "preset.json"
FILES = (CONFIG, WEIGHTS, MANIFEST)
PATTERNS = (CONFIG, "model.weights*.h5", MANIFEST)  # of all that a preset may have
_SHARD = re.compile(r"model\.weights(?:\.([2-9]|[1-9]\d{1,3}))?\.h5", re.ASCII)
SEAL = "sha256"
_VERSION = re.compile(r"[\w.+!-]{1,64}", re.ASCII)
_OPEN_SEAL = b"0" * 64


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


def read_object(preset: Located, name: str) -> tuple[dict[str, Any], bytes]:
    """One of a preset's JSON files: its content and its bytes.

    Raises:
        CorruptPresetError: if it can't be read, or is no JSON object.
    """
    try:
        value, data = read_json(preset.folder / name)
    except (OSError, ValueError) as error:
        raise CorruptPresetError(
            f"{preset.label}: {name} cannot be read ({one_line(str(error))}); {preset.remedy}."
        ) from error
    if not isinstance(value, dict):
        raise CorruptPresetError(
            f"{preset.label}: {name} must hold a JSON object, but holds a "
            f"{type(value).__name__}; {preset.remedy}."
        )
    return value, data


def shard_name(number: int) -> str:
    """The name of a weights file, by its number from 0."""
    return f"model.weights.{number + 1}.h5" if number else WEIGHTS


def is_weights(name: str) -> bool:
    """Whether a file has the name of a preset's weights, or of a part of them."""
    return _SHARD.fullmatch(name) is not None


def weights_files(files: Collection[str]) -> tuple[str, ...]:
    """The names of the weights files among a preset's, in their order, up to the first gap."""
    names = map(shard_name, range(len(files)))
    return tuple(itertools.takewhile(lambda name: name in files, names))


def names_of(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of all files of a preset, of what its preset.json holds."""
    return (CONFIG, *weights_files(manifest["files"]), MANIFEST)


def are_names(names: Collection[str], shards: bool = True) -> bool:
    """Whether these are a preset's files beside preset.json: its config and its weights.

    Args:
        names: of the files.
        shards: whether the weights may be in several.
    """
    weights = weights_files(names)
    return set(names) == {CONFIG, *weights} and len(weights) >= 1 and (shards or len(weights) == 1)


_Rule = tuple[str, Callable[[Any], bool]]  # what is expected, and the check of it
_TEXT: _Rule = ("text", lambda value: isinstance(value, str) and bool(value))
_TEXT_OR_NULL: _Rule = ("text or null", lambda value: value is None or isinstance(value, str))
_VERSION_TEXT: _Rule = (
    "a version such as '0.1.0'",
    lambda value: isinstance(value, str) and _VERSION.fullmatch(value) is not None,
)
_MAPPING: _Rule = ("a dict", lambda value: isinstance(value, Mapping))
_ENTRIES: dict[str, _Rule] = {
    "format": ("a format's number", lambda value: type(value) is int),
    "keras_cr": _VERSION_TEXT,
    "keras": _VERSION_TEXT,
    "class": _TEXT,
    "name": _TEXT_OR_NULL,
    "parameters": ("a count", lambda value: type(value) is int and value >= 0),
    "source": _MAPPING,
    "metrics": _MAPPING,
    "licence": _TEXT_OR_NULL,
    "extra": _MAPPING,
    "files": (
        f"the sha256 and size of {CONFIG} and {WEIGHTS}",
        lambda value: _are_files(value, shards=False),
    ),
}
_ALWAYS = {"format", "class", "files"}  # what format 1 can't do without


def _is_source(value: Any) -> bool:
    try:
        return BackboneSource.of(value) is not None
    except PresetError:
        return False


def _are_files(value: Any, shards: bool) -> bool:
    known = isinstance(value, Mapping) and are_names(value, shards)
    return known and all(map(is_fingerprint, value.values()))


_IN_HALF: _Rule = (repr(HALF), lambda value: value == HALF)
# What a format holds beside `_ENTRIES`, or in another way.
_OF_FORMAT: dict[int, dict[str, _Rule]] = {
    WITHOUT_BACKBONE: {
        "backbone": ("where the backbone is and the sha256 of its files", _is_source)
    },
    IN_HALF: {"weights_dtype": _IN_HALF},
    IN_SHARDS: {
        "files": (
            f"the sha256 and size of {CONFIG}, {WEIGHTS}, {shard_name(1)} and so on",
            lambda value: _are_files(value, shards=True),
        ),
        "weights_dtype": (f"{HALF!r} or null", lambda value: value in (None, HALF)),
    },
}


def sealed(manifest: Mapping[str, Any]) -> bytes:
    """The bytes of preset.json, with the sum of themselves as its last entry.

    Args:
        manifest: every entry but that one, in the types that `plain` takes.

    Raises:
        PresetError: an entry is missing, unknown or wrong, or can't be written as JSON.
    """
    manifest = plain(manifest, MANIFEST)
    if fault := _fault(manifest):
        raise PresetError(f"{MANIFEST} {fault}.")
    data = to_json(manifest | {SEAL: _OPEN_SEAL.decode()}, MANIFEST)
    before, _, after = data.rpartition(_OPEN_SEAL)
    return before + hashlib.sha256(data).hexdigest().encode() + after


def read_manifest(preset: Located) -> dict[str, Any]:
    """Reads and checks preset.json.

    Args:
        preset: the folder and how to name it.

    Returns:
        Its content: "format", "keras_cr", "keras", "class", "name", "files" and more.

    Raises:
        ForeignPresetError: if there is no preset.json.
        NewerPresetError: if its format is newer than this version reads.
        CorruptPresetError: if it is damaged, or an entry is missing, unknown or wrong.
    """
    if not (preset.folder / MANIFEST).is_file():
        raise ForeignPresetError(
            f"{preset.label} is not a keras_cr preset: it holds no {MANIFEST}. Presets are made by "
            "save_to_preset(folder) or by a recipe."
        )
    manifest, data = read_object(preset, MANIFEST)
    version = manifest.get("format")
    if type(version) is int and version > FORMAT:
        raise NewerPresetError(
            f"{preset.label} is written in preset format {version} by keras_cr "
            f"{shown(manifest.get('keras_cr'))[1:-1]}; this is keras_cr {__version__}, which reads "
            f"up to format {FORMAT}: pip install --upgrade keras-cr."
        )
    if version in _SEALED and not _seal_holds(manifest.pop(SEAL, None), data):
        raise CorruptPresetError(
            f"{preset.label}: {MANIFEST} is altered: its sha256 differs from the one written down "
            f"in it, or is missing; {preset.remedy}."
        )
    if fault := _fault(manifest):
        raise CorruptPresetError(f"{preset.label}: {MANIFEST} {fault}; {preset.remedy}.")
    return manifest


def _seal_holds(seal: object, data: bytes) -> bool:
    """Whether the bytes of preset.json have the sum that stands in them."""
    if not is_sha256(seal) or data.count(seal.encode()) != 1:  # type: ignore[attr-defined]
        return False
    return hashlib.sha256(data.replace(seal.encode(), _OPEN_SEAL)).hexdigest() == seal  # type: ignore[attr-defined]


def _fault(manifest: Mapping[str, Any]) -> str | None:
    """What is wrong with the entries of preset.json, or None."""
    version = manifest.get("format")
    entries = _ENTRIES | (_OF_FORMAT.get(version, {}) if type(version) is int else {})
    for name, (expected, holds) in entries.items():
        if name not in manifest:
            if version in _SEALED or name in _ALWAYS:
                return f"must hold {name!r} ({expected})"
        elif not holds(manifest[name]):
            return f"must hold {expected} as {name!r}; received {shown(manifest[name])}"
    if not 1 <= manifest["format"] <= FORMAT:
        return f"must hold a format from 1 to {FORMAT}; received {shown(manifest['format'])}"
    if strange := sorted(manifest.keys() - entries.keys()):
        return f"holds {shown(strange[0])}, an entry that format {manifest['format']} has not"
    return None


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
        try:
            fault = _file_fault(path, files.get(name))
        except OSError as error:
            fault = f"cannot be read ({one_line(str(error))})"
        if fault:
            raise CorruptPresetError(f"{preset.label}: {name} {fault}; {preset.remedy}.")


def _file_fault(path: Path, expected: Mapping[str, Any] | None) -> str | None:
    """What tells a file from the one whose size and sha256 are written down, or None."""
    if expected is None:
        return "has no sha256 to check it by"
    if not path.is_file():
        return "is missing"
    if (size := path.stat().st_size) != expected["size"]:
        return f"is truncated or altered: {size} bytes instead of {expected['size']}"
    if fingerprint(path)["sha256"] != expected["sha256"]:
        return "is altered: its sha256 differs from the one written down"
    return None
