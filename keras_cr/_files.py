"""Files that appear whole or not at all."""

import contextlib
import errno
import os
import re
import secrets
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

# What reading a zip archive raises that is cut off, or of which a bit has flipped.
DAMAGED_ZIP = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PART = re.compile(r"\..+\.[0-9a-f]{8}\.part")


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """A hidden file beside `path` to write to; at the end it takes the place of `path`.

    It is made at once, so that a place that can't be written to is met before any work. After an
    error it is gone, and what was at `path` is still there.

    Args:
        path: the file; its folder is made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        part.touch()
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def nearest_folder(folder: Path) -> Path:
    """What exists of a folder that may not exist yet: itself, or the one it would be made in."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def check_place(argument: str, path: Path, folder: Path) -> None:
    """Refuses a place where nothing can be made, by making a file without a name there.

    Args:
        argument: what names the place, for the message.
        path: what is to be written, for the message.
        folder: the folder, which may not exist yet.

    Raises:
        OSError: the nearest folder that exists takes no files, or is none.
    """
    near = nearest_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=near):
            pass
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise OSError(
            f"{argument}: {str(path)!r} can't be written, {str(near)!r} takes no files ({why}); "
            "name another place."
        ) from error


@contextlib.contextmanager
def writing_hdf5(what: str, path: Path) -> Iterator[None]:
    """Tells in one line what HDF5 says of a full disk in many.

    Args:
        what: is written, for the message.
        path: where to, for the message.

    Raises:
        OSError: the disk is full, or can't be written to for another reason.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        said = re.search(r"errno = (\d+)", str(error))
        number = int(said[1]) if said else getattr(error, "errno", None)
        if number is None:
            raise
        raise OSError(
            number, f"{what} can't be written ({os.strerror(number)})", str(path)
        ) from error


def half_written(folder: Path) -> list[Path]:
    """What a process that was killed within `whole_file` has left in a folder."""
    found = folder.iterdir() if folder.is_dir() else ()
    return [path for path in found if _PART.fullmatch(path.name) and path.is_file()]
