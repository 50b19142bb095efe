"""Decoded images, kept so that each file is decoded once: in memory, or in a folder.

What is kept are the pixels as `load_image` gives them, so every view is the same with and without a
cache. In memory they stay as long as their dataset object. In a folder they serve later runs too:
a file's name there is a digest of the image's path, size and time of change, and of all else that
decides its pixels, so a changed image is decoded anew. A file appears there whole or not at all.
Nothing is removed but what a killed run left unfinished; delete the folder to be rid of it.
"""

import contextlib
import hashlib
import math
import os
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.decode import load_image
from keras_cr.data.files import MAX_PIXELS, UnreadableImageError

MEMORY = "memory"
_UNFINISHED = ".part"  # the suffix of a file that is being written
_ABANDONED = 3600  # seconds after which nobody is writing it any more
_SAMPLE = 8  # images decoded to estimate the size of all
_TABLES = weakref.WeakKeyDictionary()  # dataset -> what is kept of it in memory

ReadImage = Callable[[tf.Tensor], tf.Tensor]


def cached(read: ReadImage, dataset: FineGrainedDataset, cache: str | os.PathLike) -> ReadImage:
    """Returns `read` with a memory: the same images, each decoded when it is first asked for.

    Args:
        read: Position in the dataset -> (H, W, 3) uint8 image, in graphs.
        dataset: The images, as paths.
        cache: `"memory"` or a folder.

    Raises:
        OSError: An image file is missing.
        ValueError: As for `check_cache`.
    """
    check_cache(dataset, cache)
    find, keep = _in_memory(dataset) if cache == MEMORY else _in_folder(dataset, Path(cache))

    def cached_read(index):
        row = tf.cast(index, tf.int64)
        kept = find(row)

        def decode():
            image = read(index)
            with tf.control_dependencies([keep(row, tf.io.serialize_tensor(image))]):
                return tf.identity(image)

        is_new = tf.strings.length(kept) == 0
        image = tf.cond(is_new, decode, lambda: tf.io.parse_tensor(kept, tf.uint8))
        return tf.ensure_shape(image, (None, None, 3))

    return cached_read


def check_cache(dataset: FineGrainedDataset, cache: str | os.PathLike | None) -> None:
    """Checks that a dataset's images can be kept, before anything depends on it; makes the folder.

    Args:
        dataset: The images; pixels in an array need no cache, and pass.
        cache: `"memory"`, a folder, or None.

    Raises:
        OSError: An image file is missing.
        ValueError: `cache` is nothing of these, its folder can't be written, or the decoded images
            are larger than the machine's memory or than what is free on the folder's disk.
    """
    if cache is None:
        return
    if not isinstance(cache, str | os.PathLike) or not os.fspath(cache):
        raise ValueError(f"cache: must be 'memory', a folder or None; received {cache!r}.")
    folder = None if cache == MEMORY else _writable(Path(cache))
    if isinstance(dataset.images, np.ndarray):
        return
    if folder is None:
        new = [] if dataset in _TABLES else dataset.images
        room, where, way_out = _memory(), "this machine has", "name a folder in its place"
    else:
        files = _files(dataset, folder)
        new = [dataset.images[row] for row in np.flatnonzero(~_exist(files))]
        room, where = shutil.disk_usage(folder).free, f"are free in {str(folder)!r}"
        way_out = "name a folder on another disk"
    needed = _decoded_bytes(new, dataset.crop_bottom, dataset.max_pixels)
    if room is not None and needed > room:
        raise ValueError(
            f"cache: {len(new)} images of {dataset.name!r} decoded take {needed / 1e9:.2g} GB, "
            f"and {room / 1e9:.2g} GB {where}; {way_out}, make the files' images smaller, or leave "
            f"the cache out. Received {cache!r}."
        )


def _in_memory(dataset: FineGrainedDataset) -> tuple[Callable, Callable]:
    """How to find and to keep serialized pixels by their row; empty ones were not kept yet."""
    if dataset not in _TABLES:
        _TABLES[dataset] = _table()
    table = _TABLES[dataset]
    return table.lookup, table.insert


def _in_folder(dataset: FineGrainedDataset, folder: Path) -> tuple[Callable, Callable]:
    """As `_in_memory`, in the files of a folder."""
    files = _files(dataset, folder)
    table = _table()  # row -> its file, once that is there
    rows = np.flatnonzero(_exist(files))
    table.insert(rows.astype("int64"), tf.constant([files[row] for row in rows], tf.string))

    def write(row, data):
        file = files[row]
        part = f"{file}.{os.getpid()}.{threading.get_ident()}{_UNFINISHED}"
        try:
            Path(part).write_bytes(data)
            os.replace(part, file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.remove(part)
            raise OSError(
                f"cache: {file!r} can't be written ({error.strerror}); free some space, or name "
                "another folder."
            ) from error
        return os.fsencode(file)

    def find(row):
        file = table.lookup(row)
        return tf.cond(file == "", lambda: tf.constant(""), lambda: tf.io.read_file(file))

    def keep(row, data):
        return table.insert(row, tf.reshape(tf.numpy_function(write, [row, data], tf.string), ()))

    return find, keep


def _table() -> tf.lookup.experimental.MutableHashTable:
    with tf.device("CPU:0"):
        return tf.lookup.experimental.MutableHashTable(tf.int64, tf.string, default_value="")


def _files(dataset: FineGrainedDataset, folder: Path) -> list[str]:
    """The files that keep the images, in their order."""
    files = []
    for path in dataset.images:
        status = os.stat(path)
        image = (os.path.abspath(path), status.st_size, status.st_mtime_ns)
        decides = (*image, dataset.crop_bottom, tf.__version__)
        name = hashlib.sha256(repr(decides).encode()).hexdigest()
        files.append(os.path.join(folder, name))
    return files


def _exist(files: list[str]) -> np.ndarray:
    return np.array([os.path.exists(file) for file in files], bool)


def _writable(folder: Path) -> Path:
    """Makes the folder, and removes what killed runs left unfinished in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"cache: the folder {str(folder)!r} can't be written ({error.strerror}); name another "
            "one, or 'memory'."
        ) from error
    for part in folder.glob(f"*{_UNFINISHED}"):
        with contextlib.suppress(OSError):  # another process may be quicker
            if time.time() - part.stat().st_mtime > _ABANDONED:
                part.unlink()
    return folder


def _decoded_bytes(paths: list[str], crop_bottom: int, max_pixels: int = MAX_PIXELS) -> float:
    """About what the images take as pixels, by a sample of them."""
    sizes = []
    for row in np.linspace(0, len(paths) - 1, min(len(paths), _SAMPLE), dtype=int):
        with contextlib.suppress(UnreadableImageError):  # told of where all images are checked
            sizes.append(math.prod(load_image(paths[row], crop_bottom, max_pixels).shape))
    return len(paths) * sum(sizes) / max(len(sizes), 1)


def _memory() -> int | None:
    """Bytes of memory this process may have at most, where the system tells."""
    limits = []
    with contextlib.suppress(AttributeError, ValueError, OSError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(ValueError, OSError):  # "max" is no number
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(limits, default=None)
