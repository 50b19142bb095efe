"""How a recipe ends early: a mistake, or Ctrl-C, told in one line."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from keras_cr._files import NO_ROOM
from keras_cr.experiment.flags import told_in_flags


@contextlib.contextmanager
def in_one_line(*errors: type[Exception], way_on: str = "") -> Iterator[None]:
    """Ends a recipe with one line for some errors, and for Ctrl-C.

    Args:
        *errors: mistakes of the user's, or of the machine's.
        way_on: settings to add to the same command to go on after Ctrl-C, or when the disk takes
            files again.

    Raises:
        SystemExit: of status 1, 130 after Ctrl-C, or 143 after SIGTERM.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        go_on = f" Go on with the same command and {told_in_flags(way_on)}." if way_on else ""
        print(f"\nStopped.{go_on}", file=sys.stderr)
        raise SystemExit(getattr(stop, "exit_status", 130)) from stop
    except errors as error:
        if way_on and isinstance(error, OSError) and error.errno in NO_ROOM:
            told = f"{error}. Make room, and go on with the same command and {way_on}."
            raise exit_with(told) from error
        raise exit_with(error) from error


def exit_with(error: Exception | str) -> SystemExit:
    """What ends a recipe: its name and what was wrong, in one line."""
    told = " ".join(told_in_flags(error).split())
    return SystemExit(f"{Path(sys.argv[0]).name}: error: {told}")
