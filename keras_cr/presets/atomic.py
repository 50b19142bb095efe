"""Folders that appear whole or not at all, whoever else writes and whenever the power goes.

Beside a folder `cub` two kinds of hidden siblings may lie for a moment: `.cub.new-*`, what is
being written or thrown away, and `.cub.old-*`, the folder that is about to be replaced. Only
renames touch `cub` itself, so no lock is needed: writers that meet go around once more.
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

_STALE_SECONDS = 24 * 3600
_ATTEMPTS = 100
_LOOKS = 3


@contextlib.contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """An empty sibling of `folder` to write into; whatever is left of it is removed at the end.

    Args:
        folder: the folder that is to be made; its parents are created.

    Yields:
        The sibling, on the same file system as `folder`.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    restore(folder)
    _sweep(folder)
    new = _sibling(folder, "new")
    new.mkdir()
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def replace(new: Path, folder: Path, check: Callable[[Path], None]) -> None:
    """Puts the folder `new` in the place of `folder`.

    The old folder is set aside by a rename, `new` takes its name by another, then the old one is
    deleted. When the second rename fails the old one goes back; when the process dies between the
    two, `restore` brings it back.

    Args:
        new: the finished folder, a sibling of `folder`.
        folder: the place to take; it may exist.
        check: called with `folder` before it is set aside; raises if it must not be replaced.
    """
    _sync(new)
    aside: list[Path] = []
    try:
        for attempt in range(_ATTEMPTS):
            if os.path.lexists(folder):
                check(folder)
                old = _sibling(folder, "old")
                with contextlib.suppress(FileNotFoundError):  # another writer was faster
                    os.rename(folder, old)
                    aside.append(old)
            try:
                os.rename(new, folder)
                break
            except OSError as error:  # another writer's folder came in between
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or attempt == _ATTEMPTS - 1:
                    raise
        _sync_folder(folder.parent)
    except BaseException:
        restore(folder)
        raise
    finally:
        if os.path.lexists(folder):  # else what was set aside is all there is
            for old in aside:
                _discard(old, folder)


def restore(folder: Path) -> None:
    """Brings back the folder that a writer, killed in mid-replacement, had set aside."""
    if os.path.lexists(folder):
        return
    for old in sorted(_siblings(folder, "old"), reverse=True):
        with contextlib.suppress(OSError):
            os.rename(old, folder)
            return


def settled(folder: Path) -> bool:
    """Whether `folder` exists, told rightly even while a writer replaces it or after one died."""
    for _ in range(_LOOKS):
        restore(folder)
        if folder.exists():
            return True
        time.sleep(0.01)
    return False


def _discard(old: Path, folder: Path) -> None:
    """Deletes a folder set aside, under a name by which `restore` cannot find the remains."""
    doomed = _sibling(folder, "new")
    with contextlib.suppress(OSError):
        os.rename(old, doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Deletes what killed writers left a day ago or earlier."""
    for left in (*_siblings(folder, "new"), *_siblings(folder, "old")):
        born = int(left.name.rsplit("-", 2)[1], 16)
        if time.time() - born / 1e9 > _STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def _sibling(folder: Path, kind: str) -> Path:
    """A fresh hidden name beside `folder`, with the time in it: names sort by age."""
    return folder.with_name(f".{folder.name}.{kind}-{time.time_ns():016x}-{secrets.token_hex(4)}")


def _siblings(folder: Path, kind: str) -> list[Path]:
    pattern = re.compile(rf"\.{re.escape(folder.name)}\.{kind}-[0-9a-f]{{16}}-[0-9a-f]{{8}}")
    try:
        return [path for path in folder.parent.iterdir() if pattern.fullmatch(path.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []


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
