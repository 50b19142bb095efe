"""What tells one encoder from another, whatever it was loaded from."""

import hashlib
import json

import keras
import numpy as np

from keras_cr.presets.backbone_weights import digest

_TRAINING = ("initializer", "regularizer", "constraint", "seed")  # ends of names in a config
_NAMES = ("name", "dtype", "trainable")


def encoder_fingerprint(encoder: keras.Model) -> str:
    """The sha256 of all that an encoder's embeddings come from, 64 hexadecimal digits.

    That is the backbone's weights (`keras_cr.presets.backbone_weights.digest`), what its layers are
    configured to do, such as strides and the constants that scale images, the branch's weights, and
    how all of it is pooled, with the vocabulary where there is one. Names, dtypes and what only a
    training needs have no part in it. Embeddings of encoders with one fingerprint can be compared.

    Args:
        encoder: a `CommonRationaleEncoder`, or any built model.
    """
    total = hashlib.sha256(digest(getattr(encoder, "backbone", encoder)).encode())
    for layer in encoder._flatten_layers(include_self=False):
        if not list(layer._flatten_layers(include_self=False)):
            total.update(_configured(layer).encode())
    pools = [getattr(encoder, name, None) for name in ("branch", "vocabulary")]
    for value in (weight for layer in pools if layer is not None for weight in layer.weights):
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(value))
        total.update(f"{array.dtype} {array.shape}\n".encode())
        total.update(array.tobytes())
    pooling, token = (getattr(encoder, name, None) for name in ("pooling", "concat_class_token"))
    total.update(f"{pooling} {bool(token)}".encode())
    return total.hexdigest()


def _configured(layer: keras.layers.Layer) -> str:
    """A layer's class and what of its config an embedding depends on."""
    config = {
        key: value
        for key, value in layer.get_config().items()
        if key not in _NAMES and not key.endswith(_TRAINING)
    }
    return json.dumps(
        [type(layer).__name__, config], sort_keys=True, default=lambda value: type(value).__name__
    )
