"""The presets that exist by name: one card each in weights_card/, and what the store holds."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras_cr
from keras_cr.presets.errors import CardError, UnknownPresetError
from keras_cr.presets.schema import validate_card
from keras_cr.presets.store import store_path, stored_presets, valid_name


@dataclass(frozen=True)
class Card:
    """What is known of a preset; the fields are those of weights_card/README.md."""

    name: str
    title: str
    description: str
    backbone: str
    data: Mapping[str, Any]
    paper: str
    recipe: Mapping[str, Any]
    repo: str | None
    commit: str | None
    files: Mapping[str, Mapping[str, Any]]
    metrics: str | Mapping[str, Any]
    licence: str
    intended_use: str
    limits: str
    date: str | None
    version: str | None

    @property
    def pinned(self) -> bool:
        """Whether weights are published: a repository, a commit and every file's sha256."""
        return self.commit is not None


@dataclass(frozen=True)
class PresetInfo:
    """One line of `list_presets`.

    Attributes:
        name: the name to load it by.
        title: its card's title, empty without a card.
        stored: its folder in the local store, or None.
        published: whether its card pins weights on the Hub.
    """

    name: str
    title: str
    stored: Path | None
    published: bool


def cards_folder() -> Path:
    """Where the cards are: inside an installed package, beside the package in a checkout."""
    package = Path(keras_cr.__file__).parent
    folders = (package / "weights_card", package.parent / "weights_card")
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def cards() -> dict[str, Card]:
    """Every card, by name.

    Raises:
        CardError: if one cannot be read or breaks the schema.
    """
    return {path.stem: _read(path) for path in sorted(cards_folder().glob("*.yaml"))}


def card(name: str) -> Card:
    """One card.

    Raises:
        UnknownPresetError: if there is none; names that come close are in the message.
        CardError: if it cannot be read or breaks the schema.
    """
    path = cards_folder() / f"{name}.yaml"
    if not valid_name(name) or not path.is_file():
        raise unknown(name)
    return _read(path)


def list_presets() -> list[PresetInfo]:
    """What can be asked for by name: everything with a card and everything in the local store."""
    known, stored = cards(), stored_presets()
    return [
        PresetInfo(
            name,
            known[name].title if name in known else "",
            stored.get(name),
            name in known and known[name].pinned,
        )
        for name in sorted(known.keys() | stored.keys())
    ]


def unknown(name: object) -> UnknownPresetError:
    """The error for a name that nothing has, with the names that come close."""
    names = sorted({path.stem for path in cards_folder().glob("*.yaml")} | stored_presets().keys())
    close = difflib.get_close_matches(str(name), names, n=3)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"known names: {names}."
    return UnknownPresetError(
        f"No preset is called {name!r}; {hint} A folder (such as './{name}') or a handle "
        "'hf://org/name' is loaded too."
    )


def unpublished_message(entry: Card) -> str:
    """Why a card's preset cannot be loaded yet, and the two ways out."""
    return (
        f"Preset {entry.name!r} has a card, but no weights are published yet. Train them with "
        f"`{entry.recipe['command']}`, which stores them in {str(store_path(entry.name))!r}, where "
        f"this name finds them; or load from elsewhere: a folder, or 'hf://org/name'."
    )


def _read(path: Path) -> Card:
    import yaml

    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CardError(f"{path.name} cannot be read: {' '.join(str(error).split())}.") from error
    validate_card(content)
    if content["name"] != path.stem:
        raise CardError(f"{path.name}: name must be {path.stem!r}; received {content['name']!r}.")
    return Card(**content)
