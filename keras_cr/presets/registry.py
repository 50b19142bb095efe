"""The presets that exist by name: one card each in weights_card/, and what the store holds."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_cr.presets.errors import CardError, PresetError, UnknownPresetError, shown
from keras_cr.presets.manifest import Located, read_manifest
from keras_cr.presets.schema import validate_card
from keras_cr.presets.store import home, store_path, stored_presets, valid_name

PACKAGED = Path(__file__).parent / "packaged"  # presets that come with the package
ENCODER = "CommonRationaleEncoder"  # what presets hold where nothing says otherwise
_NAMED = 4  # presets in an error, those with weights here first
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Card:
    """What is known of a preset; the fields are those of weights_card/README.md.

    Attributes:
        name, title, description: what `from_preset` takes; one line; a few sentences.
        backbone: its name.
        data: `name`, `url`, `classes`, `train` and `test` (images), `licence` of the training data.
        paper: URL of the method's paper.
        recipe: `command`, `config` and `seeds` of the training.
        repo, commit, files: where the Hub has it, and size and sha256 of each file.
        packaged: whether the files come with this package.
        metrics: measured values as in metrics.json, or a text that there are none.
        licence: of the weights.
        intended_use, limits: what the preset is for; what it is not for.
        date, version: when the weights were made, and by which version of keras_cr.
        backbone_source: where the backbone's weights are, if not among `files`.
        parameters: number of the encoder's.
    """

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
    packaged: bool
    metrics: str | Mapping[str, Any]
    licence: str
    intended_use: str
    limits: str
    date: str | None
    version: str | None
    backbone_source: Mapping[str, Any] | None = None
    parameters: int | None = None

    @property
    def size(self) -> int | None:
        """Bytes of its files; None where no weights are pinned."""
        return sum(pin["size"] for pin in self.files.values()) or None

    @property
    def file_size(self) -> int | None:
        """Bytes that its weights take in float32; None where nobody has counted them."""
        return None if self.parameters is None else 4 * self.parameters

    @property
    def pinned(self) -> bool:
        """Whether weights are published: a repository, a commit and every file's sha256."""
        return self.commit is not None

    @property
    def folder(self) -> Path | None:
        """Where the weights lie inside the package, or None."""
        return PACKAGED / self.name if self.packaged else None


@dataclass(frozen=True)
class PresetInfo:
    """One line of `list_presets`.

    Attributes:
        name: the name to load it by.
        title: its card's title, empty without a card.
        stored: its folder in the local store, or None.
        published: whether its card pins weights on the Hub.
        packaged: whether its weights are inside the package.
        model: the model's class, such as "CommonRationaleEncoder".
    """

    name: str
    title: str
    stored: Path | None
    published: bool
    packaged: bool
    model: str = ENCODER

    @property
    def where(self) -> str:
        """Where `from_preset` takes it from: "store", "package", "hub" or "not published"."""
        if self.stored:
            return "store"
        return "package" if self.packaged else "hub" if self.published else "not published"


def cards_folder() -> Path:
    """Where the cards are: inside an installed package, beside the package in a checkout."""
    folders = (_PACKAGE / "weights_card", _PACKAGE.parent / "weights_card")
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def own_cards_folder() -> Path:
    """Where `register` puts cards: a checkout's weights_card/, else `home()`/cards."""
    folder = cards_folder()
    return home() / "cards" if folder.parent == _PACKAGE else folder


def _paths(own: bool = True) -> dict[str, Path]:
    """The cards' files by name; the package's own go before those of `home()`."""
    found = {}
    for folder in (home() / "cards", cards_folder()) if own else (cards_folder(),):
        found |= {path.stem: path for path in folder.glob("*.yaml")}
    return dict(sorted(found.items()))


def cards(own: bool = True) -> dict[str, Card]:
    """Every card, by name: those of the package, and those that `register` made.

    Args:
        own: False leaves out those in `home()`.

    Raises:
        CardError: if one cannot be read or breaks the schema.
    """
    return {name: read_card(path) for name, path in _paths(own).items()}


def card(name: str) -> Card:
    """One card.

    Args:
        name: the preset's.

    Raises:
        UnknownPresetError: if there is none; names that come close are in the message.
        CardError: if it cannot be read or breaks the schema.
    """
    path = _paths().get(name) if valid_name(name) else None
    if path is None:
        raise unknown(name)
    return read_card(path)


def list_presets() -> list[PresetInfo]:
    """What can be asked for by name: everything with a card and everything in the local store."""
    known, stored = cards(), stored_presets()
    return [
        PresetInfo(
            name,
            known[name].title if name in known else "",
            stored.get(name),
            name in known and known[name].pinned,
            name in known and known[name].packaged,
            _model(stored[name]) if name in stored else ENCODER,
        )
        for name in sorted(known.keys() | stored.keys())
    ]


class PresetsOfClass:
    """The class attribute `presets`: what `from_preset` of that class takes by name.

    A dict of names to `PresetInfo`, in the order of `list_presets` and read anew each time. Models
    don't have it, only their class: Keras looks into every attribute of a model that it saves.

    Args:
        *also: other classes whose presets `from_preset` takes.
    """

    def __init__(self, *also: str) -> None:
        self.also = also

    def __get__(self, instance: object | None, owner: type) -> dict[str, PresetInfo]:
        if instance is not None:
            raise AttributeError(f"`presets` is an attribute of the class {owner.__name__}")
        taken = {*self.also, *(cls.__name__ for cls in owner.__mro__)}
        return {info.name: info for info in list_presets() if info.model in taken}


def _model(folder: Path) -> str:
    """The class in a stored preset's preset.json; a damaged one is told of when it is loaded."""
    try:
        manifest = read_manifest(Located(folder, folder.name))
    except PresetError:
        return ENCODER
    return manifest["class"].rpartition(">")[2]


def unknown(name: object) -> UnknownPresetError:
    """The error for a name that nothing has, with the names that come close."""
    loaded = [*sorted(stored_presets()), *sorted(path.name for path in PACKAGED.glob("*/"))]
    names = list(dict.fromkeys([*loaded, *sorted(_paths())]))
    close = difflib.get_close_matches(str(name), names, n=3)
    first, left = names[:_NAMED], len(names) - _NAMED
    more = f" and {left} more, see list_presets()" if left > 0 else ""
    known = f"known names: {', '.join(map(repr, first))}{more}."
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else known
    return UnknownPresetError(
        f"No preset is called {shown(name)}; {hint} A folder (such as "
        f"{shown(f'./{name}')}) or a handle "
        "'hf://org/name' is loaded too."
    )


def unpublished_message(entry: Card) -> str:
    """Why a card's preset cannot be loaded yet, and the two ways out."""
    return (
        f"Preset {entry.name!r} has a card, but no weights are published yet. Train them with "
        f"`{entry.recipe['command']}`, which stores them in {str(store_path(entry.name))!r}, where "
        f"this name finds them; or load from elsewhere: a folder, or 'hf://org/name'."
    )


def read_card(path: Path) -> Card:
    """A card's file, checked.

    Raises:
        CardError: if it cannot be read, breaks the schema or has another name than its file.
    """
    from keras_cr.presets.card_file import read_yaml

    content = read_yaml(path)
    validate_card(content)
    if content["name"] != path.stem:
        raise CardError(f"{path.name}: name must be {path.stem!r}; received {content['name']!r}.")
    return Card(**content)
