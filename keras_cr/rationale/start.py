"""What a rationale starts from: an encoder on a model of any origin."""

from typing import Any

import keras

from keras_cr.models import AdaptedBackbone, CommonRationaleEncoder, adapt_backbone
from keras_cr.models.open_backbone import may_be_backbone
from keras_cr.presets import ForeignPresetError, UnknownPresetError, load_preset
from keras_cr.presets.config import with_dtype


def encoder_on(
    model: keras.Model,
    num_detectors: int | None = None,
    detectors: int = 1,
    pooling: str = "rationale",
    **options: Any,
) -> CommonRationaleEncoder:
    """An encoder whose branch is to be trained.

    Args:
        model: a backbone; or an encoder, which is returned as it is, but for its pooling, unless
            its branch is to have another number of detectors.
        num_detectors: of the branch; None: an encoder's own, or `detectors`.
        detectors: of a backbone's branch, where it is not told.
        pooling: of a new encoder. One that takes plain averages gets it too, and one that takes
            weighted averages, where it is `"rationale_vlad"`.
        **options: of a new encoder.

    Raises:
        ValueError: the model can't be a backbone.
    """
    if isinstance(model, CommonRationaleEncoder):
        if num_detectors in (None, model.num_detectors):
            averages = model.pooling == "rationale" and pooling == "rationale_vlad"
            if averages or model.pooling == "average":
                model.pooling = pooling
            return model
        model = model.backbone
    return CommonRationaleEncoder(
        model, num_detectors=num_detectors or detectors, pooling=pooling, **options
    )


def encoder_from(
    name: str,
    num_detectors: int | None = None,
    detectors: int = 1,
    pooling: str = "rationale",
    **options: Any,
) -> CommonRationaleEncoder:
    """`encoder_on` what a name, a folder or a handle means: a preset, else a backbone.

    Args:
        name: as `load_preset` or `CommonRationaleEncoder.from_backbone` takes it.
        num_detectors, detectors, pooling: as for `encoder_on`.
        **options: of a new encoder: `image_size`, `seed`, `dtype`.

    Raises:
        ValueError: it is neither, or can't be loaded.
        ImportError: it is a backbone of KerasHub's, which is not installed.
    """
    try:
        model = load_preset(name, expected=CommonRationaleEncoder, dtype=options.get("dtype"))
    except (UnknownPresetError, ForeignPresetError):
        if not may_be_backbone(name):
            raise
        options |= {"num_detectors": num_detectors or detectors, "pooling": pooling}
        return CommonRationaleEncoder.from_backbone(name, **options)
    return encoder_on(model, num_detectors, detectors, pooling, **options)


def at_output_stride(encoder: CommonRationaleEncoder, output_stride: int) -> CommonRationaleEncoder:
    """The encoder with a finer map, see `keras_cr.models.output_stride`, and the weights it has.

    Raises:
        ValueError: its backbone can't have that stride.
    """
    adapted = isinstance(encoder.backbone, AdaptedBackbone)
    backbone = adapt_backbone(
        encoder.backbone,
        normalization="auto" if adapted else "none",  # what takes RGB already
        output_stride=output_stride,
    )
    if backbone is encoder.backbone:
        return encoder
    config = encoder.get_config() | {"backbone": keras.saving.serialize_keras_object(backbone)}
    twin = type(encoder).from_config(config)
    twin.set_weights(encoder.get_weights())
    return twin


def with_precision(model: keras.Model, precision: str) -> keras.Model:
    """The same model with the same weights under another dtype policy."""
    if model.dtype_policy.name == precision:
        return model
    config = with_dtype(keras.saving.serialize_keras_object(model), precision)
    twin = keras.saving.deserialize_keras_object(config)
    twin.set_weights(model.get_weights())
    return twin
