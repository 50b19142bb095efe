"""What an index remembers beside its embeddings: where they come from, and where the images are."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import keras

from keras_cr.models import CommonRationaleEncoder, encoder_fingerprint
from keras_cr.version import __version__

FORMAT = 1


@dataclasses.dataclass
class About:
    """The encoder of an index, and its images' folder.

    Attributes:
        encoder: the encoder's fingerprint.
        image_size: side in pixels that images are embedded at.
        preset: what `from_preset` loads the encoder by, or None.
        folder: what names start below, or None where they are whole paths.
        keras_cr: the version that built the index.
        format: of the index.
    """

    encoder: str
    image_size: int
    preset: str | None = None
    folder: str | None = None
    keras_cr: str = __version__
    format: int = FORMAT

    @classmethod
    def read(cls, values: Any, path: str | os.PathLike) -> "About":
        """What was written with an index.

        Raises:
            ValueError: it is of another format, or damaged.
        """
        path = os.fspath(path)
        values = values if isinstance(values, Mapping) else {}
        form = values.get("format")
        if form != FORMAT:
            raise ValueError(
                f"{path!r} is an index of format {form!r}; this version of keras_cr reads format "
                f"{FORMAT}. Build it again, or upgrade keras_cr."
            )
        texts = [values.get(name) for name in ("preset", "folder")]
        sound = all(text is None or isinstance(text, str) for text in texts)
        sound = sound and isinstance(values.get("encoder"), str)
        if not sound or type(values.get("image_size")) is not int:
            raise ValueError(f"{path!r} is a damaged index; build it again.")
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: values[name] for name in names if name in values})

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def path(self, name: str) -> str:
        """The file of an image."""
        return os.path.join(self.folder or "", name)

    def move(self, folder: str | os.PathLike) -> None:
        """Says where the images lie now."""
        self.folder = os.path.abspath(os.path.expanduser(folder))

    def checked(self, encoder: keras.Model) -> keras.Model:
        """The encoder, if it is the index's.

        Raises:
            ValueError: it is another one.
        """
        if encoder_fingerprint(encoder) != self.encoder:
            raise ValueError(
                "`encoder` is not the one that the index was built with, so nothing could be "
                "compared; give that one, or build the index again."
            )
        return encoder

    def load_encoder(self) -> keras.Model:
        """The encoder by its preset.

        Raises:
            ValueError: no preset is known, or it holds another encoder by now.
            PresetError: it can't be loaded.
        """
        if not self.preset:
            raise ValueError(
                "The index doesn't know its encoder's preset; give it: Index.load(path, encoder)."
            )
        return self.checked(CommonRationaleEncoder.from_preset(self.preset))
