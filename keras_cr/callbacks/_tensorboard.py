"""Scalars and pictures for TensorBoard."""

import importlib.util
import os
from collections.abc import Mapping
from typing import Any

import numpy as np


class SummaryWriter:
    """Writes event files into a folder, opened at the first entry; without a folder, nothing.

    Every entry is flushed: what a killed run has shown stays.

    Args:
        folder: the log folder, or None.

    Raises:
        ImportError: a folder is named and TensorBoard is missing.
    """

    def __init__(self, folder: str | os.PathLike | None) -> None:
        if folder is not None and importlib.util.find_spec("tensorboard") is None:
            raise ImportError(
                "`tensorboard` names a log folder, and writing to it needs TensorBoard: "
                'pip install "keras-cr[tensorboard]"'
            )
        self.folder = folder
        self._writer: Any = None

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Writes numbers by name."""
        for name, value in values.items():
            self._write("scalar", name, value, step)

    def image(self, name: str, picture: np.ndarray, step: int) -> None:
        """Writes one picture, (height, width, 3) uint8."""
        self._write("image", name, picture[None], step)

    def close(self) -> None:
        """Ends the event file; a later entry begins another."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, kind: str, name: str, data, step: int) -> None:
        if self.folder is None:
            return
        import tensorflow as tf

        if self._writer is None:
            self._writer = tf.summary.create_file_writer(os.fspath(self.folder))
        with self._writer.as_default():
            getattr(tf.summary, kind)(name, data, step=step)
        self._writer.flush()
