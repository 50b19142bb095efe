"""Plain data: what the JSON and YAML files of presets may hold, and JSON read and written so."""

import collections
import json
import math
import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from keras_cr.presets.errors import PresetError, one_line, shown

MAX_BYTES = 8 * 2**20  # the largest config.json of keras.applications has 2 MiB
MAX_DEPTH = 100
_MAX_INTEGER = 2**63


def read_json(path: Path) -> tuple[Any, bytes]:
    """Reads a JSON file in which nothing is ambiguous.

    Args:
        path: the file.

    Returns:
        Its value, and the bytes that were read.

    Raises:
        ValueError: it is no JSON, is larger than `MAX_BYTES`, names a key twice, or holds what
            `check_plain` refuses.
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    return parse_json(data), data


def parse_json(data: bytes) -> Any:
    """The value of JSON in which nothing is ambiguous.

    Raises:
        ValueError: as `read_json`.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant
        )
    except RecursionError:
        raise ValueError(f"more than {MAX_DEPTH} levels") from None
    check_plain(value)
    return value


def check_plain(value: Any, where: str = "", depth: int = MAX_DEPTH) -> None:
    """Refuses whatever is not a sane value of JSON.

    Args:
        value: what was read.
        where: the name of the value, for messages.
        depth: how many levels it may have.

    Raises:
        ValueError: it is nested too deeply, or holds a key that is no text, a number that is not
            finite or has more than 64 bits, text that is no Unicode, or a value of another type.
    """
    where_told = f" at {shown(where)}" if where else ""
    if isinstance(value, Mapping | list):
        if depth == 0:
            raise ValueError(f"more than {MAX_DEPTH} levels")
        is_mapping = isinstance(value, Mapping)
        for key, item in value.items() if is_mapping else enumerate(value):
            if is_mapping and not isinstance(key, str):
                raise ValueError(f"the key {shown(key)}{where_told} is no text; put it in quotes")
            if is_mapping:
                check_plain(key, where, depth)
            check_plain(item, f"{where}.{key}" if where else str(key), depth - 1)
    elif isinstance(value, str):
        if not _is_text(value):
            raise ValueError(f"text{where_told} holds half of a character")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a number{where_told} is {value}")
    elif isinstance(value, int):
        if not -_MAX_INTEGER <= value < _MAX_INTEGER:
            raise ValueError(f"a whole number{where_told} has more than 64 bits")
    elif value is not None:
        raise ValueError(f"{type(value).__name__}{where_told} is no plain value; put it in quotes")


def to_json(value: Mapping[str, Any], where: str, compact: bool = False) -> bytes:
    """Strict JSON: NumPy values as plain ones, NaN and infinities refused.

    Args:
        value: what to write.
        where: its name, for messages.
        compact: whether it is for programs alone, in half the bytes.

    Raises:
        PresetError: as `plain`.
    """
    layout = {"separators": (",", ":")} if compact else {"indent": 1}
    text = json.dumps(plain(value, where), **layout, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def plain(value: Any, where: str, depth: int = MAX_DEPTH) -> Any:
    """`value` in the types of JSON.

    Args:
        value: nested dicts, lists and tuples of strings, numbers, booleans, None, NumPy scalars
            and arrays, paths and dates.
        where: the name of the value, for messages.
        depth: how many levels it may have.

    Returns:
        The same in dict, list, str, int, float, bool and None.

    Raises:
        PresetError: if a number is NaN, infinite or of more than 64 bits, text holds half of a
            character, there are too many levels, or a type has no place in JSON.
    """
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays; NumPy is not imported for it
        value = value.tolist()
    told = one_line(where, 120)
    if isinstance(value, str) and not _is_text(value):
        raise PresetError(f"{told} holds half of a character, {shown(value)}; leave it out.")
    if isinstance(value, int) and not -_MAX_INTEGER <= value < _MAX_INTEGER:
        raise PresetError(f"{told} has more than 64 bits: {shown(value)}; write it as text.")
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise PresetError(f"{told} is {value}, which JSON cannot hold; leave it out.")
        return value
    if isinstance(value, Mapping | list | tuple) and depth == 0:
        raise PresetError(f"{told} has more than {MAX_DEPTH} levels, or holds itself.")
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise PresetError(f"{told} must have strings for keys; received {shown(odd[0])}.")
        if odd := [key for key in value if not _is_text(key)]:
            raise PresetError(f"{told} has a key that holds half of a character: {shown(odd[0])}.")
        return {key: plain(item, f"{where}: {key}", depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{i}]", depth - 1) for i, item in enumerate(value)]
    if isinstance(value, os.PathLike):
        return plain(os.fspath(value), where, depth)
    if isinstance(value, date):
        return value.isoformat()
    raise PresetError(
        f"{told} must be text, a number, a list or a dict to be written as JSON; received "
        f"{type(value).__name__}."
    )


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = collections.Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {shown(twice)} stands twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
