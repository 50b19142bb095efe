"""Finding a preset's folder: a path, a name in the local store or with a card, a Hub handle."""

import os
from pathlib import Path
from typing import Any

from keras_cr.presets import hub
from keras_cr.presets.atomic import absolute, settled
from keras_cr.presets.errors import PresetError, UnknownPresetError, UnpublishedPresetError, shown
from keras_cr.presets.manifest import MANIFEST, Located
from keras_cr.presets.registry import card, unpublished_message
from keras_cr.presets.store import store_path, valid_name

_LONGEST, _LONGEST_PART = 4096, 255  # characters of a path, and of a name in it


def locate(
    handle: str | os.PathLike, revision: str | None, files: tuple[str, ...], options: dict[str, Any]
) -> Located:
    """Finds a preset's folder on this machine, downloading it when it has to be.

    Args:
        handle, revision: as for `load_preset`.
        files: names of the files that are needed.
        options: keywords of `hub.fetch`.

    Raises:
        PresetError: as `load_preset`, for whatever can go wrong before the files are read.
    """
    if not isinstance(handle, str | os.PathLike) or not os.fspath(handle):
        raise PresetError(
            "name_or_handle must be a preset's name, a folder or 'hf://org/name'; received "
            f"{handle!r}."
        )
    text = os.fspath(handle)
    if len(text) > _LONGEST or any(len(part) > _LONGEST_PART for part in Path(text).parts):
        raise PresetError(f"name_or_handle is too long to be one; received {shown(text)}.")
    if text.startswith(hub.SCHEME):
        repo, revision = hub.parse_handle(text, revision)
        return _fetched(text, repo, revision, files, options)
    meant = hub.handle_of(text)
    if revision is not None:
        raise PresetError(
            f"revision applies only to hf:// handles; received revision={revision!r} for {text!r}. "
            f"Use '{(meant or 'hf://org/name').partition('@')[0]}@{revision}' or leave it out."
        )
    if "://" in text:
        hint = f"; did you mean {meant!r}?" if meant else "."
        raise PresetError(
            f"name_or_handle: only 'hf://' handles are known; received {text!r}{hint}"
        )
    is_path = not isinstance(handle, str) or text[0] in ".~" or "/" in text or os.sep in text
    if is_path or (Path(text) / MANIFEST).is_file():
        folder = absolute(text)
        if not (settled(folder) and folder.is_dir()):
            hint = f", or load {meant!r} from the Hub" if meant else ""
            raise UnknownPresetError(f"No preset folder at {text!r}; check the path{hint}.")
        return Located(folder, f"Preset {text!r}")
    if valid_name(text):
        folder = store_path(text)
        if settled(folder):
            return Located(folder, f"Preset {text!r} in the local store ({str(folder)!r})")
    entry = card(text)
    if entry.packaged:
        label = f"Preset {text!r} in the package ({str(entry.folder)!r})"
        return Located(entry.folder, label, "install keras-cr again", entry.files)  # type: ignore[arg-type]
    if not entry.pinned:
        raise UnpublishedPresetError(unpublished_message(entry))
    return _fetched(text, entry.repo, entry.commit, files, options, entry.files)  # type: ignore[arg-type]


def _fetched(
    name: str,
    repo: str,
    revision: str | None,
    files: tuple[str, ...],
    options: dict[str, Any],
    pins: Any = None,
) -> Located:
    """A preset in the Hub's cache."""
    folder = hub.fetch(repo, revision, files, **options)
    remedy = f"delete its copy in the cache ({str(folder)!r}) and load it again"
    return Located(folder, f"Preset {name!r}", remedy, pins, downloaded=True)
