"""Search by one place of an image: which images show what is there, and where."""

import dataclasses
import itertools
import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence

import keras
import numpy as np

from keras_cr._numbers import square_side, whole_number
from keras_cr._progress import Verbose, tracked
from keras_cr.data import FineGrainedDataset, check_images, image_batches
from keras_cr.evaluation.features import encoder_image_size
from keras_cr.models.feature_maps import FeatureMaps
from keras_cr.search.images import Images, as_dataset, as_queries, names_of
from keras_cr.search.index import Index

CHANNELS = 128
_SAMPLE = 256  # images that the mean and the main directions are taken of
_CHUNK = 2**24  # numbers worked on at once


@dataclasses.dataclass(frozen=True, eq=False)
class PlaceMatch:
    """An image that was found, by the one of its places that is most like the query's.

    Attributes:
        name: in the collection.
        similarity: cosine of the two places' features, each less the collection's mean, -1..1.
        at: (x, y) of the place's middle, in 0..1 of the image as the encoder sees it, from its
            upper left corner.
        map: (h, w) float32, the same similarity of every place of the image.
    """

    name: str
    similarity: float
    at: Sequence[float]
    map: np.ndarray = dataclasses.field(repr=False)


class PlaceSearch:
    """Images by what is at their places: the features of every place of every image are kept.

    A place is a cell of the encoder's feature map. All features have much in common, so the mean
    over the collection is taken off before they are compared by their cosine: what a place shares
    with every other one does not count. They are kept along the `channels` main directions of a
    sample, in float16: `2 h w channels` bytes an image, which is 21 kB for `demo_squeezenet` at
    160 pixels (9 x 9 places, 128 channels) and 66 kB for DINOv2 small at 224 (16 x 16 places).
    Queries compare with all of them, some megabytes at a time.

    Made by `PlaceSearch.build` or `PlaceSearch.of`, of an index.

    Args:
        maps: what makes feature maps of images.
        names: of the images, one each.
        image_size: side in pixels that they are seen at.
        mean: what is taken off features, (C,).
        basis: the main directions that they are kept along, (C, channels).
        features: of all places along these directions, (N, h, w, channels) float16, unit length.

    Example:

    >>> places = PlaceSearch.build(encoder, "photos")
    >>> places.query("photos/bird.jpg", at=(0.4, 0.3), k=3)
    [PlaceMatch(name='bird.jpg', similarity=1.0, at=(0.39, 0.28)), ...]
    """

    def __init__(
        self,
        maps: FeatureMaps,
        names: Sequence[str],
        image_size: int,
        mean: np.ndarray,
        basis: np.ndarray,
        features: np.ndarray,
    ) -> None:
        self._maps = maps
        self._names = list(names)
        self._rows = {name: row for row, name in enumerate(self._names)}
        self._mean, self._basis = mean, basis
        self._features = features  # (N, h, w, channels), float16, unit length
        self.image_size = image_size

    @classmethod
    def build(
        cls,
        encoder: keras.Model,
        images: Images,
        names: Sequence[str] | None = None,
        image_size: int | None = None,
        channels: int | None = CHANNELS,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> "PlaceSearch":
        """Reads images and keeps the features of their places.

        Args:
            encoder: a `CommonRationaleEncoder`.
            images: as for `Index.build`: a folder, a list of files, a `FineGrainedDataset`, or
                pixels, uint8 (N, H, W, 3), RGB 0..255, which need `names`.
            names: N names; None takes the files' paths, of a folder those below it.
            image_size: side of the images in pixels; None takes the encoder's own.
            channels: numbers kept of a place's feature; None, or more than it has, keeps all.
            batch_size: images at a time.
            verbose: 0 shows no progress, 1 and `"auto"` show it on stderr; 2 in few lines.

        Raises:
            FileNotFoundError: the folder is not there or holds no image.
            UnreadableImageError: an image can't be read.
            ValueError: names or sizes don't fit.
        """
        size = encoder_image_size(encoder) if image_size is None else image_size
        size = square_side("image_size", size)
        channels = None if channels is None else whole_number("channels", channels)
        batch_size = whole_number("batch_size", batch_size)
        dataset, folder = as_dataset(images)
        names = names_of(dataset, names, folder)
        maps = FeatureMaps(encoder)
        try:
            few = np.unique(np.linspace(0, len(dataset) - 1, _SAMPLE).astype(int))
            sample = _read(maps, dataset.take(few), size, batch_size)
            mean, basis = _main_directions(sample, channels)
            batches = _read(maps, dataset, size, batch_size)
            batches = tracked(batches, "Reading places", len(dataset), verbose=verbose)
            features = _kept((_projected(batch, mean, basis) for batch in batches), len(dataset))
        except Exception:
            check_images(dataset, verbose=0)  # it names the files that can't be read
            raise
        return cls(maps, names, size, mean, basis, features)

    @classmethod
    def of(
        cls,
        index: Index,
        names: Sequence[str] | None = None,
        channels: int | None = CHANNELS,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> "PlaceSearch":
        """As `build`, of the images of an index, whose files are read again.

        Args:
            index: the index.
            names: the images that are taken; None takes all.
            channels, batch_size, verbose: as for `build`.

        Raises:
            UnreadableImageError: an image can't be read.
            ValueError: the index doesn't know its encoder, or an image.
        """
        names = index.names if names is None else list(names)
        if missing := set(names) - set(index.names):
            raise ValueError(f"`names`: {min(missing)!r} is not in the index.")
        return cls.build(
            index.encoder,
            [index.path(name) for name in names],
            names,
            index.image_size,
            channels,
            batch_size,
            verbose,
        )

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def __repr__(self) -> str:
        height, width, channels = self._features.shape[1:]
        return f"PlaceSearch({len(self):,} images, {height} x {width} places of {channels} numbers)"

    @property
    def names(self) -> list[str]:
        """The images' names, in the order in which they were given."""
        return list(self._names)

    @property
    def nbytes(self) -> int:
        """Bytes that the features take."""
        return self._features.nbytes

    def query(
        self,
        image: str | os.PathLike | np.ndarray,
        at: Sequence[float],
        k: int = 5,
        radius: int = 0,
        without: Collection[str] = (),
    ) -> list[PlaceMatch]:
        """Finds the images that have a place most like one of an image.

        Args:
            image: a file, or pixels (H, W, 3), RGB 0..255, of any size.
            at: (x, y) of the place, in 0..1 of the image as the encoder sees it: the central
                square, from its upper left corner.
            k: how many images to find at most.
            radius: places around it, to each side, whose features are averaged with its own.
            without: names that are left out.

        Returns:
            Up to `k` `PlaceMatch`es, the most similar first. An image of the collection finds
            itself.

        Raises:
            UnreadableImageError: the file can't be read.
            ValueError: `at`, `k` or `radius` leaves its range, or the image is no RGB 0..255.
        """
        single, several = as_queries(image)
        if not single:
            raise ValueError("`image` must be one image; received several.")
        dataset, _ = as_dataset(several)
        try:
            features = next(_read(self._maps, dataset, self.image_size, 1))[0]
        except Exception:
            check_images(dataset, verbose=0)  # it names the file that can't be read
            raise
        features = _projected(features, self._mean, self._basis)
        left_out = [without] if isinstance(without, str | os.PathLike) else without
        return self._nearest(features, at, k, radius, {os.fspath(name) for name in left_out})

    def similar(
        self, name: str, at: Sequence[float], k: int = 5, radius: int = 0
    ) -> list[PlaceMatch]:
        """As `query`, of an image in the collection, which is left out of its own answer.

        Args:
            name: the image's name.
            at, k, radius: as for `query`.

        Raises:
            ValueError: there is no such image; or as `query`.
        """
        if name not in self._rows:
            raise ValueError(f"`name`: {name!r} is none of the {len(self)} images.")
        features = self._features[self._rows[name]].astype("float32")
        return self._nearest(features, at, k, radius, {name})

    def _nearest(
        self, query: np.ndarray, at: Sequence[float], k: int, radius: int, without: set[str]
    ) -> list[PlaceMatch]:
        k, radius = whole_number("k", k), whole_number("radius", radius, least=0)
        height, width = query.shape[:2]
        column, row = (
            min(int(part * side), side - 1)
            for part, side in zip(_fractions(at), (width, height), strict=True)
        )
        around = (slice(max(middle - radius, 0), middle + radius + 1) for middle in (row, column))
        vector = _unit(query[tuple(around)].mean(axis=(0, 1)))
        best = np.concatenate([alike.max(axis=(1, 2)) for alike in self._similarities(vector)])
        best[[self._rows[name] for name in without if name in self._rows]] = -np.inf
        found = np.argsort(-best, kind="stable")[:k]
        found = found[np.isfinite(best[found])]
        return [self._match(row, self._features[row].astype("float32") @ vector) for row in found]

    def _match(self, image: int, alike: np.ndarray) -> PlaceMatch:
        row, column = np.unravel_index(alike.argmax(), alike.shape)
        middle = (float((column + 0.5) / alike.shape[1]), float((row + 0.5) / alike.shape[0]))
        alike = np.clip(alike, -1, 1)  # float16 rounds beyond
        return PlaceMatch(self._names[image], float(alike.max()), middle, alike)

    def _similarities(self, vector: np.ndarray) -> Iterator[np.ndarray]:
        """The similarity of a vector with every place, some images at a time, (n, h, w)."""
        step = max(_CHUNK // math.prod(self._features.shape[1:]), 1)
        for start in range(0, len(self), step):
            yield self._features[start : start + step].astype("float32") @ vector


def _projected(features: np.ndarray, mean: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Features (..., C) as they are kept, (..., channels), float32 of unit length."""
    return _unit((features - mean) @ basis)


def _kept(batches: Iterator[np.ndarray], count: int) -> np.ndarray:
    """Batches of features (n, h, w, channels) in one array of float16, (count, h, w, channels)."""
    first = next(batches)
    kept = np.empty((count, *first.shape[1:]), "float16")
    start = 0
    for batch in itertools.chain([first], batches):
        kept[start : start + len(batch)] = batch
        start += len(batch)
    return kept


def _read(
    maps: FeatureMaps, dataset: FineGrainedDataset, image_size: int, batch_size: int
) -> Iterator[np.ndarray]:
    """The feature maps of images, batch by batch, (n, h, w, C) float32."""
    size = min(batch_size, len(dataset))
    for batch in image_batches(dataset, image_size, size).as_numpy_iterator():
        padded = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])
        found = keras.ops.convert_to_numpy(maps.predict_on_batch(padded))[: len(batch)]
        found = found.astype("float32")
        if not np.isfinite(found).all():
            raise ValueError("The encoder's feature maps must be finite; check its weights.")
        yield found


def _main_directions(
    batches: Iterator[np.ndarray], channels: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """The mean (C,) of places' features, and an orthonormal basis (C, channels) of what varies."""
    count, total, products = 0, np.zeros(()), np.zeros(())
    for batch in batches:
        flat = batch.reshape(-1, batch.shape[-1]).astype("float64")
        count += len(flat)
        total = total + flat.sum(axis=0)
        products = products + flat.T @ flat
    mean = np.asarray(total / count)
    if channels is None or channels >= len(mean):
        return mean.astype("float32"), np.eye(len(mean), dtype="float32")
    _, directions = np.linalg.eigh(products / count - np.outer(mean, mean))
    return mean.astype("float32"), directions[:, : -channels - 1 : -1].astype("float32")


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _fractions(at: Sequence[float]) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in (() if isinstance(at, str | Mapping) else at))
    except (TypeError, ValueError):
        x = y = math.nan
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError(f"`at` must be (x, y), each from 0 to 1; received {at!r}.")
    return x, y
