"""An index of images: built once with an encoder, then asked for what is like an image."""

import dataclasses
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_cr._numbers import square_side, whole_number
from keras_cr._progress import Verbose, tracked
from keras_cr._types import ArrayLike
from keras_cr.data import check_images, image_batches
from keras_cr.evaluation.embed import Embedder
from keras_cr.evaluation.features import encoder_image_size
from keras_cr.models import encoder_fingerprint
from keras_cr.search.about import About
from keras_cr.search.exact import ExactStore
from keras_cr.search.groups import ALIKE, near_duplicates
from keras_cr.search.images import Images, as_dataset, as_queries, below, columns_of, names_of
from keras_cr.search.lance import LanceStore
from keras_cr.search.store import Store, Where, like


@dataclasses.dataclass(frozen=True)
class Match:
    """An image that was found.

    Attributes:
        name: in the index.
        similarity: cosine similarity with the query, -1..1.
        metadata: the image's value in every column.
    """

    name: str
    similarity: float
    metadata: dict[str, Any] = dataclasses.field(default_factory=dict)


class Index:
    """Images by what an encoder sees in them.

    Made by `Index.build`; `save` and `load` keep it. Exact unless it lies in a folder of LanceDB's
    (`Index.build(..., store="photos.lance")`), for collections that memory does not hold.

    Args:
        encoder: what embeds; None: it is loaded when an image is asked for.
        store: the embeddings and the metadata.
        about: which encoder it was, at which size, and where the images lie.

    Example:

    >>> index = Index.build(encoder, "photos", {"class": ["Lory", "Macaw", "Macaw"]})
    >>> index.query("photos/bird.jpg", k=3)
    [Match(name='bird.jpg', similarity=1.0, metadata={'class': 'Lory'}), ...]
    >>> index.save("photos.index")
    >>> Index.load("photos.index", encoder).query(other, where={"class": ["Lory", "Macaw"]})
    """

    def __init__(self, encoder: keras.Model | None, store: Store, about: About) -> None:
        self._embedder = None if encoder is None else Embedder(encoder)
        self._store = store
        self._about = about

    @classmethod
    def build(
        cls,
        encoder: keras.Model,
        images: Images,
        metadata: Mapping[str, Sequence] | None = None,
        names: Sequence[str] | None = None,
        image_size: int | None = None,
        batch_size: int = 64,
        preset: str | None = None,
        folder: str | os.PathLike | None = None,
        store: str | os.PathLike | None = None,
        verbose: Verbose = "auto",
    ) -> "Index":
        """Embeds images and keeps their embeddings.

        Args:
            encoder: a `CommonRationaleEncoder`.
            images: a folder, searched with all folders below it; a list of files; a
                `FineGrainedDataset`, whose classes become the column `"class"`; or pixels, uint8
                (N, H, W, 3), RGB 0..255, which need `names`.
            metadata: columns of your own: name -> N texts, numbers or booleans.
            names: N names; None takes the files' paths, of a folder those below it.
            image_size: side of the images in pixels; None takes the encoder's own.
            batch_size: images at a time.
            preset: what `from_preset` loads this encoder by, so that `Index.load` can.
            folder: what names start below, for files that are given as a list or a data set.
            store: a new folder for LanceDB; None keeps the embeddings in memory.
            verbose: 0 shows no progress, 1 and `"auto"` show it on stderr; 2 in few lines.

        Raises:
            FileNotFoundError: the folder is not there or holds no image.
            FileExistsError: `store` is there already.
            ImportError: `store` is given and LanceDB is missing.
            UnreadableImageError: an image can't be read.
            ValueError: names, metadata or sizes don't fit.
        """
        size = encoder_image_size(encoder) if image_size is None else image_size
        dataset, named = as_dataset(images)
        folder = named if folder is None else os.path.abspath(os.path.expanduser(folder))
        size = square_side("image_size", size)
        about = About(encoder_fingerprint(encoder), size, preset, folder)
        place = ExactStore() if store is None else LanceStore.create(store, about.as_dict())
        index = cls(encoder, place, about)  # type: ignore[arg-type]
        try:
            index.add(dataset, metadata, names, batch_size, verbose)
        except BaseException:
            if store is not None:
                place.discard_if_empty()
            raise
        return index

    def __len__(self) -> int:
        return len(self._store)

    def __contains__(self, name: str) -> bool:
        return bool(self._store.known([name]))

    def __repr__(self) -> str:
        columns = ", ".join(self._store.columns) or "no metadata"
        return f"Index({len(self):,} images, {columns})"

    @property
    def names(self) -> list[str]:
        """The images' names, in the order in which they were added."""
        return self._store.names()

    @property
    def columns(self) -> list[str]:
        """Names of the metadata."""
        return list(self._store.columns)

    @property
    def embeddings(self) -> np.ndarray:
        """(N, C) float32, unit length, in the order of `names`."""
        return self._store.vectors()

    @property
    def encoder(self) -> keras.Model:
        """The encoder; one that was not given is loaded by the preset the index remembers.

        Raises:
            ValueError: none was given and no preset is known, or the preset is another encoder.
        """
        if self._embedder is None:
            self._embedder = Embedder(self._about.load_encoder())
        return self._embedder.encoder

    def path(self, name: str) -> str:
        """The file of an image: its name, within the folder that the index was built of."""
        return self._about.path(name)

    def name_of(self, path: str | os.PathLike) -> str | None:
        """The name of a file in the index; None where it isn't there."""
        names = [os.fspath(path), below(os.fspath(path), self._about.folder)]
        return next((name for name in names if name in self), None)

    def metadata(self, name: str) -> dict[str, Any]:
        """An image's value in every column.

        Raises:
            ValueError: there is no such image.
        """
        self._check_there([name])
        return self._store.values([name])[0]

    def add(
        self,
        images: Images,
        metadata: Mapping[str, Sequence] | None = None,
        names: Sequence[str] | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> None:
        """Embeds more images; the arguments are those of `build`.

        In memory all are added or none. A folder of LanceDB's gets 8,192 at a time, and keeps those
        if the rest can't be read.

        Raises:
            UnreadableImageError: an image can't be read.
            ValueError: a name is there already, or the columns are others or of other types.
        """
        dataset, _ = as_dataset(images)
        names = names_of(dataset, names, self._about.folder)
        columns = columns_of(dataset, metadata)
        if known := self._store.known(names):
            raise ValueError(
                f"`images`: {min(known)!r} is in the index already; remove it first, or give the "
                "images other `names`."
            )
        if self._store.width is not None:
            if set(columns) != set(self.columns):
                raise ValueError(
                    f"`metadata` must have the index's columns, {self.columns}; received "
                    f"{sorted(columns)}."
                )
            kinds = self._store.columns
            columns = {name: like(name, values, kinds[name]) for name, values in columns.items()}
        step = self._store.at_once or len(dataset)
        for start in range(0, len(dataset), step):
            rows = slice(start, min(start + step, len(dataset)))
            embedding = self._embed(dataset.take(range(rows.start, rows.stop)), batch_size, verbose)
            part = {name: values[rows] for name, values in columns.items()}
            self._store.add(names[rows], embedding, part)

    def remove(self, names: str | Collection[str]) -> None:
        """Removes images by their names.

        Raises:
            ValueError: one of them is not there; then none is removed.
        """
        names = [names] if isinstance(names, str) else list(names)
        self._check_there(names)
        self._store.remove(names)

    def query(self, images: Any, k: int = 5, where: Where | None = None) -> Any:
        """Finds the images most like an image.

        Args:
            images: a file, or pixels (H, W, 3), RGB 0..255, of any size; or several: a list of
                files, or (Q, H, W, 3).
            k: how many to find at most.
            where: {column: a value, or a list of values}: what the found ones must have.

        Returns:
            A list of up to `k` `Match`es, nearest first; for several images a list of such lists.
            An image that is in the index finds itself.

        Raises:
            ValueError: `k` is not positive, a column is unknown, the images are no RGB 0..255, or
                the encoder is not the one that the index was built with.
        """
        single, several = as_queries(images)
        dataset, _ = as_dataset(several)
        found = self.nearest(self._embed(dataset, verbose=0), k, where)
        return found[0] if single else found

    def similar(self, name: str, k: int = 5, where: Where | None = None) -> list[Match]:
        """As `query`, of an image in the index, which is left out of its own answer.

        Raises:
            ValueError: there is no such image; or as `query`.
        """
        self._check_there([name])
        k = whole_number("k", k)
        found = self.nearest(self._store.vectors([name]), k + 1, where)[0]
        return [match for match in found if match.name != name][:k]

    def nearest(
        self, embeddings: ArrayLike, k: int = 5, where: Where | None = None
    ) -> list[list[Match]]:
        """As `query`, of embeddings (Q, C), of any length."""
        k = whole_number("k", k)
        queries = np.atleast_2d(np.asarray(embeddings, "float32"))
        if not len(self):
            return [[] for _ in queries]
        if queries.ndim != 2 or queries.shape[1] != self._store.width:
            raise ValueError(
                f"`embeddings` must have shape (Q, {self._store.width}); received {queries.shape}."
            )
        queries = queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-12)
        found = self._store.search(queries, k, where)
        names = list({name for each in found for name, _ in each})
        values = dict(zip(names, self._store.values(names), strict=True)) if self.columns else {}
        return [
            [Match(name, float(alike), values.get(name, {})) for name, alike in each]
            for each in found
        ]

    def duplicates(self, similarity: float = ALIKE, verbose: Verbose = "auto") -> list[list[str]]:
        """Groups of images that are the same or nearly so, by their names.

        See `near_duplicates`; the images' files are read again.
        """
        names = self.names
        if len(names) < 2:
            return []
        groups = near_duplicates([self.path(name) for name in names], similarity, verbose=verbose)
        return [[names[row] for row in group] for group in groups]

    def make_approximate(self) -> None:
        """Builds LanceDB's inverted file, for more images than can be compared one by one.

        Queries then look at some parts of it, so they are faster and may miss some. What is added
        later is compared one by one until this is called again.

        Raises:
            ValueError: the index is in memory, or has fewer than 256 images.
        """
        if isinstance(self._store, ExactStore):
            raise ValueError("An index in memory is exact; build it with `store`, a folder.")
        self._store.make_approximate()  # type: ignore[attr-defined]

    def save(self, path: str | os.PathLike) -> None:
        """Writes the index to one file, whole or not at all; a LanceDB folder is saved already.

        Raises:
            ValueError: the index is empty, or lies in a folder of LanceDB's: copy that; or `path`
                is a folder.
        """
        if not isinstance(self._store, ExactStore):
            raise ValueError(f"The index lies in {self._store.folder}, where all changes go.")  # type: ignore[attr-defined]
        if not len(self):
            raise ValueError("The index is empty; add images before it is saved.")
        if Path(path).is_dir():
            raise ValueError(f"`path` must be a file. Received: {os.fspath(path)!r}, a folder")
        self._store.save(path, self._about.as_dict())

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        encoder: keras.Model | None = None,
        folder: str | os.PathLike | None = None,
    ) -> "Index":
        """Loads what `save` wrote, or a folder of LanceDB's.

        Args:
            path: the file or folder.
            encoder: the one that the index was built with; None loads it, when an image is asked
                for, by the preset that was named then.
            folder: where the images lie now, if they have moved.

        Raises:
            FileNotFoundError: there is nothing at `path`.
            ValueError: it is no index, a damaged or a newer one, or was built with another encoder.
        """
        kind = LanceStore if Path(path).is_dir() else ExactStore
        store, about = kind.load(path)
        about = About.read(about, path)
        if folder is not None:
            about.move(folder)
        index = cls(None, store, about)  # type: ignore[arg-type]
        if encoder is not None:
            index._embedder = Embedder(about.checked(encoder))
        return index

    @property
    def image_size(self) -> int:
        """Side in pixels that images are embedded at."""
        return self._about.image_size

    def _embed(self, dataset, batch_size: int = 64, verbose: Verbose = "auto") -> np.ndarray:
        self.encoder  # noqa: B018 - loaded if it has to be
        batch_size = whole_number("batch_size", batch_size)
        batches = image_batches(dataset, self.image_size, batch_size)
        batches = tracked(batches, "Embedding images", len(dataset), verbose=verbose)
        try:
            return self._embedder.embed(batches, verbose=0).embedding
        except Exception:
            check_images(dataset, verbose=0)  # it names the files that can't be read
            raise

    def _check_there(self, names: Sequence[str]) -> None:
        if missing := set(names) - self._store.known(names):
            raise ValueError(
                f"{min(missing)!r} is not in the index; names are such as {self.names[:2]}."
            )
