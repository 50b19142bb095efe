"""ResNets as torchvision defines them."""

from typing import Any

import keras
from keras import layers

from keras_cr._numbers import plain_seed, whole_number
from keras_cr._types import Dtype
from keras_cr.models.building import Builder
from keras_cr.models.described import Described
from keras_cr.models.normalization import IMAGENET_MEAN, IMAGENET_STD, centered


@keras.saving.register_keras_serializable(package="keras_cr")
class ResNet(Described):
    """A residual network without its classifier: images in, feature map out.

    He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, in the form torchvision
    ships (v1.5): the stride of a bottleneck sits in its 3x3 convolution, strided convolutions are
    padded on both sides, batch normalisation has an epsilon of 1e-5 and an unbiased running
    variance, convolutions start from He's normal distribution over fan-out. Layers carry
    torchvision's names with `_` for `.`, so weights can be moved by name.

    Args:
        blocks: number of blocks in each stage; every stage but the first halves the map.
        bottleneck: whether blocks are bottlenecks (1x1, 3x3, 1x1) or basic (3x3, 3x3).
        width: channels of the first stage's 3x3 convolutions; each stage doubles it.
        normalize_images: whether the network itself turns RGB 0..255 into ImageNet-normalised
            values. False: the caller passes normalised images.
        max_pool: whether max pooling halves the map after the first convolution. torchvision's
            networks have it; the LCR release's BYOL leaves it out.
        groups, group_width: groups of a bottleneck's 3x3 convolution, and the channels of each in
            the first stage of a network of width 64: 32 and 4 in ResNeXt-50 (32x4d), 1 and 128 in
            Wide ResNet-50-2. TensorFlow can't train several groups on a CPU.
        mean, std: what `normalize_images` takes off and divides by, as shares of 255.
        input_shape: `(H, W, 3)`, `H` and `W` may be None.
        seed: seed of the initial weights.
        dtype: dtype policy of every layer.
        name: the model's name.
        trainable: whether its weights are trained.

    Input shape:
        `(B, H, W, 3)`, RGB 0..255.

    Output shape:
        `(B, H / 32, W / 32, C)` for four stages, rounded up; twice as high and wide without max
        pooling. `C` is 512 for ResNet-18 and 34, 2048 for ResNet-50.

    Example:

    >>> resnet18()(images).shape  # of (8, 96, 96, 3)
    TensorShape([8, 3, 3, 512])
    """

    arguments = (
        *("blocks", "bottleneck", "width", "normalize_images", "max_pool"),
        *("groups", "group_width", "mean", "std"),
    )

    def __init__(
        self,
        blocks: tuple[int, ...] = (3, 4, 6, 3),
        bottleneck: bool = True,
        width: int = 64,
        normalize_images: bool = True,
        input_shape: tuple = (None, None, 3),
        seed: int | None = None,
        dtype: Dtype = None,
        name: str = "resnet",
        trainable: bool = True,
        max_pool: bool = True,
        groups: int = 1,
        group_width: int = 64,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
    ) -> None:
        blocks = tuple(whole_number("blocks", count) for count in blocks)
        width, seed = whole_number("width", width), plain_seed(seed)
        groups, group_width = (
            whole_number("groups", groups),
            whole_number("group_width", group_width),
        )
        mean, std = tuple(mean), tuple(std)
        build = _Blocks(groups, group_width, dtype=dtype, seed=seed)
        inputs = keras.Input(tuple(input_shape), name="images")
        x = inputs
        if normalize_images:
            x = centered(x, mean, std, dtype)
        x = build.convolution(x, width, 7, stride=2, name="conv1")
        x = build.relu(build.batch_norm(x, "bn1"), "relu")
        if max_pool:
            options = {"data_format": "channels_last", "dtype": dtype}
            x = layers.ZeroPadding2D(1, **options, name="maxpool_pad")(x)
            x = layers.MaxPooling2D(3, 2, **options, name="maxpool")(x)
        block = build.bottleneck if bottleneck else build.basic
        for stage, count in enumerate(blocks):
            for number in range(count):
                stride = 2 if stage > 0 and number == 0 else 1
                x = block(x, width * 2**stage, stride, f"layer{stage + 1}_{number}")
        super().__init__(inputs, x, name=name)
        self.keep(
            seed,
            dtype,
            trainable,
            blocks=blocks,
            bottleneck=bottleneck,
            width=width,
            normalize_images=normalize_images,
            max_pool=max_pool,
            groups=groups,
            group_width=group_width,
            mean=mean,
            std=std,
        )


class _Blocks(Builder):
    """A residual network's blocks.

    Args:
        groups: of a bottleneck's 3x3 convolution.
        group_width: channels of each group for a block of 64 channels; more for wider ones.
        **kwargs: as for `Builder`.
    """

    def __init__(self, groups: int, group_width: int, **kwargs):
        super().__init__(**kwargs)
        self.groups, self.group_width = groups, group_width

    def relu(self, x, name):
        return self.activation(x, "relu", name)

    def shortcut(self, x, filters, stride, name):
        if stride == 1 and x.shape[-1] == filters:
            return x
        x = self.convolution(x, filters, 1, stride, f"{name}_downsample_0")
        return self.batch_norm(x, f"{name}_downsample_1")

    def join(self, x, shortcut, name):
        return self.relu(self.add(x, shortcut, f"{name}_add"), f"{name}_relu")

    def basic(self, x, width, stride, name):
        y = self.convolution(x, width, 3, stride, f"{name}_conv1")
        y = self.relu(self.batch_norm(y, f"{name}_bn1"), f"{name}_relu1")
        y = self.batch_norm(self.convolution(y, width, 3, 1, f"{name}_conv2"), f"{name}_bn2")
        return self.join(y, self.shortcut(x, width, stride, name), name)

    def bottleneck(self, x, width, stride, name):
        inner = width * self.group_width // 64 * self.groups  # as torchvision rounds it
        y = self.convolution(x, inner, 1, 1, f"{name}_conv1")
        y = self.relu(self.batch_norm(y, f"{name}_bn1"), f"{name}_relu1")
        y = self.convolution(y, inner, 3, stride, f"{name}_conv2", groups=self.groups)
        y = self.relu(self.batch_norm(y, f"{name}_bn2"), f"{name}_relu2")
        y = self.batch_norm(self.convolution(y, 4 * width, 1, 1, f"{name}_conv3"), f"{name}_bn3")
        return self.join(y, self.shortcut(x, 4 * width, stride, name), name)


def resnet18(**kwargs: Any) -> ResNet:
    """ResNet-18: 11.2 M parameters, 512 channels.

    Args:
        **kwargs: as for `ResNet`.
    """
    return ResNet((2, 2, 2, 2), bottleneck=False, **({"name": "resnet18"} | kwargs))


def resnet34(**kwargs: Any) -> ResNet:
    """ResNet-34: 21.3 M parameters, 512 channels.

    Args:
        **kwargs: as for `ResNet`.
    """
    return ResNet((3, 4, 6, 3), bottleneck=False, **({"name": "resnet34"} | kwargs))


def resnet50(**kwargs: Any) -> ResNet:
    """ResNet-50: 23.5 M parameters, 2048 channels.

    Args:
        **kwargs: as for `ResNet`.
    """
    return ResNet((3, 4, 6, 3), bottleneck=True, **({"name": "resnet50"} | kwargs))
