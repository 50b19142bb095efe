"""What the page asks for: pictures of an index, queries, and what is found for them."""

import collections
import dataclasses
import functools
import secrets
import threading
from typing import Any

import numpy as np
import tensorflow as tf

from keras_cr._numbers import whole_number
from keras_cr._progress import Verbose
from keras_cr._text import printable
from keras_cr.data.decode import FORMATS, decode_image, load_image
from keras_cr.data.files import MAX_PIXELS, file_fault
from keras_cr.data.images import data_fault, resize_and_crop
from keras_cr.evaluation import Embedder
from keras_cr.search import Index, Match, Places, PlaceSearch
from keras_cr.search.places import shown

FOUND, SEARCHED = 24, 10_000
_PICTURE = 512  # pixels of a picture's side, at most
_PICTURES = 512  # that are held
_QUERIES = 64  # that are remembered
_SEED = 0  # of the order in which the collection is shown


@dataclasses.dataclass(frozen=True, eq=False)
class Query:
    """An image that is searched by.

    Attributes:
        pixels: (S, S, 3) float32, RGB 0..255, as the encoder sees it.
        picture: the same as a JPEG file, larger.
        embedding: (C,).
        rationale: (h, w), in 0..1.
        name: in the index; None for an image from elsewhere.
    """

    pixels: np.ndarray
    picture: bytes
    embedding: np.ndarray
    rationale: np.ndarray
    name: str | None


