"""Folders whose files change all at once, whoever else writes and whenever the power goes.

What is new is written into a hidden folder first. Where `cub` does not exist yet, the hidden folder
lies beside it and takes its name. Where `cub` exists, it stays: it may be a mount point or
somebody's current directory, and what others keep in it is not ours. There the hidden folder lies
inside and takes the name `.keras-cr.moving`; from then on the new files are what counts, and they
move up one by one, preset.json last. Whoever finds `.keras-cr.moving` moves up what is left of it
before doing anything else, so that a writer that was killed is seen by nobody.

Nothing but renames touches `cub`, so no lock is needed: `.keras-cr.moving` is there once, a new one
takes its place only when it is empty, and writers that meet go around once more.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from keras_cr.presets.errors import PresetError, brief, shown
from keras_cr.presets.manifest import CONFIG, MANIFEST, WEIGHTS, is_weights

_MOVING = ".keras-cr.moving"
_NEW = re.compile(r"\.keras-cr\.new-([0-9a-f]{16})-[0-9a-f]{8}")
_STALE_SECONDS = 24 * 3600
_ATTEMPTS = 100
_LOOKS = 3
# What systems put into folders, beside hidden files.
_LITTER = {"desktop.ini", "thumbs.db", "ehthumbs.db", "lost+found", "$recycle.bin", "icon\r"}
_LITTER |= {"system volume information", "@eadir"}


def absolute(folder: str | os.PathLike) -> Path:
    """The folder that a path means, links followed, whether it exists or not.

    Raises:
        PresetError: links lead in a circle, or the path can't be one.
    """
    try:
        path = Path(folder).expanduser().resolve()
        path.exists()  # where a name is too long, it is met here
    except PermissionError:
        return path
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or brief(error)
        received = shown(os.fspath(folder))
        raise PresetError(f"folder can't be found: {why}; received {received}.") from error
    return path


def is_litter(name: str) -> bool:
    """Whether a file is hidden, or one that operating systems put into folders."""
    return name.startswith(".") or name.lower() in _LITTER


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """An empty hidden folder to write into; whatever is left of it is removed at the end.

    Args:
        folder: the folder that is to be made or changed; its parents are created.

    Yields:
        A folder on the same file system: inside `folder` where that exists, else beside it.

    Raises:
        OSError: `folder` can't be written to.
    """
    made = [parent for parent in folder.parents if not parent.exists()]
    try:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            restore(folder)
            place = folder if folder.is_dir() else folder.parent
            sweep(place)
            new = place / f".keras-cr.new-{time.time_ns():016x}-{secrets.token_hex(4)}"
            new.mkdir()
        except OSError as error:
            told = f"the folder can't be written to, save elsewhere ({error.strerror})"
            raise type(error)(error.errno, told, str(folder)) from error
        try:
            yield new
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except BaseException:
        for parent in made:  # the nearest first
            with contextlib.suppress(OSError):  # not empty: somebody else writes there too
                parent.rmdir()
        raise


def replace(new: Path, folder: Path, check: Callable[[Path], None]) -> None:
    """Puts the files of the folder `new` in the place of those in `folder`.

    Args:
        new: the finished folder, from `staging(folder)`.
        folder: the place to take; it may exist.
        check: called with `folder` where it exists; raises if its files must not be replaced.

    Raises:
        OSError: the files can't be replaced; then the old ones are still there, unless the system
            refuses some and not others. In that case the rest moves when it is next looked at.
    """
    _sync(new)
    for attempt in range(_ATTEMPTS):
        exists = os.path.lexists(folder)
        if exists:
            check(folder)
            _move_up(folder)  # what another writer has left there
        target = folder / _MOVING if exists else folder
        try:
            os.rename(new, target)
        except OSError as error:  # another writer came in between
            met = error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT) and new.exists()
            if moving := stuck(folder):
                told = "the folder holds files that no save has left there; remove it"
                raise OSError(error.errno, told, moving) from error
            if not met or attempt == _ATTEMPTS - 1:
                raise
            continue
        _sync_folder(target.parent)
        if exists:
            _finish(new, folder)
        return


def restore(folder: Path) -> None:
    """Finishes what a writer, killed in the middle, has begun."""
    with contextlib.suppress(OSError):
        _move_up(folder)


def settled(folder: Path) -> bool:
    """Whether `folder` exists, told when no writer is in the middle of changing it."""
    for _ in range(_LOOKS):
        restore(folder)
        if folder.exists() and not is_moving(folder):
            return True
        time.sleep(0.01)
    return folder.exists()


def is_moving(folder: Path) -> bool:
    """Whether files of `folder` are being replaced, or were when a writer was killed."""
    moving = folder / _MOVING
    return moving.is_dir() and not moving.is_symlink()  # a link would take files from elsewhere


def _move_up(folder: Path) -> None:
    """Moves the files in `.keras-cr.moving` to where they belong, and removes it.

    Others may do the same at the same time: each file is moved by one of them.
    """
    if not is_moving(folder):
        return
    moving = folder / _MOVING
    for name in _ordered(moving):
        with contextlib.suppress(FileNotFoundError):  # moved already
            os.replace(moving / name, folder / name)
    with contextlib.suppress(OSError):  # removed already, or the next writer's
        moving.rmdir()


def _ordered(moving: Path) -> list[str]:
    """The files to move. The weights first: they are the most likely to be open elsewhere."""
    try:
        more = sorted({path.name for path in moving.iterdir() if is_weights(path.name)} - {WEIGHTS})
    except OSError:  # moved already
        more = []
    return [WEIGHTS, *more, CONFIG, MANIFEST]


def stuck(folder: Path) -> str | None:
    """The folder in which files are that no writer has left, and that no move takes away."""
    moving = folder / _MOVING
    try:
        strange = {path.name for path in moving.iterdir()} - {*_ordered(moving)}
    except OSError:
        return None
    return str(moving) if is_moving(folder) and strange else None


def _finish(new: Path, folder: Path) -> None:
    """Moves up what `new` has become, or takes it back as long as none of its files has moved."""
    moving = folder / _MOVING
    try:
        _move_up(folder)
    except OSError:
        with contextlib.suppress(OSError):
            if (moving / WEIGHTS).exists():
                os.rename(moving, new)
        raise
    _sync_folder(folder)


def sweep(place: Path, stale_seconds: float = _STALE_SECONDS) -> None:
    """Deletes what killed writers have left in a folder.

    Args:
        place: the folder, which may not exist.
        stale_seconds: how long ago they began, or longer; 0 where nobody else can be writing.
    """
    for left in place.iterdir() if place.is_dir() else ():
        born = _NEW.fullmatch(left.name)
        if born and time.time() - int(born[1], 16) / 1e9 >= stale_seconds:
            shutil.rmtree(left, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Makes sure that a folder and its files are on the disk, not only in its cache."""
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some systems do not open folders, or do not sync them
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
