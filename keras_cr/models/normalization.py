"""What backbones expect of images: the step from RGB 0..255 to the values they were trained on.

Sources: ImageNet's mean and deviation as torchvision publishes them (timm's and Meta's networks use
them), CLIP's as in OpenAI's release, "caffe" (blue-green-red without their means) and -1..1 as in
`keras.applications.imagenet_utils.preprocess_input`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_cr._types import Dtype, Images, Tensor
from keras_cr.layers import ChannelRescaling

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Normalization:
    """`images * scale + offset`, by channel.

    Attributes:
        scale: three numbers.
        offset: three numbers.
        reverse: whether the channels are turned to blue-green-red before.
    """

    scale: tuple[float, ...] = (1.0, 1.0, 1.0)
    offset: tuple[float, ...] = (0.0, 0.0, 0.0)
    reverse: bool = False

    @classmethod
    def of(cls, mean: Sequence[float], deviation: Sequence[float]) -> "Normalization":
        """`(images / 255 - mean) / deviation`."""
        return cls(
            tuple(1 / (255 * each) for each in deviation),
            tuple(-m / d for m, d in zip(mean, deviation, strict=True)),
        )


NORMALIZATIONS = {
    "none": Normalization(),
    "0..1": Normalization.of((0, 0, 0), (1, 1, 1)),
    "-1..1": Normalization.of((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": Normalization.of(IMAGENET_MEAN, IMAGENET_STD),
    "clip": Normalization.of(
        (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    ),
    "caffe": Normalization(offset=(-103.939, -116.779, -123.68), reverse=True),
}


def centered(
    images: Images, mean: Sequence[float], deviation: Sequence[float], dtype: Dtype = None
) -> Tensor:
    """RGB 0..255 less a mean, over a deviation; both as shares of 255: for networks built here.

    In two steps, the first of which leaves numbers near 0 to dtypes with few digits.
    """
    # Not layers.Normalization, whose constants an ONNX export turns into inputs.
    means = [-255 * value for value in mean]
    scales = [1 / (255 * value) for value in deviation]
    x = ChannelRescaling(1.0, means, dtype=dtype, name="center_images")(images)
    return ChannelRescaling(scales, dtype=dtype, name="normalize_images")(x)


def normalized(images: Images, normalization: Normalization, policy: keras.DTypePolicy) -> Tensor:
    """What a backbone of that policy expects, of RGB 0..255: for networks built elsewhere.

    In float32 whatever the policy: 0..255 has more values than bfloat16 tells apart.
    """
    if normalization == Normalization():
        return images
    if normalization.reverse:
        images = keras.ops.flip(images, axis=-1)
    dtype = keras.backend.result_type(policy.compute_dtype, "float32")
    scale, offset = list(normalization.scale), list(normalization.offset)
    return ChannelRescaling(scale, offset, dtype=dtype, name="normalize_images")(images)


def as_normalization(value: Any) -> Normalization:
    """What a user gives as `normalization`.

    Args:
        value: a name of `NORMALIZATIONS`; `(scale, offset)`, each a number or three; a KerasHub
            image converter.

    Raises:
        ValueError: it is none of them.
    """
    if isinstance(value, Normalization):
        return value
    if isinstance(value, str) and value in NORMALIZATIONS:
        return NORMALIZATIONS[value]
    if isinstance(value, keras.layers.Layer) and hasattr(value, "scale"):  # an image converter
        value = (
            1.0 if value.scale is None else value.scale,
            0.0 if value.offset is None else value.offset,
        )
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        try:
            scale, offset = (np.broadcast_to(np.asarray(each, float), 3) for each in value)
        except (TypeError, ValueError):
            pass
        else:
            if np.isfinite([scale, offset]).all() and scale.all():
                return Normalization(tuple(scale.tolist()), tuple(offset.tolist()))
    raise ValueError(
        f"`normalization` must be 'auto', one of {', '.join(map(repr, NORMALIZATIONS))}, "
        "(scale, offset) by which RGB 0..255 is multiplied and moved, or a KerasHub image "
        f"converter. Received: {value!r}"
    )
