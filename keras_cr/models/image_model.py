"""What models of images share: the check of what they are given, how they are kept, and export."""

import contextlib
import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import keras

from keras_cr._replicas import predict_on_batch
from keras_cr._types import Config, Images, Tensor, wraps
from keras_cr.models.backbone_reader import read_backbone
from keras_cr.models.inputs import Seen, checked_images
from keras_cr.models.layer_changes import change_layers, layer_changes, set_trainable
from keras_cr.models.map_size import MapSize
from keras_cr.models.onnx_export import check_onnx, teach_erfc
from keras_cr.models.streams import images_of
from keras_cr.models.watch import Watch, raising
from keras_cr.presets.registry import PresetsOfClass

_FLOAT32_FORMATS = ("litert", "onnx")


class ImageModel(keras.Model):
    """A model of RGB 0..255 images, with the side it expects in `image_size` (None: any).

    Whatever is given to it (called, `fit`, `evaluate`, `predict`, the `..._on_batch`) is checked
    first, see `keras_cr.models.inputs.checked_images`: values where they can be seen, that is not
    while a call is being traced; and whether the backbone has a map for images of that size.

    When it is loaded it is rebuilt from its arguments, and then what was done to its layers
    (frozen, quantized, given LoRA weights) is done again.

    `CLASS.presets` is a dict of what `CLASS.from_preset` takes by name.
    """

    presets = PresetsOfClass()
    inner_model: str  # name of the argument that is a model itself

    @property
    def map_size(self) -> MapSize:
        """Which feature map the backbone makes of images of some size."""
        return getattr(self, "encoder", self)._map_size

    def check_images(
        self, images: Images, argument: str = "images", seen: Seen | None = None
    ) -> Images:
        """What this model is to see of `images`: `(B, H, W, 3)`.

        Args:
            images: RGB 0..255, as `keras_cr.models.inputs.checked_images` takes them, or a dict
                that holds them as `"image"` or `"images"`.
            argument: what an error calls them, where `seen` doesn't tell.
            seen: what is known of earlier batches of the same source.

        Raises:
            ValueError: they are no RGB images of 0..255, or too small for the backbone.
        """
        seen = seen or Seen(argument, self.takes_rgb)
        if isinstance(images, dict):
            images = images_of(images, seen.argument)
        images = checked_images(images, seen)
        if getattr(images.shape, "rank", 4) is not None:
            self.map_size.check(*images.shape[1:3])
        return images

    @property
    def takes_rgb(self) -> bool:
        """Whether it takes RGB 0..255; not where its backbone leaves normalising to the caller."""
        return getattr(self.map_size.backbone, "normalize_images", True)

    def learnt_parts(self, batch: Any, argument: str) -> list:
        """The parts of a batch that `fit` and `evaluate` are to check, images first."""
        return [images_of(batch, argument)]

    def check_parts(self, images: Images, *others: Any, seen: Seen) -> Any:
        """Checks the parts of a batch, or of all data at once, and returns the images."""
        return self.check_images(images, seen=seen)

    def __call__(self, images: Images, *args: Any, **kwargs: Any) -> Tensor:
        return super().__call__(self.check_images(images), *args, **kwargs)

    @wraps(keras.Model.fit)
    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        return self._watched(super().fit, x, *args, **kwargs)

    @wraps(keras.Model.evaluate)
    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("_use_cached_eval_dataset"):  # Keras' own call, within fit
            return super().evaluate(x, *args, **kwargs)
        return self._watched(super().evaluate, x, *args, **kwargs)

    @wraps(keras.Model.predict)
    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return self._watched(super().predict, x, *args, **kwargs)

    @wraps(keras.Model.train_on_batch)
    def train_on_batch(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return super().train_on_batch(self.check_images(x, "x"), *args, **kwargs)

    @wraps(keras.Model.test_on_batch)
    def test_on_batch(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return super().test_on_batch(self.check_images(x, "x"), *args, **kwargs)

    @wraps(keras.Model.predict_on_batch)
    def predict_on_batch(self, x: Tensor) -> Any:
        x = self.check_images(x, "x")
        return predict_on_batch(self, super().predict_on_batch, x)

    def _watched(self, method, *args, **kwargs):
        """Calls `fit`, `evaluate` or `predict` of Keras with images that are checked."""
        given = inspect.signature(method).bind(*args, **kwargs)
        watched_ones = []
        alone = method.__name__ == "predict"
        pick = ImageModel.learnt_parts.__get__(self) if alone else self.learnt_parts

        def watched(images, name):
            watch = Watch(lambda batch: pick(batch, name), self.check_parts)
            watched_ones.append(watch)
            return watch.data(images, Seen(name, self.takes_rgb))

        with raising(watched_ones), self._as_before():
            values = given.arguments
            values["x"] = watched(values["x"], "x")
            held_out = values.get("validation_data")
            if isinstance(held_out, list | tuple) and held_out:
                first = watched(held_out[0], "validation_data")
                values["validation_data"] = (first, *held_out[1:])
            elif held_out is not None:
                values["validation_data"] = watched(held_out, "validation_data")
            return method(*given.args, **given.kwargs)

    @contextlib.contextmanager
    def _as_before(self) -> Iterator[None]:
        """After an error, the next call starts afresh: a function that failed stays half traced."""
        try:
            yield
        except BaseException:
            self.train_function = self.test_function = self.predict_function = None
            raise

    @staticmethod
    def read_backbone(converter: str, path: Path, size: tuple | None = None) -> keras.Model:
        """Builds a backbone of files that have been checked; see `load_backbone`."""
        return read_backbone(converter, path, size)

    def get_config(self) -> Config:
        changes = layer_changes(self)
        inner = keras.saving.serialize_keras_object(getattr(self, self.inner_model))
        config = super().get_config() | {self.inner_model: inner}
        return config | ({"layer_changes": changes} if changes else {})

    @classmethod
    def from_config(cls, config: Config) -> Self:
        config = dict(config)
        changes = config.pop("layer_changes", [])
        trainable = config.pop("trainable", True)
        inner = keras.saving.deserialize_keras_object(config[cls.inner_model])
        model = cls(**config | {cls.inner_model: inner})
        if not trainable:
            set_trainable(model, False)
        change_layers(model, changes)
        return model

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Writes the model for inference without keras_cr; it need not have been called before.

        Args:
            filepath: where to: a folder for `"tf_saved_model"`, a file `NAME.tflite` for
                `"litert"`, `NAME.onnx` for `"onnx"`.
            format: one of those three, or another format of `keras.Model.export`.
            verbose: as for `keras.Model.export`.
            input_signature: as for `keras.Model.export`. Defaults to float32 images, `(B, H, W, 3)`
                with any `B`, and with `H` and `W` of `image_size`, or any if that is None.
            **kwargs: as for `keras.Model.export`, such as `opset_version`.

        Raises:
            ValueError: the model does not compute in float32, which `"litert"` and `"onnx"` need,
                or a layer of its backbone cannot be written as ONNX.

        Example:

        >>> encoder.export("encoder.onnx", format="onnx")
        """
        if format in _FLOAT32_FORMATS:
            self._check_float32(format)
        if input_signature is None:
            height, width = self.image_size or (None, None)
            input_signature = [keras.InputSpec(shape=(None, height, width, 3), dtype="float32")]
        if format == "onnx":
            teach_erfc()
        super().export(filepath, format, verbose, input_signature, **kwargs)
        if format == "onnx":
            check_onnx(Path(filepath), self, input_signature)

    def _check_float32(self, format: str) -> None:
        for layer in (self, *self.layers):
            if layer.compute_dtype != "float32":
                raise ValueError(
                    f"`format={format!r}` needs a model that computes in float32: load it with "
                    f"from_preset(..., dtype='float32'). Received: {layer.name!r} computes in "
                    f"{layer.compute_dtype}"
                )
