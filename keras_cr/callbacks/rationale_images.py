"""What the encoder weighs in the same few images, as it learns."""

import os
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from keras import ops

from keras_cr.callbacks._monitor import Monitor, find_encoder
from keras_cr.evaluation import Embedder
from keras_cr.visualization import rationale_grid

BATCH = 8  # images at a time: a sheet holds few


class RationaleImages(Monitor):
    """Draws the rationales of fixed images before the first epoch and every so many epochs.

    Args:
        images: (N, H, W, 3), RGB 0..255, uint8 or float. Take training images: what is chosen by
            looking at test images is no test result any more.
        path: folder for `epoch-0000.png` (before training), `epoch-0010.png` (after ten epochs)
            and so on; or None.
        tensorboard: TensorBoard's log folder, for the picture `rationales` at the number of
            epochs done; or None.
        every: epochs from one sheet to the next; the last epoch is always drawn.
        titles: N lines, one above each image.

    Raises:
        ValueError: `images` or `titles` don't fit, `every` is not a positive integer, or neither
            `path` nor `tensorboard` is given; and, when `fit` begins, the model has no encoder.
        ImportError: matplotlib or Pillow is missing; or TensorBoard, where `tensorboard` is given.

    Example:

    >>> sheets = RationaleImages(images, path="runs/birds/rationales", every=10)
    >>> pretrainer.fit(views, epochs=100, callbacks=[sheets])
    """

    def __init__(
        self,
        images: np.ndarray,
        path: str | os.PathLike | None = None,
        tensorboard: str | os.PathLike | None = None,
        every: int = 1,
        titles: Sequence[str] | None = None,
    ) -> None:
        super().__init__(every, tensorboard)
        if path is None and tensorboard is None:
            raise ValueError(
                "RationaleImages needs somewhere to draw: give `path`, a folder for PNG files, or "
                "`tensorboard`, a log folder."
            )
        self.images = np.asarray(images)
        if self.images.dtype.kind not in "uif":
            raise ValueError(
                "`images` must be an array (N, H, W, 3), RGB 0..255. Received one of dtype "
                f"{self.images.dtype}"
            )
        # What can't be drawn is refused now, not after an epoch.
        rationale_grid(self.images, np.zeros((len(self.images), 1, 1)), titles=titles)
        self.path = None if path is None else Path(path)
        self.titles = titles

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        self._embedder = Embedder(find_encoder(model))

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        if epoch == 0 and not self._is_begun():  # else this state was drawn before
            self._draw(0)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if self.due(epoch):
            self._draw(epoch + 1)

    def _is_begun(self) -> bool:
        """Whether a training that was stopped within its first epoch goes on."""
        optimizer = getattr(self.model, "optimizer", None)
        begun = optimizer is not None and bool(ops.convert_to_numpy(optimizer.iterations) > 0)
        return begun and (self.path is None or self._sheet(0).is_file())

    def _sheet(self, done: int) -> Path:
        return self.path / f"epoch-{done:04d}.png"  # type: ignore[operator]

    def _draw(self, done: int) -> None:
        maps = self._embedder.embed(self.images, BATCH, verbose=0).rationale
        file = None if self.path is None else self._sheet(done)
        sheet = rationale_grid(self.images, maps, file, titles=self.titles)
        self.writer.image("rationales", np.asarray(sheet), done)
