"""What a benchmark is as a program: flags from its function's arguments, rows as they come."""

import argparse
import importlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import keras_cr._environment  # noqa: F401  # oneDNN, the backend and the log, before TensorFlow
from benchmarks.rows import NotMeasured, Row, markdown, not_measured, stored

Benchmark = Callable[..., Iterator[Row]]


def main(benchmark: Benchmark, flags: Sequence[str] | None = None) -> None:
    """Runs a benchmark with flags, prints its rows, and writes them where `--rows` says.

    Args:
        benchmark: a generator of rows; its arguments have defaults, which are those of
            `python -m benchmarks`. A `NotMeasured` that it raises becomes a row.
        flags: of the command line; None: the process' own.
    """
    text = inspect.getdoc(inspect.getmodule(benchmark)) or ""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for each in inspect.signature(benchmark).parameters.values():
        _add_flag(parser, each.name, each.default)
    parser.add_argument("--rows", type=Path, help="a file that gets the rows, a line of JSON each")
    given = vars(parser.parse_args(flags))
    path, name = given.pop("rows"), Path(inspect.getfile(benchmark)).stem
    for number, row in enumerate(_rows(benchmark, name, given)):
        lines = markdown([(name, row)])
        print("\n".join(lines if number == 0 else lines[-1:]), flush=True)
        if path:
            with open(path, "a") as file:
                file.write(json.dumps(stored([row])[0]) + "\n")


def _rows(benchmark: Benchmark, name: str, arguments: dict) -> Iterator[Row]:
    try:
        yield from benchmark(**arguments)
    except NotMeasured as reason:
        yield not_measured(name, reason)


def _add_flag(parser: argparse.ArgumentParser, name: str, default: Any) -> None:
    flag, told = "--" + name.replace("_", "-"), "default: %(default)s"
    if isinstance(default, bool):
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=default)
    elif isinstance(default, tuple):
        kind = type(default[0])
        parser.add_argument(flag, type=kind, nargs="+", default=default, help=told)
    else:
        parser.add_argument(flag, type=type(default), default=default, help=told)


def optional(name: str) -> ModuleType:
    """A module that need not be installed.

    Raises:
        NotMeasured: it is not, or does not go with what it needs.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise NotMeasured(f"{name} is not installed") from None
    except RuntimeError as error:  # as one that was built for another version raises
        raise NotMeasured(f"{name} can't be imported: {error}") from None


def say(message: str) -> None:
    """Tells on stderr what goes on, beside the rows."""
    print(message, file=sys.stderr, flush=True)
