"""Pinning a published preset into its card: from then on its name loads exactly these files."""

import os
from pathlib import Path
from typing import Any

import yaml

from keras_cr._files import whole_file
from keras_cr.presets import hub, registry
from keras_cr.presets.backbone_source import BackboneSource
from keras_cr.presets.errors import CorruptPresetError, PresetError
from keras_cr.presets.manifest import (
    PATTERNS,
    Located,
    fingerprint,
    names_of,
    read_manifest,
    verify_files,
)
from keras_cr.presets.model_card import PAPER, headline
from keras_cr.presets.schema import NOT_MEASURED, NOT_STATED, validate_card
from keras_cr.presets.store import store_path


def register(
    source: str | os.PathLike,
    name: str | None = None,
    *,
    repo: str | None = None,
    cards_folder: str | os.PathLike | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike | None = None,
) -> Path:
    """Writes into a card where a preset is published, what its files are and how it was measured.

    What people wrote in the card (title, description, data, licences, limits) stays; a new card
    says "not stated" there until somebody does.

    Args:
        source: `hf://org/name[@revision]`, or a preset's folder that was published to `repo`.
        name: the card's name. Defaults to the preset's own.
        repo: with a folder, the handle it was published to; its files must be the same there.
        cards_folder: where cards are. Defaults to a checkout's weights_card/, and where keras_cr is
            installed without one to `$KERAS_CR_HOME`/cards.
        token: a Hub token, True for the stored one, False for none.
        cache_dir: the Hub cache.

    Returns:
        The card's file.

    Raises:
        PresetError: an argument is wrong, or the package has a card of that name already and
            can't be written to.
        CorruptPresetError: a file is damaged, or differs from the folder's.
        HubError: the preset can't be fetched.
    """
    text = os.fspath(source)
    if not text.startswith(hub.SCHEME) and repo is None:
        raise PresetError(
            f"register pins what is published; {text!r} is a folder. Name the handle it was "
            "published to, repo='hf://org/name'."
        )
    handle = text if text.startswith(hub.SCHEME) else repo
    repo_name, revision = hub.parse_handle(handle)  # type: ignore[arg-type]
    folder = hub.fetch(repo_name, revision, PATTERNS, token=token, cache_dir=cache_dir)
    published = Located(folder, f"Preset {handle!r}", f"delete {str(folder)!r} and try again")
    manifest = read_manifest(published)
    verify_files(published, manifest["files"], tuple(manifest["files"]))
    files = {file: fingerprint(folder / file) for file in names_of(manifest)}
    if text != handle:
        _check_same(Path(text).expanduser(), files, handle)  # type: ignore[arg-type]
    name = name or manifest.get("name")
    store_path(name)  # type: ignore[arg-type]  # refuses what can't be a name
    path = Path(cards_folder or registry.own_cards_folder()).expanduser() / f"{name}.yaml"
    packaged = registry.cards_folder() / f"{name}.yaml"
    if cards_folder is None and packaged.is_file() and packaged != path:
        raise PresetError(
            f"name: the package has a card {name!r}, which goes before one in "
            f"{str(path.parent)!r}; choose another name."
        )
    card = _written_by_people(path, name) | _pinned(manifest, repo_name, folder.name, files)  # type: ignore[arg-type]
    card["recipe"] = _recipe(card["recipe"], manifest)
    validate_card(card)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        part.write_text(
            yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=100), "utf-8"
        )
    return path


def _check_same(folder: Path, files: dict[str, Any], handle: str) -> None:
    """Refuses a folder that is not what was published."""
    located = Located(folder, f"Folder {str(folder)!r}", f"publish it to {handle!r} again")
    try:
        verify_files(located, files, tuple(files))
    except CorruptPresetError as error:
        raise CorruptPresetError(f"{error} {handle!r} holds another preset.") from error


def _written_by_people(path: Path, name: str) -> dict[str, Any]:
    """The content of the card that is there, or of a new one, in the schema's order."""
    if path.is_file():
        return dict(registry.read_card(path).__dict__)
    return {
        "name": name,
        "title": name,
        "description": NOT_STATED,
        "backbone": NOT_STATED,
        "data": {
            "name": NOT_STATED,
            "url": NOT_STATED,
            "classes": None,
            "train": None,
            "test": None,
            "licence": NOT_STATED,
        },
        "paper": PAPER,
        "recipe": {"command": NOT_STATED, "config": None, "seeds": None},
        "repo": None,
        "commit": None,
        "files": {},
        "packaged": False,
        "metrics": NOT_MEASURED,
        "licence": NOT_STATED,
        "intended_use": NOT_STATED,
        "limits": NOT_STATED,
        "date": None,
        "version": None,
    }


def _pinned(
    manifest: dict[str, Any], repo: str, commit: str, files: dict[str, Any]
) -> dict[str, Any]:
    """What the published files say of themselves."""
    source = manifest.get("source") or {}
    found = {
        "repo": repo,
        "commit": commit,
        "files": files,
        "packaged": False,
        "metrics": headline(manifest.get("metrics") or {}) or NOT_MEASURED,
        "date": source.get("date"),
        "version": manifest.get("keras_cr"),
        "backbone_source": None,
        "parameters": manifest["parameters"],
    }
    if (source := BackboneSource.of(manifest.get("backbone"))) is not None:
        found["backbone_source"] = {
            "handle": source.handle,
            "commit": source.commit,
            "size": source.size,
            "licence": source.licence or NOT_STATED,
        }
    if manifest.get("licence"):
        found["licence"] = manifest["licence"]
    return found


def _recipe(recipe: dict[str, Any], manifest: dict[str, Any]) -> dict[str, Any]:
    """The command, the settings and the seed of the run that made the files."""
    source = manifest.get("source") or {}
    command = str(source.get("command") or "")
    found = {
        "command": command if command.startswith("python recipes/") else recipe["command"],
        "config": source.get("config"),
        "seeds": [source["seed"]] if type(source.get("seed")) is int else None,
    }
    return recipe | found
