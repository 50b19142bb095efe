"""The name that a run's preset gets in the local store, where it never takes another run's."""

import json
import os
import re

from keras_cr.presets import store_path, stored_presets
from keras_cr.presets.atomic import staging
from keras_cr.presets.manifest import MANIFEST
from keras_cr.presets.save import check_replaceable


def stored_name(wanted: str, run: str | None, overwrite: bool = False) -> str:
    """The name under which a run is stored: `wanted`, or the first free one with a number.

    A run that goes on takes the name under which it is stored already.

    Args:
        wanted: the name that is asked for.
        run: the run's own mark, from its folder; None is no run's.
        overwrite: take `wanted` whoever has it.

    Raises:
        OccupiedFolderError: what is there, and may be replaced, is no preset.
        OSError: the store can't be written to.
    """
    numbered = re.compile(rf"{re.escape(wanted)}(-\d+)?")
    kept = stored_presets() if run else ()
    own = (name for name in kept if numbered.fullmatch(name) and _run_of(name) == run)
    name = wanted if overwrite else next(own, None) or _free(wanted)
    check_replaceable(store_path(name))
    with staging(store_path(name)):  # whether it can be written to, before hours of training
        return name


def taken_message(wanted: str, name: str) -> str:
    """Why a run has another name than it asked for, and the two ways out."""
    command = _source(wanted).get("command")
    made = f" (`{command}`)" if isinstance(command, str) else ""
    return (
        f"The local store has a preset {wanted!r} of another origin{made}: this run is stored as "
        f"{name!r}. preset_name=NAME stores it under another name, overwrite=True in the place of "
        f"{wanted!r}."
    )


def _free(name: str) -> str:
    """`name`, `name-2`, `name-3`, ...: the first that nothing has."""
    free, number = name, 1
    while os.path.lexists(store_path(free)):
        number += 1
        free = f"{name}-{number}"
    return free


def _run_of(name: str) -> str | None:
    """The mark of the run that made a stored preset, if it was one."""
    run = _source(name).get("run")
    return run if isinstance(run, str) else None


def _source(name: str) -> dict:
    """What a stored preset says of its origin; nothing if it can't be read."""
    try:
        source = json.loads((store_path(name) / MANIFEST).read_text("utf-8"))["source"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}
    return source if isinstance(source, dict) else {}
