"""Names and warnings as text that any file, page or terminal takes."""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator


def printable(name: str | bytes | os.PathLike) -> str:
    r"""A name in which bytes that are no UTF-8 are spelled out, `m\xfcnchen.jpg`.

    Python holds such bytes as lone surrogates, which open the file and can't be written as text.
    """
    name = os.fspath(name)
    try:
        data = name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character that no file system gave
        data = name.encode("utf-8", "backslashreplace")
    return data.decode("utf-8", "backslashreplace")


def encodable_output() -> None:
    """Lets a program print any name: what the terminal's encoding lacks is spelled out."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not where a caller has put something else
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Lets a program tell what the library warns of in a line, without its place in the code."""

    def show(message, category, filename, lineno, file=None, line=None):
        if category is UserWarning and file is None:
            print(f"Warning: {' '.join(str(message).split())}", file=sys.stderr, flush=True)
        else:
            usual(message, category, filename, lineno, file, line)

    with warnings.catch_warnings():
        usual, warnings.showwarning = warnings.showwarning, show
        yield
