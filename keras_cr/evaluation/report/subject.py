"""What a report is about, and the pictures it shows."""

import dataclasses
import functools
import io
from collections.abc import Mapping, Sequence

import numpy as np

from keras_cr.evaluation.evaluate import Evaluation
from keras_cr.evaluation.features import Features
from keras_cr.evaluation.report.html import Markup, data_uri, el
from keras_cr.visualization._optional import optional

SIDE = 160  # pixels of a thumbnail
QUALITY = 80  # of its JPEG file


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """What the sections of a report are written from; see `write_report`."""

    evaluation: Evaluation
    initialization: dict | None = None
    history: object = None
    source: Mapping | None = None
    max_examples: int = 24

    @property
    def metrics(self) -> dict:
        return self.evaluation.metrics

    @property
    def protocol(self) -> dict:
        return self.metrics["protocol"]

    @property
    def features(self) -> Features:
        return self.evaluation.features

    @property
    def labels(self) -> np.ndarray | None:
        return self.features.dataset.labels

    @property
    def own(self) -> dict[str, dict[str, np.ndarray]]:
        """What each test image got under the encoder's own pooling."""
        return self.evaluation.per_image.get(self.features.pooling, {})

    @functools.cached_property
    def pictures(self) -> "Pictures":
        return Pictures(self.features)

    def name(self, row: int) -> str:
        """What an image shows: its class, else its position in the data set."""
        if self.labels is None:
            return f"image {row}"
        return self.class_name(self.labels[row])

    def class_name(self, label: int) -> str:
        return self.features.dataset.class_names[label].replace("_", " ")


class Pictures:
    """The images that are shown, as the encoder saw them; each is read once, others never."""

    def __init__(self, features: Features) -> None:
        self._features, self._read = features, {}

    def pixels(self, rows: Sequence[int]) -> np.ndarray:
        """Images at positions of the data set, `(n, S, S, 3)` uint8."""
        from keras_cr.data import image_batches  # it needs TensorFlow

        rows = [int(row) for row in rows]
        unread = [row for row in dict.fromkeys(rows) if row not in self._read]
        if unread:
            features = self._features
            batches = image_batches(
                features.dataset.take(unread), features.image_size, features.batch_size
            )
            images = (image for batch in batches.as_numpy_iterator() for image in batch)
            for row, image in zip(unread, images, strict=True):
                self._read[row] = np.rint(image).astype("uint8")
        return np.stack([self._read[row] for row in rows])

    def thumbnails(self, rows: Sequence[int]) -> dict[int, str]:
        """{position: address of its thumbnail}, for `image`."""
        pixels = self.pixels(rows) if len(rows) else ()
        return {int(row): thumbnail(image) for row, image in zip(rows, pixels, strict=True)}


def thumbnail(pixels: np.ndarray) -> str:
    """`(S, S, 3)` uint8 as the address of a JPEG file of at most `SIDE` pixels a side."""
    pil = optional("PIL.Image", "Pillow")
    picture, file = pil.fromarray(pixels), io.BytesIO()
    if max(picture.size) > SIDE:
        picture = picture.resize((SIDE, SIDE), pil.Resampling.LANCZOS)
    picture.save(file, "JPEG", quality=QUALITY, optimize=True)
    return data_uri(file.getvalue(), "image/jpeg")


def image(address: str, alt: str) -> Markup:
    """An image element of a thumbnail."""
    return el("img", src=address, alt=alt, width=SIDE, height=SIDE, decoding="async")


def evenly(rows: Sequence[int] | np.ndarray, number: int) -> np.ndarray:
    """At most `number` of `rows`, spread evenly over them."""
    number = min(number, len(rows))
    return np.asarray(rows, int)[np.linspace(0, len(rows) - 1, number).astype(int)]
