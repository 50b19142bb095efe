"""What the library says of its arguments, told in the flags of a command line.

An error of the library names an argument as Python knows it, `` `image_size` `` or `skip_bad=True`;
who meets it at a command line has to type `--image-size` and `--skip-bad`. Here alone one becomes
the other.
"""

import argparse
import re
from collections.abc import Iterable, Mapping

_OTHER_NAMES = {"local_files_only": "offline"}  # arguments whose flags are called otherwise
_INSIDE = re.compile(r"(?:`(\w+)`|(--[\w-]+)): (?=`)")
_ABOUT = re.compile(r"(\w+): ")
_VALUE = re.compile(
    r"""`?\b(?P<name>\w+)=(?P<value>'[^']*'|"[^"]*"|[\w./@:+-]*[\w/]|(?=[\s,;.)`]|$))`?"""
)
_NAME = re.compile(r"`(\w+)`")


def flags_of(actions: Iterable[argparse.Action]) -> dict[str, tuple[str, bool]]:
    """{argument: (its flag, whether that is a switch)} of a parser's actions, and of its commands'.

    An argument without a flag goes by the name that `--help` gives it, such as `IMAGES`.
    """
    flags: dict = {}
    for action in actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                flags |= flags_of(command._actions)
            continue
        longest = max(action.option_strings, key=len, default=action.metavar or action.dest)
        flags[action.dest] = longest, action.nargs == 0
    flags |= {name: flags[flag] for name, flag in _OTHER_NAMES.items() if flag in flags}
    return flags


def in_flags(message: str, flags: Mapping[str, tuple[str, bool]]) -> str:
    """A message of the library with the flags of a command line in place of arguments.

    Args:
        message: an error or a warning.
        flags: what `flags_of` returned; other arguments stay as they are. Of a message that begins
            with one and goes on with another, `` `rationale_options`: `k` must be positive``, the
            second is something inside of the first and stays too.

    Example:

    >>> parser = argparse.ArgumentParser()
    >>> size = parser.add_argument("--image-size")
    >>> skip = parser.add_argument("--skip-bad", action="store_true")
    >>> in_flags("`image_size` must be given, or skip_bad=True", flags_of(parser._actions))
    '--image-size must be given, or --skip-bad'
    """
    if inside := _INSIDE.match(message):
        return _flag(inside, flags) + message[inside.end() - 2 :]
    if (about := _ABOUT.match(message)) and about[1] in flags:
        message = flags[about[1]][0] + message[about.end() - 2 :]
    message = _VALUE.sub(lambda found: _with_value(found, flags), message)
    return _NAME.sub(lambda found: _flag(found, flags), message)


def _flag(found: re.Match, flags: Mapping[str, tuple[str, bool]]) -> str:
    if found[1] in flags:
        return flags[found[1]][0]
    return found[0].removesuffix(": ")


def _with_value(found: re.Match, flags: Mapping[str, tuple[str, bool]]) -> str:
    if found["name"] not in flags:
        return found[0]
    flag, switch = flags[found["name"]]
    value = found["value"].strip("'\"")
    if switch:
        return flag if value == "True" else f"no {flag}"
    return f"{flag} {value}".rstrip()
