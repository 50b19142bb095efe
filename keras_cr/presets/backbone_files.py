"""The files of a backbone that lies elsewhere, found and described.

Three kinds of places are known: a preset of keras_cr, a `.keras` file, and a folder in a format
that KerasHub reads; each on the Hub or on this machine.
"""

import fnmatch
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_cr.presets import hub
from keras_cr.presets.backbone_source import BackboneSource
from keras_cr.presets.errors import BackboneError, CorruptPresetError
from keras_cr.presets.fingerprints import fingerprint, is_sha256
from keras_cr.presets.locate import locate
from keras_cr.presets.manifest import (
    CONFIG,
    MANIFEST,
    PATTERNS,
    Located,
    names_of,
    read_manifest,
    read_object,
)
from keras_cr.presets.registry import card

README = "README.md"
_DESCRIBE = (  # what says how KerasHub is to read a folder; small
    CONFIG,
    "image_converter.json",
    "metadata.json",
    "preprocessor.json",
    "preprocessor_config.json",
)
_LISTS = ("model.weights.json", "model.safetensors.index.json")  # weights in several files
_WEIGHTS = ("model*.weights.h5", "model*.safetensors")
_OF_KERAS_HUB = ("registered_name", "model_type", "architecture")  # KerasHub's, transformers', timm


@dataclass(frozen=True)
class Found:
    """A backbone's files on this machine, and where they are from.

    Attributes:
        path: the `.keras` file, or the folder of the others.
        handle, commit, files, converter, licence: as for `BackboneSource`.
        source: where the weights are instead, if it is a preset without a backbone.
    """

    path: Path
    handle: str
    commit: str | None
    files: Mapping[str, Mapping[str, Any]]
    converter: str
    licence: str | None
    source: BackboneSource | None = None


def find(handle: str | os.PathLike, revision: str | None, options: dict[str, Any]) -> Found:
    """Finds a backbone's files, downloading them where they are on the Hub.

    Args:
        handle: `hf://org/name[@revision]`, `hf://org/name[@revision]/FILE.keras`, a preset's name,
            a folder, or a `.keras` file.
        revision: a branch, tag or commit of the handle.
        options: keywords of `hub.fetch`.

    Raises:
        BackboneError: there is nothing there that a backbone can be read from.
        PresetError: as `load_preset`, for what can go wrong on the way.
    """
    text = os.fspath(handle)
    if not text.startswith(hub.SCHEME):
        if text.endswith(".keras"):
            path = Path(text).expanduser()
            if revision is not None or not path.is_file():
                wrong = "takes no revision" if revision is not None else "is not there"
                raise BackboneError(f"handle: the file {text!r} {wrong}; check the path.")
            return Found(path, text, None, _pins(path.parent, (path.name,)), "keras", None)
        place = locate(handle, revision, PATTERNS, options)
        if not place.downloaded:
            return _folder(place, text, None)
        entry = card(text)
        return _folder(place, f"{hub.SCHEME}{entry.repo}", entry.commit)
    text, file = hub.split_file(text)
    repo, revision = hub.parse_handle(text, revision)
    handle = f"{hub.SCHEME}{repo}"
    if file is not None:
        folder = hub.fetch(repo, revision, (file, README), **options)
        if not (folder / file).is_file():
            raise BackboneError(f"{text} has no file {file!r}; check the repository's page.")
        pins, licence = _pins(folder, (file,)), _licence(folder)
        return Found(folder / file, f"{handle}/{file}", folder.name, pins, "keras", licence)
    folder = hub.fetch(repo, revision, (MANIFEST, README, *_DESCRIBE, *_LISTS), **options)
    commit = folder.name
    if (folder / MANIFEST).is_file() or (folder / CONFIG).is_file():
        names = PATTERNS if (folder / MANIFEST).is_file() else _WEIGHTS
        hub.fetch(repo, commit, names, **options)
    place = Located(folder, f"Backbone {handle}@{commit}", downloaded=True)
    return _folder(place, handle, commit)


def _folder(place: Located, handle: str, commit: str | None) -> Found:
    """What lies in a folder."""
    folder = place.folder
    if (folder / MANIFEST).is_file():
        manifest = read_manifest(place)
        pins = _pins(folder, names_of(manifest) if "backbone" not in manifest else (MANIFEST,))
        source = BackboneSource.of(manifest.get("backbone"))
        licence = manifest.get("licence")
        return Found(folder, handle, commit, pins, "keras_cr", licence, source)
    known = (folder / CONFIG).is_file() and any(
        name in read_object(place, CONFIG)[0] for name in _OF_KERAS_HUB
    )
    weights = _matching(folder, _WEIGHTS)
    if not (known and weights):
        raise BackboneError(
            f"{place.label} is neither a preset ({MANIFEST}) nor a model that KerasHub reads "
            f"({CONFIG} and weights); name a .keras file as 'hf://org/name/FILE.keras' or by its "
            "path."
        )
    names = (*_matching(folder, (*_DESCRIBE, *_LISTS)), *weights)
    pins = _pins(folder, names)
    return Found(folder, handle, commit, pins, "keras_hub", _licence(folder))


def _pins(folder: Path, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The sums of files. The Hub's cache calls a large file by its sha256: damage is seen there.

    Raises:
        CorruptPresetError: a file is missing, or not what the Hub has sent.
    """
    pins = {}
    for name in names:
        path = folder / name
        if not path.is_file():
            raise CorruptPresetError(f"{str(folder)!r} has no {name}; get a fresh copy.")
        pins[name] = fingerprint(path)
        blob = path.resolve().name
        if is_sha256(blob) and blob != pins[name]["sha256"]:
            raise CorruptPresetError(
                f"{str(path)!r} is altered: it is not what the Hub has sent; delete {blob!r}."
            )
    return pins


def _matching(folder: Path, patterns: tuple[str, ...]) -> list[str]:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return [name for name in names if any(fnmatch.fnmatch(name, each) for each in patterns)]


def _licence(folder: Path) -> str | None:
    """The licence that a repository's page names in its metadata."""
    from huggingface_hub import metadata_load

    path = folder / README
    try:
        metadata = metadata_load(path) if path.is_file() else None
    except ValueError:  # no YAML, or none that is a mapping
        return None
    metadata = metadata or {}
    named = metadata.get("license")
    named = metadata.get("license_name") or named if named == "other" else named
    return named if isinstance(named, str) and named.strip() else None