class Explorer:
    """An index as the page shows it. Images go by their row, queries by a random word.

    Images whose file is missing are left out. The features of all places are read at the start.
    Calls may come from several threads.

    Args:
        index: the index; its images have to be files.
        k: how many images are found for a query.
        searched: images that places are searched in; of an index with more, an even share.
        max_pixels: the most pixels an image may have, by its header.
        verbose: 0 shows no progress, 1 and `"auto"` show it on stderr; 2 in few lines.

    Raises:
        FileNotFoundError: none of the images is there.
        UnreadableImageError: an image can't be read.
        ValueError: a number leaves its range, or the index doesn't know its encoder.
    """

    def __init__(
        self,
        index: Index,
        k: int = FOUND,
        searched: int = SEARCHED,
        max_pixels: int = MAX_PIXELS,
        verbose: Verbose = "auto",
    ) -> None:
        self.k, searched = whole_number("k", k), whole_number("searched", searched)
        self._index, self._max_pixels = index, max_pixels
        everything = index.names
        self.names = [name for name in everything if file_fault(index.path(name)) is None]
        self.missing = len(everything) - len(self.names)
        if not self.names:
            example = f", such as {printable(index.path(everything[0]))!r}" if everything else ""
            raise FileNotFoundError(
                f"`folder`: none of the {len(everything)} images of the index is there{example}; "
                "say where they lie now."
            )
        self._rows = {name: row for row, name in enumerate(self.names)}
        few = np.unique(np.linspace(0, len(self.names) - 1, searched).astype(int))
        self.places = PlaceSearch.of(index, [self.names[row] for row in few], verbose=verbose)
        self._embedder, self._alike = Embedder(index.encoder), Places(index.encoder)
        self._order = np.random.default_rng(_SEED).permutation(len(self.names))
        self._queries: collections.OrderedDict[str, Query] = collections.OrderedDict()
        self._lock = threading.Lock()  # models are traced when they are first called
        self.picture = functools.lru_cache(_PICTURES)(self._picture)

    def some(self, start: int, count: int) -> list[dict[str, Any]]:
        """Images of the collection, in an order of their own: `row` and `name` of each.

        Args:
            start: how many come before them; the order begins anew where it ends.
            count: how many at most.
        """
        count = min(count, len(self.names))
        rows = [int(self._order[(start + i) % len(self.names)]) for i in range(count)]
        return [self._told(self.names[row]) for row in rows]

    def _picture(self, row: int) -> bytes:
        """An image of the index as a JPEG file, cut as the encoder sees it.

        Raises:
            IndexError: there is no such row.
            UnreadableImageError: its file can't be read.
        """
        if not 0 <= row < len(self.names):
            raise IndexError(f"`row`: there are {len(self.names)} images; received {row}.")
        return _jpeg(load_image(self._path(row), max_pixels=self._max_pixels))

    def take(self, row: int) -> str:
        """Makes an image of the index the query.

        Args:
            row: the image's.

        Returns:
            The query's word.

        Raises:
            IndexError: there is no such row.
            UnreadableImageError: its file can't be read.
        """
        picture = self.picture(row)
        image = load_image(self._path(row), max_pixels=self._max_pixels)
        return self._remember(image, picture, self.names[row])

    def upload(self, data: bytes) -> str:
        """Makes an image from elsewhere the query.

        Args:
            data: the content of an image file.

        Returns:
            The query's word.

        Raises:
            ValueError: it is no image, or a too small or too large one.
        """
        if fault := data_fault(data, max_pixels=self._max_pixels):
            kind, text = fault
            way_out = f" Give an image in {FORMATS}." if kind == "broken" else ""
            raise ValueError(f"This file {text}.{way_out}" if kind == "broken" else f"{text}.")
        image = decode_image(data, self._max_pixels)
        return self._remember(image, _jpeg(image), None)

    def query(self, word: str) -> Query:
        """A query by its word.

        Args:
            word: what `take` or `upload` returned.

        Raises:
            KeyError: it is none, or one of long ago.
        """
        return self._queries[word]

    def whole(self, word: str) -> list[dict[str, Any]]:
        """The images most like a query, by the whole image.

        Args:
            word: the query's.

        Returns:
            Up to `k` dicts, nearest first: `row`, `name`, `metadata`, `similarity`, and `map` and
            `query_map`, (h, w) in 0..1, how much each place adds to the similarity.

        Raises:
            KeyError: there is no such query.
            UnreadableImageError: the file of what was found can't be read any more.
        """
        query = self.query(word)
        extra = self.missing + (query.name is not None)
        found = self._index.nearest(query.embedding, self.k + extra)[0]
        found = [m for m in found if m.name in self._rows and m.name != query.name][: self.k]
        if not found:
            return []
        pixels = np.stack([self._pixels(match.name) for match in found])
        padded = np.concatenate([pixels, np.repeat(pixels[-1:], self.k - len(pixels), axis=0)])
        with self._lock:
            of_query, of_found, _ = self._alike.similarity(query.pixels, padded)
        return [
            self._found(match, map=_plain(of_image), query_map=_plain(of_query))
            for match, of_image, of_query in zip(
                found, shown(of_found), shown(of_query), strict=False
            )
        ]

    def at_place(self, word: str, x: float, y: float) -> list[dict[str, Any]]:
        """The images that have a place most like one of a query.

        Args:
            word: the query's.
            x: of the place, in 0..1 of the image's width.
            y: of the place, in 0..1 of the image's height.

        Returns:
            Up to `k` dicts, as `whole` without `query_map`: `map` holds the similarity of each
            place where it is positive, `at` the (x, y) of the best.

        Raises:
            KeyError: there is no such query.
            ValueError: `x` or `y` leaves 0..1.
        """
        query = self.query(word)
        with self._lock:
            if query.name is not None and query.name in self.places:
                found = self.places.similar(query.name, (x, y), self.k)
            else:
                without = [] if query.name is None else [query.name]
                found = self.places.query(query.pixels, (x, y), self.k, without=without)
        return [
            self._found(match, map=_plain(np.clip(match.map, 0, 1)), at=match.at) for match in found
        ]

    def _remember(self, image: tf.Tensor, picture: bytes, name: str | None) -> str:
        pixels = _square(image, self._index.image_size)
        with self._lock:
            seen = self._embedder.embed(pixels[None], verbose=0)
            word = secrets.token_urlsafe(12)
            self._queries[word] = Query(pixels, picture, seen.embedding[0], seen.rationale[0], name)
            while len(self._queries) > _QUERIES:
                self._queries.popitem(last=False)
        return word

    def _path(self, row: int) -> str:
        return self._index.path(self.names[row])

    def _pixels(self, name: str) -> np.ndarray:
        image = load_image(self._index.path(name), max_pixels=self._max_pixels)
        return _square(image, self._index.image_size)

    def _told(self, name: str) -> dict[str, Any]:
        return {"row": self._rows[name], "name": printable(name)}

    def _found(self, match: Any, **more: Any) -> dict[str, Any]:
        metadata = match.metadata if isinstance(match, Match) else self._index.metadata(match.name)
        metadata = {column: str(value) for column, value in metadata.items()}
        told = self._told(match.name)
        return {**told, "metadata": metadata, "similarity": match.similarity, **more}


def _square(image: tf.Tensor, side: int) -> np.ndarray:
    """An image as the encoder sees it, (side, side, 3) float32, RGB 0..255, as the index embeds."""
    return np.asarray(resize_and_crop(image, side))


def _jpeg(image: tf.Tensor) -> bytes:
    """The central square of an image as a JPEG file: pixels alone, whatever the file held."""
    side = min(_PICTURE, *image.shape[:2])
    pixels = np.rint(np.clip(_square(image, side), 0, 255)).astype("uint8")
    return tf.io.encode_jpeg(pixels, quality=90).numpy()


def _plain(values: np.ndarray) -> list[list[float]]:
    return np.round(values.astype("float64"), 3).tolist()
