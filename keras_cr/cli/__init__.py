"""The command line: `keras-cr COMMAND ...`, or `python -m keras_cr COMMAND ...`.

A command is a module here, listed in `COMMANDS`: its docstring is what `--help` says,
`add_arguments(parser)` declares its flags, `run(args)` does the work. What a user got wrong is
raised as a ValueError, OSError or ImportError and told in one line. Keras is imported only inside
`run`, so that help and usage errors come at once.
"""

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType

import keras_cr._environment  # noqa: F401 - it has to come before anything that imports Keras
from keras_cr._flags import flags_of, in_flags
from keras_cr._text import encodable_output, plain_warnings, printable
from keras_cr.cli import (
    cluster,
    convert,
    data,
    distill,
    embed,
    evaluate,
    explain,
    explore,
    fit,
    index,
    presets,
    rerun,
    search,
)
from keras_cr.cli._output import add_printed, printed_to
from keras_cr.version import __version__

COMMANDS = {
    "explain": explain,
    "evaluate": evaluate,
    "embed": embed,
    "index": index,
    "search": search,
    "explore": explore,
    "cluster": cluster,
    "data": data,
    "fit": fit,
    "distill": distill,
    "presets": presets,
    "convert": convert,
    "rerun": rerun,
}
_NO_MEMORY = "the memory is exhausted; give a smaller --image-size or --batch-size."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments, without the program's name; None takes the command line's.

    Returns:
        The exit status: 0; 1 for a mistake that the command met, told on stderr in one line; 130
        after Ctrl-C, 143 where a run was ended by SIGTERM.

    Raises:
        SystemExit: an argument is unknown, missing or malformed (status 2), or `--help` or
            `--version` was asked for (status 0).

    Example:

    >>> main(["embed", "photos", "--preset", "demo_squeezenet", "--output", "embeddings.npz"])
    Wrote 3 embeddings of 512 numbers to embeddings.npz.
    0
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    encodable_output()
    args = _parser().parse_args(argv)
    args.command_line = printable(shlex.join(["keras-cr", *argv]))
    try:
        printed = printed_to(getattr(args, "printed", None), getattr(args, "overwrite", False))
        with plain_warnings(), printed:
            args.run(args)
    except KeyboardInterrupt as stop:
        return getattr(stop, "exit_status", 130)
    except Exception as error:
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            error = MemoryError(_NO_MEMORY)
        elif not isinstance(error, ValueError | OSError | ImportError):
            raise
        message = printable(" ".join(str(error).split()))
        told = in_flags(message, flags_of(args.parser._actions))
        print(f"keras-cr {args.command}: error: {told}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keras-cr",
        description="Common rationales for fine-grained images: see, search, measure, fit, share.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"keras_cr {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        _add(commands, name, module)
    return parser


def _add(commands: argparse._SubParsersAction, name: str, module: ModuleType) -> None:
    title, _, details = module.__doc__.partition("\n")
    command = commands.add_parser(
        name,
        help=title,
        description=f"{title}\n{details}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(command)
    for parser in _leaves(command):
        if "--output" not in parser._option_string_actions:
            add_printed(parser)
    command.set_defaults(run=module.run, parser=command, usage_error=command.error)


def _leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of a command's actions, or of itself where it has none."""
    actions = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not actions:
        yield parser
    for action in actions:
        for choice in action.choices.values():
            yield from _leaves(choice)
