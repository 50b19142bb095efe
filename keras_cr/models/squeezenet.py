"""SqueezeNet 1.1: small enough to travel inside the package."""

from typing import Any

import keras
from keras import layers

from keras_cr._numbers import plain_seed, whole_number
from keras_cr._types import Dtype
from keras_cr.layers import ChannelRescaling
from keras_cr.models.described import Described

IMAGENET_MEAN = (123.0, 117.0, 104.0)  # what the weights were trained with; the scale stays 0..255
FIRE_MODULES = (
    (16, 64),
    (16, 64),
    (32, 128),
    (32, 128),
    (48, 192),
    (48, 192),
    (64, 256),
    (64, 256),
)
_POOLED_BEFORE = (4, 6)  # numbers of the fire modules that a pooling comes before


@keras.saving.register_keras_serializable(package="keras_cr")
class SqueezeNet(Described):
    """SqueezeNet 1.1 without its classifier: images in, feature map out.

    Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model
    size" (arXiv 1602.07360), in the form of its 1.1 release: a 3x3 first convolution, poolings
    before the second, fourth and sixth fire module, no batch normalisation. 0.72 M parameters.

    Args:
        fires: (squeeze, expand) channels of the fire modules; an expansion is a 1x1 and a 3x3
            convolution of `expand` channels each, side by side.
        width: channels of the first convolution.
        normalize_images: whether the network itself takes ImageNet's mean from RGB 0..255.
            False: the caller passes centred images.
        input_shape: `(H, W, 3)`, `H` and `W` may be None.
        seed: seed of the initial weights.
        dtype: dtype policy of every layer.
        name: the model's name.
        trainable: whether its weights are trained.

    Input shape:
        `(B, H, W, 3)`, RGB 0..255.

    Output shape:
        `(B, h, w, C)` with a stride of 16 (160 px: 9 x 9, 224 px: 13 x 13); `C` is 512.

    Example:

    >>> squeezenet()(images).shape  # of (8, 96, 96, 3)
    TensorShape([8, 5, 5, 512])
    """

    arguments = ("fires", "width", "normalize_images")

    def __init__(
        self,
        fires: tuple[tuple[int, int], ...] = FIRE_MODULES,
        width: int = 64,
        normalize_images: bool = True,
        input_shape: tuple = (None, None, 3),
        seed: int | None = None,
        dtype: Dtype = None,
        name: str = "squeezenet",
        trainable: bool = True,
    ) -> None:
        fires = tuple(tuple(whole_number("fires", n) for n in fire) for fire in fires)
        width, seed = whole_number("width", width), plain_seed(seed)
        seeds = None if seed is None else iter(range(1000 * seed, 1000 * seed + 1000))

        def convolution(x, filters, kernel, stride, name):
            return layers.Conv2D(
                filters,
                kernel,
                stride,
                padding="same",
                activation="relu",
                data_format="channels_last",
                kernel_initializer=keras.initializers.HeUniform(
                    None if seeds is None else next(seeds)
                ),
                dtype=dtype,
                name=name,
            )(x)

        def pool(x, name):
            return layers.MaxPooling2D(3, 2, data_format="channels_last", dtype=dtype, name=name)(x)

        inputs = keras.Input(tuple(input_shape), name="images")
        x = inputs
        if normalize_images:
            # Not layers.Normalization, whose constants an ONNX export turns into inputs.
            means = [-value for value in IMAGENET_MEAN]
            x = ChannelRescaling(1.0, means, dtype=dtype, name="normalize_images")(x)
        x = pool(convolution(x, width, 3, 2, "conv1"), "pool1")
        for number, (squeeze, expand) in enumerate(fires, 2):
            if number in _POOLED_BEFORE:
                x = pool(x, f"pool{number - 1}")
            x = convolution(x, squeeze, 1, 1, f"fire{number}_squeeze1x1")
            sides = [
                convolution(x, expand, 1, 1, f"fire{number}_expand1x1"),
                convolution(x, expand, 3, 1, f"fire{number}_expand3x3"),
            ]
            x = layers.Concatenate(dtype=dtype, name=f"fire{number}")(sides)
        super().__init__(inputs, x, name=name)
        self.keep(
            seed, dtype, trainable, fires=fires, width=width, normalize_images=normalize_images
        )


def squeezenet(**kwargs: Any) -> SqueezeNet:
    """SqueezeNet 1.1: 0.72 M parameters, 512 channels.

    Args:
        **kwargs: as for `SqueezeNet`.
    """
    return SqueezeNet(**kwargs)
