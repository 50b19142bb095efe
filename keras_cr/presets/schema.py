"""What a card in weights_card/ must look like."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from keras_cr.presets.errors import CardError, shown
from keras_cr.presets.manifest import FILES, MANIFEST, are_names, is_fingerprint
from keras_cr.presets.plain import check_plain
from keras_cr.presets.store import valid_name

NOT_MEASURED = "not measured"
NOT_STATED = "not stated"

_Rule = tuple[str, Callable[[Any], bool]]  # what is expected, and the check of it


def _matches(pattern: str) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII) is not None
    )


def _or_not_stated(rule: _Rule) -> _Rule:
    return f"{rule[0]} or {NOT_STATED!r}", lambda value: value == NOT_STATED or rule[1](value)


def _or_null(rule: _Rule) -> _Rule:
    return f"{rule[0]} or null", lambda value: value is None or rule[1](value)


_TEXT: _Rule = ("text", lambda value: isinstance(value, str) and bool(value.strip()))
_COUNT: _Rule = ("a positive integer", lambda value: type(value) is int and value > 0)
_SEEDS: _Rule = (
    "a list of integers",
    lambda value: (
        isinstance(value, list) and bool(value) and all(type(seed) is int for seed in value)
    ),
)
_FLAG: _Rule = ("true or false", lambda value: type(value) is bool)
_URL: _Rule = ("a URL", _matches(r"https?://\S+"))
_MAPPING: _Rule = ("a mapping", lambda value: isinstance(value, Mapping))


def _are_metrics(value: Any) -> bool:
    """Whether these are groups of numbers by name, beside their protocol."""
    if not isinstance(value, Mapping) or not isinstance(value.get("protocol"), Mapping):
        return False
    groups = [group for name, group in value.items() if name != "protocol"]
    average = value.get("average_pooling", {})
    groups += average.values() if isinstance(average, Mapping) else ()
    return all(isinstance(group, Mapping) and _are_numbers(group) for group in groups)


def _are_numbers(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_are_numbers(item) for name, item in value.items() if name != "protocol")
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


_CARD: dict[str, _Rule] = {
    "name": ("lower-case letters, digits, '_', '.' and '-'", valid_name),
    "title": _TEXT,
    "description": _TEXT,
    "backbone": _TEXT,
    "backbone_source": _or_null(_MAPPING),
    "parameters": _or_null(_COUNT),
    "data": _MAPPING,
    "paper": _URL,
    "recipe": _MAPPING,
    "repo": _or_null(("'org/name'", _matches(r"\w[\w.-]*/\w[\w.-]*"))),
    "commit": _or_null(("a full commit of 40 hexadecimal digits", _matches(r"[0-9a-f]{40}"))),
    "files": (
        "a mapping of file names to their sha256 and size",
        lambda value: isinstance(value, Mapping) and all(map(is_fingerprint, value.values())),
    ),
    "packaged": _FLAG,
    "metrics": (
        f"a mapping of measured values with their 'protocol', or {NOT_MEASURED!r}",
        lambda value: value == NOT_MEASURED or _are_metrics(value),
    ),
    "licence": _TEXT,
    "intended_use": _TEXT,
    "limits": _TEXT,
    "date": _or_null(("a quoted date such as '2025-01-31'", _matches(r"\d{4}-\d\d-\d\d"))),
    "version": _or_null(("a quoted package version such as '0.1.0'", _matches(r"\d+\.\d+\S*"))),
}
_DATA: dict[str, _Rule] = {
    "name": _TEXT,
    "url": _or_not_stated(_URL),
    "classes": _or_null(_COUNT),
    "train": _or_null(_COUNT),
    "test": _or_null(_COUNT),
    "licence": _TEXT,
}
_RECIPE: dict[str, _Rule] = {
    "command": _or_not_stated(
        ("a command beginning with 'python recipes/'", _matches(r"python recipes/\S.*"))
    ),
    "config": _or_null(_MAPPING),
    "seeds": _or_null(_SEEDS),
}


_BACKBONE: dict[str, _Rule] = {
    "handle": _TEXT,
    "commit": _CARD["commit"],
    "size": _COUNT,
    "licence": _TEXT,
}
_OPTIONAL = {"backbone_source", "parameters"}


def validate_card(card: Any) -> None:
    """Checks a card's content against the schema.

    Args:
        card: what the YAML file holds.

    Raises:
        CardError: at the first field that is missing, unknown or wrong; its name is in the message.
    """
    if not isinstance(card, Mapping):
        raise CardError(f"A card must be a mapping of fields; received {type(card).__name__}.")
    label = f"Card {shown(card.get('name'))}"
    try:
        check_plain(card)
    except ValueError as error:
        raise CardError(f"{label}: {error}.") from error
    _check(label, "", card, _CARD)
    _check(label, "data.", card["data"], _DATA)
    _check(label, "recipe.", card["recipe"], _RECIPE)
    if (source := card.get("backbone_source")) is not None:
        _check(label, "backbone_source.", source, _BACKBONE)
    files, hub = card["files"], (card["repo"], card["commit"])
    if files and not (MANIFEST in files and are_names(files.keys() - {MANIFEST})):
        raise CardError(
            f"{label}: files must be exactly {', '.join(FILES)}, with the weights' further files "
            f"where there are some, or none; received {shown(sorted(files))}."
        )
    if bool(files) != (card["packaged"] or all(hub)) or (any(hub) and not all(hub)):
        raise CardError(
            f"{label}: repo, commit and files are pinned together or not at all, and files alone "
            f"where packaged is true; received repo={hub[0]!r}, commit={hub[1]!r}, "
            f"packaged={card['packaged']}, {len(files)} files."
        )


def _check(label: str, prefix: str, content: Mapping[str, Any], rules: dict[str, _Rule]) -> None:
    for field in sorted(content.keys() - rules.keys()):
        raise CardError(f"{label}: there is no field {shown(prefix + field)}; correct its name.")
    for field, (expected, holds) in rules.items():
        if field not in content:
            if field in _OPTIONAL:
                continue
            raise CardError(f"{label}: field {f'{prefix}{field}'!r} is missing; give {expected}.")
        if not holds(content[field]):
            raise CardError(
                f"{label}: field {f'{prefix}{field}'!r} must be {expected}; received "
                f"{shown(content[field])}."
            )
