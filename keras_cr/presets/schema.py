"""What a card in weights_card/ must look like."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from keras_cr.presets.errors import CardError
from keras_cr.presets.manifest import FILES, is_fingerprint
from keras_cr.presets.store import valid_name

NOT_MEASURED = "not measured"

_Rule = tuple[str, Callable[[Any], bool]]  # what is expected, and the check of it


def _matches(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _or_null(rule: _Rule) -> _Rule:
    return f"{rule[0]} or null", lambda value: value is None or rule[1](value)


_TEXT: _Rule = ("text", lambda value: isinstance(value, str) and bool(value.strip()))
_COUNT: _Rule = ("a positive integer", lambda value: type(value) is int and value > 0)
_URL: _Rule = ("a URL", _matches(r"https?://\S+"))
_MAPPING: _Rule = ("a mapping", lambda value: isinstance(value, Mapping))

_CARD: dict[str, _Rule] = {
    "name": ("lower-case letters, digits, '_', '.' and '-'", valid_name),
    "title": _TEXT,
    "description": _TEXT,
    "backbone": _TEXT,
    "data": _MAPPING,
    "paper": _URL,
    "recipe": _MAPPING,
    "repo": _or_null(("'org/name'", _matches(r"\w[\w.-]*/\w[\w.-]*"))),
    "commit": _or_null(("a full commit of 40 hexadecimal digits", _matches(r"[0-9a-f]{40}"))),
    "files": (
        "a mapping of file names to their sha256 and size",
        lambda value: isinstance(value, Mapping) and all(map(is_fingerprint, value.values())),
    ),
    "metrics": (
        f"a mapping of measured values or {NOT_MEASURED!r}",
        lambda value: value == NOT_MEASURED or (isinstance(value, Mapping) and bool(value)),
    ),
    "licence": _TEXT,
    "intended_use": _TEXT,
    "limits": _TEXT,
    "date": _or_null(("a quoted date such as '2025-01-31'", _matches(r"\d{4}-\d\d-\d\d"))),
    "version": _or_null(("a quoted package version such as '0.1.0'", _matches(r"\d+\.\d+\S*"))),
}
_DATA: dict[str, _Rule] = {
    "name": _TEXT,
    "url": _URL,
    "classes": _COUNT,
    "train": _COUNT,
    "test": _COUNT,
    "licence": _TEXT,
}
_RECIPE: dict[str, _Rule] = {
    "command": ("a command beginning with 'python recipes/'", _matches(r"python recipes/\S.*"))
}


def validate_card(card: Any) -> None:
    """Checks a card's content against the schema.

    Args:
        card: what the YAML file holds.

    Raises:
        CardError: at the first field that is missing, unknown or wrong; its name is in the message.
    """
    if not isinstance(card, Mapping):
        raise CardError(f"A card must be a mapping of fields; received {type(card).__name__}.")
    label = f"Card {card.get('name')!r}"
    _check(label, "", card, _CARD)
    _check(label, "data.", card["data"], _DATA)
    _check(label, "recipe.", card["recipe"], _RECIPE)
    pins = {"repo": card["repo"], "commit": card["commit"], "files": card["files"]}
    if any(pins.values()) and not (all(pins.values()) and set(pins["files"]) == set(FILES)):
        raise CardError(
            f"{label}: repo, commit and files are pinned together or not at all, and files must be "
            f"exactly {', '.join(FILES)}; received {pins}."
        )


def _check(label: str, prefix: str, content: Mapping[str, Any], rules: dict[str, _Rule]) -> None:
    for field in content.keys() - rules.keys():
        raise CardError(f"{label}: there is no field {f'{prefix}{field}'!r}; correct its name.")
    for field, (expected, holds) in rules.items():
        if field not in content:
            raise CardError(f"{label}: field {f'{prefix}{field}'!r} is missing; give {expected}.")
        if not holds(content[field]):
            raise CardError(
                f"{label}: field {f'{prefix}{field}'!r} must be {expected}; received "
                f"{content[field]!r}."
            )
