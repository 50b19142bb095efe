"""The feature map that a backbone makes, known before it runs."""

import keras

from keras_cr.models.map_size import MapSize


def feature_map_shape(map_size: MapSize, image_size: tuple[int, int] | None) -> tuple:
    """The shape of a backbone's feature map, `(B, h, w, C)`.

    Args:
        map_size: of the backbone.
        image_size: height and width of the images in pixels, or None.

    Raises:
        ValueError: it is no backbone, or its map can't carry a rationale.
    """
    backbone = map_size.backbone
    if not isinstance(backbone, keras.Model):
        raise ValueError(f"`backbone` must be a Keras model or a name. Received: {backbone!r}")
    _check_takes_rgb(backbone)
    if image_size is not None:
        map_size.check(*image_size)
    try:
        shape = backbone.output_shape
    except (AttributeError, ValueError):  # a subclassed model
        shape = None
    if image_size is not None or shape is None:
        height, width = image_size or (224, 224)
        outputs = backbone(keras.Input(batch_shape=(1, height, width, 3)))
        shape = getattr(outputs, "shape", outputs)
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise ValueError(
            "`backbone` must end in one 4-D feature map (B, h, w, C): leave out its classifier "
            "and pooling (include_top=False, pooling=None). "
            f"Received a model {backbone.name!r} with output shape {shape}"
        )
    if shape[-1] is None:
        raise ValueError(
            f"`backbone` must end in a known number of channels. Received output shape {shape}"
        )
    if image_size is None and shape[1:3] == (1, 1):
        map_size.check(*backbone.input_shape[1:3])
    return shape


def _check_takes_rgb(backbone):
    """Refuses a backbone of gray images, or of `(3, H, W)`, as under "channels_first"."""
    try:
        shape = backbone.input_shape
    except (AttributeError, ValueError):  # a subclassed model
        return
    if not isinstance(shape, tuple) or len(shape) != 4:
        return
    if shape[-1] == 1:
        raise ValueError(
            "`backbone` must take RGB images (H, W, 3); one of gray images needs a layer before it "
            "that makes one channel of three. "
            f"Received a model {backbone.name!r} with input shape {shape}"
        )
    if shape[1] == 3 and shape[-1] != 3:
        raise ValueError(
            "`backbone` must take images (H, W, 3): build it after "
            "keras.config.set_image_data_format('channels_last'). "
            f"Received a model {backbone.name!r} with input shape {shape}"
        )
