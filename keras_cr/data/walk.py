"""Image files in folders, where links may lead anywhere: each real folder is searched once.

A link to the folder it lies in would give every image some forty times, one to the folder above
would give the images of all classes to one, and two of them would never end.
"""

import collections
import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence

from keras_cr._text import printable
from keras_cr.data.files import IMAGE_SUFFIXES, UNREAD_SUFFIXES, is_altered

_SYSTEM = ("__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information")
_NAMED = 3  # files a message names before it only counts them
SEARCHED = "that link to a folder which is searched already"
BROKEN = "that link to nothing"
IRREGULAR = "no regular file"
FORMAT = "in a format that is not read"
ALTERED = "whose name goes on after the suffix of an image"


@dataclasses.dataclass(frozen=True)
class PassedOver:
    """Something that looks like images and is not read: where it is, and why."""

    path: str
    why: str


def is_hidden(name: str) -> bool:
    """Whether files and folders of that name are none of a user's images."""
    return name.startswith(".") or name in _SYSTEM


class Walk:
    """A search through `root` and below it; each folder is entered once, whatever leads to it.

    No link leads up and out of it. What looks like images and is not taken is kept in
    `passed_over`.

    Example:

    >>> walk = Walk("photos")
    >>> paths = walk.images("photos")
    """

    def __init__(self, root: str | os.PathLike) -> None:
        self.passed_over: list[PassedOver] = []
        self._owners: dict[tuple[int, int], tuple[str, str | None]] = {}
        self.claim(root)
        above = os.path.realpath(root)
        while (upper := os.path.dirname(above)) != above:
            above = upper
            self.claim(above)

    def claim(self, folder: str | os.PathLike, owner: str | None = None) -> tuple[str, str | None]:
        """Sets a folder aside as `owner`'s, or no class's.

        Returns:
            Who has it: the path that first led there, and its owner.
        """
        return self._owners.setdefault(_identity(folder), (os.fspath(folder), owner))

    def is_claimed(self, folder: str | os.PathLike) -> bool:
        """Whether a folder has been set aside or searched, by whatever path."""
        return _identity(folder) in self._owners

    def folders(self, root: str | os.PathLike, owner: str | None = None) -> Iterator[str]:
        """`root`, unless it has been searched already, and the folders below it.

        Raises:
            ValueError: A link in a class leads to a folder of another one.
            OSError: A folder can't be read.
        """
        for folder, _ in self._search(root, owner):
            yield folder

    def images(self, root: str | os.PathLike, owner: str | None = None) -> list[str]:
        """The image files in `root` and below it, sorted; hidden ones are left out.

        Args:
            root: The folder. It is searched if nobody has claimed it, or `owner` has.
            owner: What the images belong to, such as a class; no two may share a folder.

        Raises:
            ValueError: A link in a class leads to a folder of another one.
            OSError: A folder can't be read.
        """
        found = []
        for _, files in self._search(root, owner):
            found += [entry.path for entry in files if self._is_image(entry)]
        return sorted(found)

    def loose_images(self, folder: str | os.PathLike) -> list[str]:
        """The image files in a folder itself, sorted."""
        with os.scandir(folder) as entries:
            files = [entry for entry in entries if not is_hidden(entry.name) and not _leads(entry)]  # type: ignore[arg-type]
        return sorted(entry.path for entry in files if self._is_image(entry))  # type: ignore[misc]

    def _search(
        self, root: str | os.PathLike, owner: str | None
    ) -> Iterator[tuple[str, list[os.DirEntry]]]:
        """Folders, each with its visible files; links come last, so real paths are kept."""
        folders, links, entered = [os.fspath(root)], [], set()
        while folders or links:
            is_link = not folders
            folder = (links if is_link else folders).pop()
            first, other = self.claim(folder, owner)
            if first != folder or _identity(folder) in entered:
                if other is not None and owner is not None and other != owner:
                    raise ValueError(
                        f"data_dir: {printable(folder)!r} and {printable(first)!r} are one folder, "
                        f"so its images would be of {printable(owner)!r} and of "
                        f"{printable(other)!r}; remove the link."
                    )
                if is_link:
                    self.passed_over.append(PassedOver(folder, SEARCHED))
                continue
            entered.add(_identity(folder))
            with os.scandir(folder) as entries:
                visible = [entry for entry in entries if not is_hidden(entry.name)]
            below = sorted(filter(_leads, visible), key=lambda entry: entry.path, reverse=True)
            folders += [entry.path for entry in below if not entry.is_symlink()]
            links[:0] = [entry.path for entry in below if entry.is_symlink()]
            yield folder, [entry for entry in visible if not _leads(entry)]

    def _is_image(self, entry: os.DirEntry) -> bool:
        """Whether a file is one to read; if it only looks so, it is noted."""
        is_image, why = look_at(entry.path, _is_regular(entry))
        if why:
            self.passed_over.append(PassedOver(entry.path, why))
        return is_image


def look_at(path: str, is_file: bool) -> tuple[bool, str | None]:
    """Whether a path that leads to no folder is an image to read; if it only looks so, why not.

    Args:
        path: The path.
        is_file: Whether there is a regular file.
    """
    name = os.path.basename(path).lower()
    readable = name.endswith(IMAGE_SUFFIXES)
    if is_file and not readable and is_altered(name):
        return False, ALTERED
    is_broken = not is_file and os.path.islink(path) and not os.path.exists(path)
    if not readable and not name.endswith(UNREAD_SUFFIXES):
        return False, BROKEN if is_broken and "." not in name else None  # it may be of a folder
    if is_file:
        return readable, None if readable else FORMAT
    return False, BROKEN if is_broken else IRREGULAR


def told(passed_over: Sequence[PassedOver]) -> str:
    """What was passed over, counted and named, as a sentence; empty if nothing was."""
    if not passed_over:
        return ""
    reasons = collections.defaultdict(list)
    for each in passed_over:
        reasons[each.why].append(each.path)
    parts = [f"{len(paths)} {why} ({some(paths)})" for why, paths in reasons.items()]
    ways_out = {FORMAT: "; save them as PNG or JPEG", ALTERED: "; rename the files"}
    way_out = "".join(told for why, told in ways_out.items() if why in reasons)
    things = "file or folder" if len(passed_over) == 1 else "files or folders"
    counted = f"{len(passed_over)} {things} that may hold images"
    return f"Passed over {counted}: {', '.join(parts)}{way_out}."


def some(paths: Iterable[str]) -> str:
    """The first few paths, for a message."""
    paths = sorted(paths)
    named = ", ".join(printable(path) for path in paths[:_NAMED])
    return named + (", ..." if len(paths) > _NAMED else "")


def _leads(entry: os.DirEntry) -> bool:
    """Whether it is a folder or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_regular(entry: os.DirEntry) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _identity(folder: str | os.PathLike) -> tuple[int, int]:
    found = os.stat(folder)
    return found.st_dev, found.st_ino
