"""Files that appear complete or not at all, and replace earlier ones only where that is asked."""

import argparse
import contextlib
import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_cr._files import check_place, whole_file
from keras_cr.cli._arguments import add_overwrite


def check_free(paths: Sequence[Path], overwrite: bool) -> None:
    """Refuses to replace what is there; called before any work.

    Raises:
        FileExistsError: one of `paths` exists and `overwrite` is off.
    """
    taken = [str(path) for path in paths if os.path.lexists(path)]
    if taken and not overwrite:
        raise FileExistsError(
            f"--output: {', '.join(taken)} would be replaced; add --overwrite to allow that, or "
            "name another place."
        )


def check_folder(folder: Path, names: Sequence[str], overwrite: bool) -> None:
    """`check_free` for what `folder_output` writes.

    Raises:
        OSError: `folder` is a file, or can't be made or written to.
        FileExistsError: it holds one of `names` and `overwrite` is off.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"--output: {str(folder)!r} is a file; name a folder.")
    check_free([folder / name for name in names], overwrite)
    check_place("--output", folder, folder)


def check_file(path: Path, overwrite: bool) -> None:
    """`check_free` for what `whole_file` writes.

    Raises:
        OSError: `path` is a folder, or can't be made.
        FileExistsError: it exists and `overwrite` is off.
    """
    if path.is_dir():
        raise IsADirectoryError(f"--output: {str(path)!r} is a folder; name a file.")
    check_free([path], overwrite)
    check_place("--output", path, path.parent)


@contextlib.contextmanager
def folder_output(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """A hidden folder to write to; at the end its files and folders move up into `folder`.

    It lies inside `folder`, which may be all that can be written to, such as a mounted disk. After
    an error it is gone, and what was in `folder` is still there.

    Args:
        folder: the folder; it is made.
        names: all that may be written. Earlier ones are removed, those too that are not written
            this time; whatever else is in `folder` stays.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".keras-cr-", dir=folder) as hidden:
            new, old = Path(hidden, "new"), Path(hidden, "old")
            new.mkdir()
            old.mkdir()
            yield new
            for name in names:
                if os.path.lexists(folder / name):
                    os.replace(folder / name, old / name)
                if os.path.lexists(new / name):
                    os.replace(new / name, folder / name)
    except BaseException:
        if made:
            with contextlib.suppress(OSError):  # not empty: somebody else writes here too
                folder.rmdir()
        raise


def add_printed(parser: argparse.ArgumentParser) -> None:
    """-o, --output for a command that prints and writes no file of its own; for `printed_to`."""
    parser.add_argument(
        "-o",
        "--output",
        dest="printed",
        type=Path,
        metavar="FILE",
        help="write what is printed to a file instead",
    )
    add_overwrite(parser)


@contextlib.contextmanager
def printed_to(path: Path | None, overwrite: bool) -> Iterator[None]:
    """Writes what is printed inside to a file, whole or not at all; None prints it.

    What a command prints before it fails, such as the report of a folder with faults, is written
    too.

    Raises:
        IsADirectoryError, FileExistsError: as `check_file`, before anything is done.
    """
    if path is None:
        yield
        return
    path = path.expanduser()
    check_file(path, overwrite)
    text = io.StringIO()
    try:
        with contextlib.redirect_stdout(text):
            yield
    finally:
        if text.getvalue():
            with whole_file(path) as part:
                part.write_text(text.getvalue(), encoding="utf-8")
