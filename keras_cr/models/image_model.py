"""What the models of images share: how they are kept and exported."""

import os
from pathlib import Path
from typing import Any

import keras

from keras_cr.models.layer_changes import change_layers, layer_changes, set_trainable
from keras_cr.presets.registry import PresetsOfClass

_FLOAT32_FORMATS = ("litert", "onnx")


class ImageModel(keras.Model):
    """A model of RGB 0..255 images, with the side it expects in `image_size` (None: any).

    It is rebuilt from its arguments, and then what was done to its layers (frozen, quantized, given
    LoRA weights) is done again.

    `CLASS.presets` is a dict of what `CLASS.from_preset` takes by name.
    """

    presets = PresetsOfClass()
    inner_model: str  # name of the argument that is a model itself

    def get_config(self):
        changes = layer_changes(self)
        inner = keras.saving.serialize_keras_object(getattr(self, self.inner_model))
        config = super().get_config() | {self.inner_model: inner}
        return config | ({"layer_changes": changes} if changes else {})

    @classmethod
    def from_config(cls, config):
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
        **kwargs,
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
        super().export(filepath, format, verbose, input_signature, **kwargs)
        if format == "onnx":
            _check_inputs(Path(filepath), len(input_signature))

    def _check_float32(self, format: str) -> None:
        for layer in (self, *self.layers):
            if layer.compute_dtype != "float32":
                raise ValueError(
                    f"`format={format!r}` needs a model that computes in float32: load it with "
                    f"from_preset(..., dtype='float32'). Received: {layer.name!r} computes in "
                    f"{layer.compute_dtype}"
                )


def _check_inputs(path: Path, expected: int) -> None:
    """Removes an ONNX file that asks for more than images, and says so."""
    import onnx

    names = [entry.name for entry in onnx.load(path, load_external_data=False).graph.input]
    if len(names) > expected:
        path.unlink()
        raise ValueError(
            "A layer's constants became inputs of the ONNX file: keras.layers.Normalization does "
            "that; put keras.layers.Rescaling in its place, or use `format='tf_saved_model'`. "
            f"Received: inputs {names}"
        )
