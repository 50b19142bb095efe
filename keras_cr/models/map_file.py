"""Feature maps of many images in a file that is gone when nothing needs it any more."""

import tempfile

import numpy as np


class MapFile:
    """Arrays `(B, h, w, C)` one behind the other on disk, read like one array `(N, h, w, C)`.

    The file has no name: the system removes it when it is closed, also where the process is
    killed. It is read, not mapped, so that what has been read takes none of the process' memory.

    Attributes:
        dtype: float16 or float32; what was written in the other is converted when it is read.
    """

    def __init__(self) -> None:
        self.dtype = np.dtype("float16")
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - as long-lived as this
        self._end, self._shape = 0, ()
        self._starts: list[int] = []  # in bytes, of each image
        self._dtypes: list[np.dtype] = []

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self._shape)

    def write(self, maps: np.ndarray) -> None:
        """Adds the maps of some more images, of the same size.

        Raises:
            OSError: the disk is full.
        """
        maps = np.ascontiguousarray(maps)
        left = memoryview(maps).cast("B")  # type: ignore[arg-type]
        self._file.seek(self._end)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise OSError(
                error.errno,
                f"Feature maps that `max_memory` can't hold are kept in {tempfile.gettempdir()}, "
                f"where {self._end / 1e9:.1f} GB of them found place: {error.strerror}. Free some, "
                "set TMPDIR to a folder on another disk, or take fewer images",
            ) from error
        size = maps.nbytes // len(maps)
        self._starts += range(self._end, self._end + maps.nbytes, size)
        self._dtypes += [maps.dtype] * len(maps)
        self._end += maps.nbytes
        self._shape = maps.shape[1:]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """The maps of some images, `(B, h, w, C)` in `dtype`."""
        rows = range(len(self))[rows] if isinstance(rows, slice) else rows
        found = np.empty((len(rows), *self._shape), self.dtype)
        for place, row in zip(found, rows, strict=True):
            same = self._dtypes[row] == self.dtype
            read = place if same else np.empty(self._shape, self._dtypes[row])
            self._file.seek(self._starts[row])
            left = memoryview(read).cast("B")  # type: ignore[arg-type]
            while left:
                left = left[self._file.readinto(left) :]
            if not same:
                place[...] = read
        return found
