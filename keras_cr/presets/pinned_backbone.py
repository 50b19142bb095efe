"""The backbone of a preset that has none inside: found, checked, and its weights put in place."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_cr._progress import announce
from keras_cr.presets.backbone_source import BackboneSource
from keras_cr.presets.backbone_weights import backbone_of, copy_weights, core_of, is_from, owner_of
from keras_cr.presets.errors import BackboneError, cause
from keras_cr.presets.pinned_files import checked

_told: set[str] = set()  # the presets whose backbone's licence this process has shown


@dataclass(frozen=True)
class PinnedBackbone:
    """A backbone whose files have been checked and that is not built yet.

    Attributes:
        source: what the preset pins.
        place: the checked file or folder, or a model that has the weights.
        label: what messages call the preset.
    """

    source: BackboneSource
    place: Path | keras.Model
    label: str

    @classmethod
    def find(
        cls,
        source: BackboneSource,
        place: "str | os.PathLike | keras.Model | None",
        options: dict[str, Any],
        label: str,
    ) -> "PinnedBackbone":
        """Finds the files that a preset pins and checks their sha256.

        Args:
            source: what is pinned.
            place: where they are, if not where the source says; or the model itself.
            options: keywords of `hub.fetch`.
            label: what messages call the preset.

        Raises:
            BackboneError: they are not there, or others.
            HubError: they can't be fetched.
        """
        if not isinstance(place, keras.Model):
            place = checked(source, place, options)
        return cls(source, place, label)

    def read(
        self, reader: Callable[[str, Path, tuple | None], keras.Model], size: tuple | None = None
    ) -> keras.Model:
        """The model that has the weights.

        Args:
            reader: builds it, given what reads the files, where they are, and `size`.
            size: height and width of the images; None: as the model is.

        Raises:
            BackboneError: it has other weights than the preset pins.
            ImportError: the package that reads the files is missing.
        """
        if isinstance(self.place, keras.Model):
            model, told = self.place, "the model given as its backbone"
        else:
            told = f"its backbone {self.source.pinned_handle}"
            with self._told(told):
                model = reader(self.source.converter, self.place, size)
        with self._told(told):
            if not is_from(model, self.source):
                raise ValueError("it has other numbers")
        return model

    def fill(self, model: keras.Model, same_dtype: bool) -> None:
        """Puts the weights into a model's backbone.

        Args:
            model: as it was built from config.json; it has a method `read_backbone`.
            same_dtype: whether it has the dtypes of the source.

        Raises:
            BackboneError, ImportError: as `read`; the weights don't fit the model.
        """
        target = backbone_of(model)
        read = self.read(owner_of(model).read_backbone, _size_of(core_of(target)))
        with self._told(f"its backbone {self.source.pinned_handle}"):
            copy_weights(read, target)
            if same_dtype and not is_from(target, self.source):
                raise ValueError("its numbers don't go into the architecture in config.json")

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Tells whatever another package's way of loading raises as an error of ours."""
        source = self.source
        try:
            yield
        except (ImportError, MemoryError):
            raise
        except Exception as error:
            raise BackboneError(
                f"{self.label}: {what} is not as {source.converter} {source.converter_version} "
                f"had read it when the preset was saved ({cause(error)}); install that version, "
                "or save the preset again."
            ) from error


def _size_of(model: keras.Model) -> tuple[int, int] | None:
    """Height and width of the images that a model was built for; None: any, or it doesn't tell."""
    try:
        size = tuple(model.inputs[0].shape[1:3])
    except (AttributeError, IndexError, TypeError, ValueError):  # a subclassed model
        return None
    return None if None in size else size


def tell_licence(model: keras.Model, label: str) -> None:
    """Shows the licence of a backbone that comes from elsewhere, once a process and preset."""
    encoder = owner_of(model)
    licence = getattr(encoder, "backbone_licence", None)
    if licence and label not in _told:
        _told.add(label)
        source = encoder.backbone_source
        handle = encoder.backbone.name if source is None else source.handle
        announce(f"{label}: its backbone {handle} is under the licence {licence}.")
