"""Embeddings of more images than one process or one file should hold: a folder of parts.

The list of images is cut into parts of one size. Whoever has the list, the encoder and the folder
can make any of them, in any order, once more or at the same time as somebody else: a part is a
Parquet file that appears whole, and says which list and which encoder it is of.
"""

import dataclasses
import functools
import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_cr._files import half_written, whole_file
from keras_cr._numbers import whole_number
from keras_cr._optional import pyarrow_parquet
from keras_cr._text import printable

_NAME = re.compile(r"part-(\d{5,})-of-(\d{5,})\.parquet")
_OF_ALL = "of_all"  # in a part's metadata: what is the same in every part


@dataclasses.dataclass(frozen=True)
class Parts:
    """The parts of one list of images under one encoder, in a folder.

    Args:
        folder: where they are, or are to be.
        names: of all images, in their order, as every worker has them.
        size: images a part; the last may have fewer.
        about: what else the embeddings depend on, such as `encoder_fingerprint(encoder)`, text by
            name; parts in the folder that say otherwise are refused.
        notes: what parts say besides, text by name.

    Example:

    >>> parts = Parts("embeddings", names, 8192, {"encoder": encoder_fingerprint(encoder)})
    >>> for part in parts.missing():
    ...     paths = [os.path.join("photos", names[row]) for row in parts.rows(part)]
    ...     images = read_images(paths, image_size=224)
    ...     parts.write(part, paths, embed(encoder, images).embedding)
    """

    folder: str | os.PathLike
    names: Sequence[str]
    size: int
    about: Mapping[str, str]
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "size", whole_number("size", self.size))
        if not self.names:
            raise ValueError("`names` must hold an image or more; it is empty.")

    def __len__(self) -> int:
        return -(-len(self.names) // self.size)

    @functools.cached_property
    def of_all(self) -> dict[str, str]:
        """What every part says: the list, its cut, and `about`."""
        listed = hashlib.sha256()
        for name in self.names:
            listed.update(name.encode("utf-8", "surrogateescape") + b"\0")
        counts = {"images": str(len(self.names)), "images_a_part": str(self.size)}
        return {**self.about, **counts, "files": listed.hexdigest()}

    def rows(self, part: int) -> range:
        """The positions of a part's images in the list."""
        return range(part * self.size, min((part + 1) * self.size, len(self.names)))

    def path(self, part: int) -> Path:
        """The file of a part, which counts from 0."""
        return Path(self.folder) / f"part-{part:05d}-of-{len(self):05d}.parquet"

    def missing(self, shard: int = 1, shards: int = 1) -> list[int]:
        """The parts that are not there yet, of those that fall to a worker.

        Args:
            shard: which worker, from 1.
            shards: how many share the work.

        Raises:
            ValueError: the folder holds parts of another list or encoder, or cut otherwise.
        """
        for file in _files(Path(self.folder)):
            _check_same(file, self.of_all)
        own = range(shard - 1, len(self), shards)
        return [part for part in own if not self.path(part).exists()]

    def write(self, part: int, paths: Sequence[str], embedding: np.ndarray) -> Path:
        """Writes a part, whole or not at all.

        Args:
            part: its number.
            paths: of its images; those that could not be read are left out.
            embedding: `(N, C)`, a row for each.
        """
        whole, said = self.path(part), {**self.notes, **self.of_all, _OF_ALL: ",".join(self.of_all)}
        with whole_file(whole) as file:
            write_parquet(file, paths, embedding, said)
        for left in half_written(whole.parent):  # by a worker that was killed at this part
            if left.name.startswith(f".{whole.name}."):
                left.unlink(missing_ok=True)
        return whole


def read_embeddings(folder: str | os.PathLike) -> tuple[list[str], np.ndarray]:
    """Joins the parts that `keras-cr embed --shard`, or `Parts`, has written.

    Args:
        folder: of the parts.

    Returns:
        The images' paths, in the order of the list, and their embeddings `(N, C)`, float32.

    Raises:
        ValueError: parts are missing, damaged, or not of one list and one encoder.
        OSError: a part can't be read.
        ImportError: pyarrow is not installed.
    """
    folder = Path(folder)
    files = _files(folder)
    if not files:
        raise ValueError(f"`folder`: {printable(str(folder))!r} holds no parts of embeddings.")
    of_all = _said_by(files[0])
    for file in files:
        _check_same(file, of_all)
    try:
        images, size = int(of_all["images"]), int(of_all["images_a_part"])
        wanted = Parts(folder, range(images), size, {})  # type: ignore[arg-type]  # for their paths alone
    except (KeyError, ValueError) as error:
        raise _damaged(files[0]) from error
    missing = [path.name for path in map(wanted.path, range(len(wanted))) if not path.exists()]
    if missing:
        raise ValueError(
            f"`folder`: {len(missing)} of {len(wanted)} parts are missing in "
            f"{printable(str(folder))!r}, {missing[0]} for one; embed what is left."
        )
    paths, vectors = zip(*map(_read, files), strict=True)
    return [path for each in paths for path in each], np.concatenate(vectors)


def write_parquet(
    path: Path, paths: Iterable[str], embedding: np.ndarray, about: Mapping[str, str]
) -> None:
    """Writes the columns `path` and `embedding`, and `about` as the schema's metadata."""
    pyarrow, parquet = pyarrow_parquet()
    vectors = pyarrow.FixedSizeListArray.from_arrays(
        pyarrow.array(embedding.reshape(-1)), embedding.shape[1]
    )
    table = pyarrow.table({"path": list(map(printable, paths)), "embedding": vectors})
    table = table.replace_schema_metadata(dict(about))
    parquet.write_table(table, path, write_page_checksum=True)


def _files(folder: Path) -> list[Path]:
    """The parts in a folder, in their order."""
    found = folder.iterdir() if folder.is_dir() else ()
    numbers = {path: match for path in found if (match := _NAME.fullmatch(path.name))}
    return sorted(numbers, key=lambda path: int(numbers[path][1]))


def _said_by(file: Path) -> dict[str, str]:
    """What a part says of all parts.

    Raises:
        ValueError: it is no part of embeddings, or damaged.
    """
    pyarrow, parquet = pyarrow_parquet()
    try:
        said = parquet.read_schema(file).metadata or {}
        said = {key.decode(): value.decode() for key, value in said.items()}
        return {name: said[name] for name in said[_OF_ALL].split(",")}
    except (FileNotFoundError, PermissionError):
        raise
    except _unreadable(pyarrow) as error:
        raise _damaged(file) from error


def _read(file: Path) -> tuple[list[str], np.ndarray]:
    """The paths and embeddings of a part.

    Raises:
        ValueError: it is damaged.
    """
    pyarrow, parquet = pyarrow_parquet()
    try:
        table = parquet.read_table(file, page_checksum_verification=True)
        vectors = table["embedding"].combine_chunks()
        channels = vectors.type.list_size
        return table["path"].to_pylist(), vectors.flatten().to_numpy(zero_copy_only=False).reshape(
            -1, channels
        )
    except (FileNotFoundError, PermissionError):
        raise
    except _unreadable(pyarrow) as error:
        raise _damaged(file) from error


def _unreadable(pyarrow) -> tuple[type[Exception], ...]:
    """What pyarrow raises for a file that is cut off, changed or of something else."""
    return (pyarrow.ArrowException, KeyError, ValueError, AttributeError, OSError)


def _damaged(file: Path) -> ValueError:
    return ValueError(
        f"`folder`: {printable(str(file))!r} is damaged, or no part of embeddings; remove it, and "
        "embed what is left."
    )


def _check_same(file: Path, of_all: Mapping[str, str]) -> None:
    said = _said_by(file)
    names = [name for name in {**of_all, **said} if said.get(name) != of_all.get(name)]
    if names:
        told = ", ".join(f"{n} {said.get(n)!r}, not {of_all.get(n)!r}" for n in names)
        raise ValueError(
            f"`folder`: {printable(str(file))!r} is of other images or another encoder: {told}. "
            "Name another folder, or remove the parts in this one."
        )
