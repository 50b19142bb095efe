"""The files that a preset pins for its backbone: found again, and any others refused."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_cr.presets import hub
from keras_cr.presets.backbone_source import BackboneSource
from keras_cr.presets.errors import BackboneError, CorruptPresetError, HubError, PresetError
from keras_cr.presets.locate import locate
from keras_cr.presets.manifest import PATTERNS, Located, verify_files
from keras_cr.presets.registry import card


def checked(
    source: BackboneSource,
    place: str | os.PathLike | None,
    options: dict[str, Any],
    way_out: str = "name a place that has its files, from_preset(..., backbone=PLACE)",
) -> Path:
    """Finds the files that a source pins, and refuses any others.

    Args:
        source: what is pinned.
        place: where they are, if not where the source says: a file, a folder, or a handle.
        options: keywords of `hub.fetch`.
        way_out: what helps if they can't be had, for messages.

    Returns:
        The `.keras` file, or the folder of the others.

    Raises:
        BackboneError: they are not there, or differ.
        HubError: they can't be fetched.
    """
    label = f"Backbone {source.pinned_handle if place is None else os.fspath(place)}"
    handle = source.handle if place is None else os.fspath(place)
    if not handle.startswith(hub.SCHEME):
        return _local(handle, label, source, options, way_out)
    handle, _ = hub.split_file(handle)
    repo, revision = hub.parse_handle(handle, source.commit if place is None else None)
    for force in (False, True):
        fetched = hub.fetch(repo, revision, tuple(source.files), **options | {"force": force})
        there = Located(fetched, label, f"delete its copy in the cache ({str(fetched)!r})")
        try:
            return _verified(there, source, way_out)
        except BackboneError:
            if force or options.get("local_files_only"):
                raise
    raise AssertionError("unreachable")


def _local(
    handle: str, label: str, source: BackboneSource, options: dict[str, Any], way_out: str
) -> Path:
    """The files that a source pins, on this machine or by a card's name."""
    path = Path(handle).expanduser()
    try:
        if source.converter == "keras_cr":
            return _verified(locate(handle, None, PATTERNS, options), source, way_out)
    except (BackboneError, HubError):
        raise
    except PresetError as error:
        raise BackboneError(f"{label} can't be had ({error}) {way_out}.") from error
    if path.is_file() and len(source.files) == 1:
        (pin,) = source.files.values()
        return _verified(Located(path.parent, label), source, way_out, {path.name: pin})
    if path.is_dir():
        return _verified(Located(path, label), source, way_out)
    raise BackboneError(f"{label} is not there; {way_out}.")


def _verified(
    place: Located,
    source: BackboneSource,
    way_out: str,
    files: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    files = source.files if files is None else files
    try:
        verify_files(place, files, tuple(files))
    except CorruptPresetError as error:
        raise BackboneError(
            f"{error} It is not the backbone that the preset was made with: {way_out}."
        ) from error
    return place.folder / next(iter(files)) if source.converter == "keras" else place.folder


def check_public(source: BackboneSource, handle: str, token: str | bool | None) -> None:
    """Refuses to publish a branch whose backbone others can't load.

    Args:
        source: where the backbone is.
        handle: where the branch is to be published, for messages.
        token: a token that may read both.

    Raises:
        BackboneError: the backbone is on this machine alone, or not as pinned on the Hub.
        HubError: its repository or commit is gone, or can't be asked.
    """
    way_out = "publish the backbone and load it from there, or save with backbone='inside'"
    if not source.handle.startswith(hub.SCHEME):
        if not _is_packaged(source):
            raise BackboneError(
                f"{handle}: its backbone {source.handle!r} is on this machine alone; {way_out}."
            )
        return
    repo, _ = hub.parse_handle(hub.split_file(source.handle)[0])
    path = checked(source, None, {"token": token}, way_out)
    folder = path if path.is_dir() else path.parent
    paths = {name: folder / name for name in source.files}
    if not hub.holds(repo, source.commit, paths, token):  # type: ignore[arg-type]
        raise BackboneError(f"{handle}: its backbone {source.pinned_handle} is gone; {way_out}.")


def _is_packaged(source: BackboneSource) -> bool:
    """Whether it comes with the package."""
    try:
        entry = card(source.handle)
    except PresetError:
        return False
    return entry.packaged and dict(entry.files) == dict(source.files)
