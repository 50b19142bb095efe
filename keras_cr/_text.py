"""File names as text that any file, page or terminal takes."""

import os
import sys


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
