"""The one shape every source of images is read into: paths or pixels, labels, splits, places."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class FineGrainedDataset:
    """Images of similar things, with the labels, split and foreground known of them.

    Nothing is decoded here: `check_images`, `image_batches` and `two_views` read the images.
    Row `i` of every field belongs to image `i`.

    Args:
        name: What the dataset is called in reports, such as `"cub_200_2011"`.
        images: N file paths, or the pixels as a uint8 array (N, H, W, 3).
        labels: (N,) integers in [0, len(class_names)), or None where no image has one.
        class_names: The classes' names; `labels` index them.
        is_train: (N,) booleans: True for the training images, False for the test images.
        boxes: (N, 4) x, y, width, height of the object, in pixels of the original image, or None.
        masks: N paths of foreground masks, None for an image without one; or an array (N, H, W),
            bool or uint8 (foreground from half the range up); or None.

    Raises:
        ValueError: A field's length is not N, `labels` leave the range of `class_names`, or
            `images` is an array that is not uint8 (N, H, W, 3).

    Example:

    >>> dataset = read_cub("CUB_200_2011")
    >>> train, test = dataset.split("train"), dataset.split("test")
    >>> len(train), len(test), dataset.num_classes
    (5994, 5794, 200)
    """

    name: str
    images: list[str] | np.ndarray = dataclasses.field(repr=False)
    labels: np.ndarray | None = dataclasses.field(repr=False)
    class_names: list[str] = dataclasses.field(repr=False)
    is_train: np.ndarray = dataclasses.field(repr=False)
    boxes: np.ndarray | None = dataclasses.field(default=None, repr=False)
    masks: list[str | None] | np.ndarray | None = dataclasses.field(default=None, repr=False)

    def __post_init__(self):
        images = self.images
        if isinstance(images, np.ndarray):
            if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
                raise ValueError(
                    "images: as an array they must be uint8 of shape (N, H, W, 3); received "
                    f"{images.dtype} of shape {images.shape}."
                )
        else:
            self._set("images", [str(path) for path in images])
        self._set("class_names", list(self.class_names))
        self._set("is_train", np.asarray(self.is_train, dtype=bool))
        if self.labels is not None:
            self._set("labels", _integers(self.labels))
        if self.boxes is not None:
            boxes = np.asarray(self.boxes, dtype="float32")
            if boxes.ndim != 2 or boxes.shape[1] != 4:
                raise ValueError(f"boxes: must be of shape (N, 4); received {boxes.shape}.")
            self._set("boxes", boxes)
        if self.masks is not None and not isinstance(self.masks, np.ndarray):
            self._set("masks", [None if path is None else str(path) for path in self.masks])
        for field in ("labels", "is_train", "boxes", "masks"):
            value = getattr(self, field)
            if value is not None and len(value) != len(images):
                raise ValueError(f"{field}: {len(value)} rows for {len(images)} images.")
        if self.labels is not None and len(self.labels):
            low, high = int(self.labels.min()), int(self.labels.max())
            if low < 0 or high >= self.num_classes:
                raise ValueError(
                    f"labels: must lie in [0, {self.num_classes}), one for each of class_names; "
                    f"received labels from {low} to {high}."
                )

    def _set(self, field: str, value) -> None:
        object.__setattr__(self, field, value)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def num_classes(self) -> int:
        """The number of classes, those without an image in this subset included."""
        return len(self.class_names)

    def split(self, name: Literal["train", "test"]) -> "FineGrainedDataset":
        """Returns the training or the test images.

        Args:
            name: `"train"` or `"test"`.

        Raises:
            ValueError: `name` is another word, or the split holds no image.
        """
        if name not in ("train", "test"):
            raise ValueError(f"name: must be 'train' or 'test'; received {name!r}.")
        rows = np.flatnonzero(self.is_train == (name == "train"))
        if not len(rows):
            raise ValueError(
                f"name: the {name} split of {self.name!r} is empty, all {len(self)} images are in "
                "the other one; give the data a split, such as read_image_folder's test_fraction."
            )
        return self.take(rows)

    def take(self, indices: Sequence[int] | np.ndarray) -> "FineGrainedDataset":
        """Returns the images at `indices`, in that order.

        Args:
            indices: Positions in [-N, N), or N booleans.

        Raises:
            IndexError: A position lies outside the dataset.
        """
        rows = np.arange(len(self))[np.asarray(indices, dtype=None if len(indices) else int)]

        def pick(values):
            if values is None or isinstance(values, np.ndarray):
                return values if values is None else values[rows]
            return [values[row] for row in rows]

        fields = ("images", "labels", "is_train", "boxes", "masks")
        return dataclasses.replace(self, **{field: pick(getattr(self, field)) for field in fields})

    def foreground(self, image_size: int) -> np.ndarray | None:
        """Returns where the object is, in the geometry of `image_batches(self, image_size, ...)`.

        The masks say it where an image has one, else its box. All of it is held in memory
        (200 KB an image at 224 pixels); `foreground_batches` gives it batch by batch.

        Args:
            image_size: Side of the maps in pixels.

        Returns:
            (N, image_size, image_size) float32, 1 on the object and 0 elsewhere, or None where
            the dataset has neither masks nor boxes.

        Raises:
            ValueError: Some images, but not all, have neither a mask nor a box.
        """
        from keras_cr.data.images import foreground_batches

        batches = foreground_batches(self, image_size, batch_size=64)
        if batches is None:
            return None
        empty = np.zeros((0, image_size, image_size), "float32")
        return np.concatenate([empty, *batches.as_numpy_iterator()])


def _integers(labels) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 1 or (len(labels) and labels.dtype.kind not in "iu"):
        raise ValueError(
            "labels: must be integers of shape (N,); received "
            f"{labels.dtype} of shape {labels.shape}."
        )
    return labels.astype("int32")
