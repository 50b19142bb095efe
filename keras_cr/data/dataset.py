"""The one shape every source of images is read into: paths or pixels, labels, splits, places."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Literal

import numpy as np

from keras_cr.data._arguments import real, whole
from keras_cr.data.files import MAX_PIXELS, check_max_pixels
from keras_cr.data.splits import stratified_share


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
        boxes: (N, 4) x, y, width, height of the object, in pixels of the original image (turned, if
            its EXIF data say so), or None.
        masks: N paths of foreground masks, None for an image without one; or an array (N, H, W),
            bool or uint8 (foreground from half the range up); or None.
        crop_bottom: Rows at the bottom of every file, and of its mask, that are no part of the
            picture and are cut off when it is read, such as the banner of FGVC-Aircraft's.
        max_pixels: The most pixels an image file, or a mask, may have; a larger one is refused by
            its header, whoever reads it. A small file can hold a picture that fills the memory.

    Raises:
        ValueError: A field's length is not N, `labels` leave the range of `class_names`, `images`
            is an array that is not uint8 (N, H, W, 3), `crop_bottom` is negative or set for one, or
            `max_pixels` is not positive.

    Example:

    >>> dataset = read_cub("CUB_200_2011")
    >>> train, test = dataset.split("train"), dataset.split("test")
    >>> len(train), len(test), dataset.num_classes
    (5994, 5794, 200)
    >>> dataset
    FineGrainedDataset('cub_200_2011': 11,788 images (5,994 train, 5,794 test), 200 classes, boxes)
    """

    name: str
    images: list[str] | np.ndarray
    labels: np.ndarray | None
    class_names: list[str]
    is_train: np.ndarray
    boxes: np.ndarray | None = None
    masks: list[str | None] | np.ndarray | None = None
    crop_bottom: int = 0
    max_pixels: int = MAX_PIXELS

    def __post_init__(self):
        images = self.images
        if isinstance(images, np.ndarray):
            if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
                raise ValueError(
                    "images: as an array they must be uint8 of shape (N, H, W, 3); received "
                    f"{images.dtype} of shape {images.shape}."
                )
        else:
            self._set("images", [os.fsdecode(path) for path in images])
        if self.crop_bottom < 0 or (self.crop_bottom and isinstance(images, np.ndarray)):
            raise ValueError(
                "crop_bottom: must be 0 or more, and 0 for pixels in an array (slice them); "
                f"received {self.crop_bottom}."
            )
        check_max_pixels(self.max_pixels)
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
            self._set("masks", [path and os.fsdecode(path) for path in self.masks])
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

    def __repr__(self) -> str:
        train = int(self.is_train.sum())
        images = f"{len(self):,} images ({train:,} train, {len(self) - train:,} test)"
        if isinstance(self.images, np.ndarray):
            images += f" of {self.images.shape[1]} x {self.images.shape[2]} pixels"
        parts = [images, "no labels" if self.labels is None else f"{self.num_classes:,} classes"]
        if self.masks is not None:
            number = sum(mask is not None for mask in self.masks)
            parts.append("masks" if number == len(self) else f"{number:,} masks")
        if self.boxes is not None:
            parts.append("boxes")
        return f"FineGrainedDataset({self.name!r}: {', '.join(parts)})"

    def _set(self, field: str, value) -> None:
        object.__setattr__(self, field, value)

    def need_labels(self, argument: str, why: str) -> None:
        """Refuses a data set without labels.

        Args:
            argument: what the error calls the data set.
            why: what labels are needed for.

        Raises:
            ValueError: there are none.
        """
        if self.labels is None:
            raise ValueError(f"{argument}: {self.name!r} has no labels, so {why}; give it labels.")

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

    def spread(self, most: int) -> "FineGrainedDataset":
        """Returns at most so many of the images, evenly spread over all of them.

        Args:
            most: Their number, 1 or more.
        """
        if len(self) <= most:
            return self
        return self.take(np.linspace(0, len(self) - 1, most).astype(int))

    def hold_out(self, fraction: float, seed: int = 0) -> "FineGrainedDataset":
        """Returns the training images alone, a share of each class as the test split.

        Choices that are made on such a split leave the real test images unseen.

        Args:
            fraction: Share of each class that is held out, between 0 and 1; at least one image,
                and at least one stays.
            seed: Decides which.

        Returns:
            The training images in their order, `is_train` False for those held out. Its name says
            that they are training images: `"cub_200_2011 (training images, 40 % held out)"`.

        Raises:
            ValueError: `fraction` is out of range, there are no labels or no training images, or a
                class has a single training image.
        """
        seed = whole("seed", seed, least=0)
        if not 0 < real("fraction", fraction) < 1:
            raise ValueError(f"fraction: must lie between 0 and 1; received {fraction}.")
        self.need_labels("fraction", "a share of each class can't be held out")
        train = self.split("train")
        kept = np.ones(len(train), dtype=bool)
        for label in np.unique(train.labels):  # type: ignore[arg-type]
            rows = np.flatnonzero(train.labels == label)
            if len(rows) == 1:
                raise ValueError(
                    f"fraction: class {self.class_names[label]!r} of {self.name!r} has a single "
                    "training image, which can't be held out and stay; add images or leave the "
                    "class out."
                )
            # a generator for each class: its share doesn't depend on the others
            order = np.random.default_rng([seed, label]).permutation(rows)
            kept[order[: min(max(round(fraction * len(rows)), 1), len(rows) - 1)]] = False
        name = f"{self.name} (training images, {100 * fraction:.3g} % held out)"
        return dataclasses.replace(train, name=name, is_train=kept)

    def few_labels(self, fraction: float, seed: int = 0) -> "FineGrainedDataset":
        """Returns a share of each class's training images, and all test images.

        Stratified, and the same images that the protocol `few_label` draws with this seed.

        Args:
            fraction: Share of each class, in (0, 1]; at least one image of each.
            seed: Decides which.

        Returns:
            The images in their order, named `"cub_200_2011 (10 % of the labels, seed 0)"`.

        Raises:
            ValueError: `fraction` is out of range, there are no labels or no training images.

        Example:

        >>> few = train.few_labels(0.1)
        """
        seed = whole("seed", seed, least=0)
        if not 0 < real("fraction", fraction) <= 1:
            raise ValueError(f"fraction: must lie in (0, 1]; received {fraction}.")
        self.need_labels("fraction", "a share of each class can't be drawn")
        self.split("train")  # for its error
        kept = ~self.is_train
        kept[self.is_train] = stratified_share(self.labels[self.is_train], fraction, seed)
        name = f"{self.name} ({100 * fraction:.3g} % of the labels, seed {seed})"
        return dataclasses.replace(self.take(kept), name=name)

    def split_classes(self, num_train: int | None = None) -> "FineGrainedDataset":
        """Returns the same images, split by class: the first classes train, the others test.

        As metric learning uses CUB: the images of classes 1 to 100, whatever their official split,
        for training, those of 101 to 200 for testing. Labels and class names stay.

        Args:
            num_train: Number of classes that train, in the order of `class_names`; None takes half
                of them, rounded up.

        Returns:
            The images, named `"cub_200_2011 (classes 1-100 train)"`.

        Raises:
            ValueError: There are no labels, or `num_train` leaves no class on one side.

        Example:

        >>> disjoint = dataset.split_classes()
        """
        self.need_labels("num_train", "there are no classes to split by")
        if num_train is None:
            num_train = (self.num_classes + 1) // 2
        if not 0 < whole("num_train", num_train, least=0) < self.num_classes:
            raise ValueError(
                f"num_train: must be from 1 to {self.num_classes - 1}, one less than the classes "
                f"of {self.name!r}; received {num_train}."
            )
        name = f"{self.name} (classes 1-{num_train} train)"
        return dataclasses.replace(self, name=name, is_train=self.labels < num_train)  # type: ignore[arg-type]


def _integers(labels) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 1 or (len(labels) and labels.dtype.kind not in "iu"):
        raise ValueError(
            "labels: must be integers of shape (N,); received "
            f"{labels.dtype} of shape {labels.shape}."
        )
    return labels.astype("int32")
