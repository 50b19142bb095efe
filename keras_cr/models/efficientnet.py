"""EfficientNet, Lite, V2 and MobileNetV3: networks of inverted residuals."""

import dataclasses
from collections.abc import Sequence

import keras
from keras import layers

from keras_cr._numbers import plain_seed, whole_number
from keras_cr._types import Dtype
from keras_cr.models.building import Builder
from keras_cr.models.described import Described
from keras_cr.models.normalization import IMAGENET_MEAN, IMAGENET_STD, centered

KINDS = ("separable", "inverted", "fused", "plain")
PADDINGS = ("symmetric", "same")


@dataclasses.dataclass(frozen=True)
class Block:
    """One block.

    Attributes:
        kind: `"inverted"` (1x1 up, depthwise, 1x1 down), `"separable"` (depthwise, 1x1),
            `"fused"` (convolution up, 1x1 down) or `"plain"` (a convolution).
        kernel: side of the depthwise, or the full, convolution.
        stride: of the same.
        hidden: channels of the depthwise convolution; of all that is between first and last.
        filters: channels at the end.
        squeeze: channels between the two layers of squeeze and excitation; 0: there is none.
        activation: Keras' name of it.
    """

    kind: str
    kernel: int
    stride: int
    hidden: int
    filters: int
    squeeze: int = 0
    activation: str = "silu"

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"`kind` of a block must be one of {KINDS}. Received: {self.kind!r}")
        for name in ("kernel", "stride", "hidden", "filters"):
            whole_number(name, getattr(self, name))

    @property
    def values(self) -> tuple:
        """As `EfficientNet` takes it."""
        return dataclasses.astuple(self)


@keras.saving.register_keras_serializable(package="keras_cr")
class EfficientNet(Described):
    """A network of inverted residuals without its classifier: images in, feature map out.

    Tan and Le, "EfficientNet", ICML 2019, and "EfficientNetV2", ICML 2021; Howard et al.,
    "Searching for MobileNetV3", ICCV 2019. Layers carry timm's names with `_` for `.`.
    keras.applications' networks pad and normalise as TensorFlow does, so weights that were trained
    in PyTorch give other maps there; here both ways exist.

    Args:
        stem: channels of the first convolution, 3x3 of stride 2.
        blocks: for each stage its blocks, each as the values of a `Block`.
        head: channels of the 1x1 convolution at the end; 0: there is none.
        stem_activation, head_activation: Keras' names of what follows both.
        squeeze_activation: inside of squeeze and excitation.
        gate: Keras' name of what ends squeeze and excitation.
        epsilon: of batch normalisation.
        padding: of strided convolutions: `"symmetric"` as in PyTorch, `"same"` as in TensorFlow.
        normalize_images: whether the network itself normalises RGB 0..255 by `mean` and `std`.
            False: the caller passes normalised images.
        mean, std: what is taken off and divided by, as shares of 255.
        input_shape: `(H, W, 3)`, `H` and `W` may be None.
        seed: seed of the initial weights.
        dtype: dtype policy of every layer.
        name: the model's name.
        trainable: whether its weights are trained.

    Input shape:
        `(B, H, W, 3)`, RGB 0..255.

    Output shape:
        `(B, h, w, C)`: the sides over the strides, rounded up; `C` is `head`, or the last block's.

    Example:

    >>> EfficientNet(16, [[("fused", 3, 2, 32, 24)], [("inverted", 3, 2, 96, 48, 6)]], 128)
    """

    arguments = (
        *("stem", "blocks", "head", "stem_activation", "head_activation", "squeeze_activation"),
        *("gate", "epsilon", "padding", "normalize_images", "mean", "std"),
    )

    def __init__(
        self,
        stem: int,
        blocks: Sequence[Sequence[Sequence]],
        head: int = 0,
        stem_activation: str = "silu",
        head_activation: str = "silu",
        squeeze_activation: str = "silu",
        gate: str = "sigmoid",
        epsilon: float = 1e-5,
        padding: str = "symmetric",
        normalize_images: bool = True,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        input_shape: tuple = (None, None, 3),
        seed: int | None = None,
        dtype: Dtype = None,
        name: str = "efficientnet",
        trainable: bool = True,
    ) -> None:
        if padding not in PADDINGS:
            raise ValueError(f"`padding` must be one of {PADDINGS}. Received: padding={padding!r}")
        blocks = tuple(tuple(tuple(block) for block in stage) for stage in blocks)
        stem, head = whole_number("stem", stem), whole_number("head", head, least=0)
        seed, mean, std = plain_seed(seed), tuple(mean), tuple(std)
        build = _Blocks(
            squeeze_activation, gate, dtype=dtype, seed=seed, epsilon=epsilon, padding=padding
        )
        inputs = keras.Input(tuple(input_shape), name="images")
        x = centered(inputs, mean, std, dtype) if normalize_images else inputs
        x = build.convolution(x, stem, 3, 2, "conv_stem")
        x = build.activated(x, "bn1", stem_activation)
        for stage, members in enumerate(blocks):
            for number, block in enumerate(members):
                x = build.block(x, Block(*block), f"blocks_{stage}_{number}")
        if head:
            x = build.convolution(x, head, 1, name="conv_head")
            x = build.activated(x, "bn2", head_activation)
        super().__init__(inputs, x, name=name)
        self.keep(
            seed,
            dtype,
            trainable,
            stem=stem,
            blocks=blocks,
            head=head,
            stem_activation=stem_activation,
            head_activation=head_activation,
            squeeze_activation=squeeze_activation,
            gate=gate,
            epsilon=epsilon,
            padding=padding,
            normalize_images=normalize_images,
            mean=mean,
            std=std,
        )


class _Blocks(Builder):
    """The four kinds of blocks, under timm's names.

    Args:
        squeeze_activation, gate: of squeeze and excitation.
        **kwargs: as for `Builder`.
    """

    def __init__(self, squeeze_activation: str, gate: str, **kwargs):
        super().__init__(**kwargs)
        self.squeeze_activation, self.gate = squeeze_activation, gate

    def activated(self, x, name, function):
        return self.activation(self.batch_norm(x, name), function, f"{name}_act")

    def block(self, x, block: Block, name: str):
        y = getattr(self, f"_{block.kind}")(x, block, name)
        if block.stride > 1 or x.shape[-1] != block.filters:
            return y
        return self.add(x, y, f"{name}_add")

    def _inverted(self, x, block, name):
        y = self.convolution(x, block.hidden, 1, name=f"{name}_conv_pw")
        y = self.activated(y, f"{name}_bn1", block.activation)
        y = self.depthwise(y, block.kernel, block.stride, f"{name}_conv_dw")
        y = self._squeezed(self.activated(y, f"{name}_bn2", block.activation), block, name)
        y = self.convolution(y, block.filters, 1, name=f"{name}_conv_pwl")
        return self.batch_norm(y, f"{name}_bn3")

    def _separable(self, x, block, name):
        y = self.depthwise(x, block.kernel, block.stride, f"{name}_conv_dw")
        y = self._squeezed(self.activated(y, f"{name}_bn1", block.activation), block, name)
        y = self.convolution(y, block.filters, 1, name=f"{name}_conv_pw")
        return self.batch_norm(y, f"{name}_bn2")

    def _fused(self, x, block, name):
        y = self.convolution(x, block.hidden, block.kernel, block.stride, f"{name}_conv_exp")
        y = self._squeezed(self.activated(y, f"{name}_bn1", block.activation), block, name)
        y = self.convolution(y, block.filters, 1, name=f"{name}_conv_pwl")
        return self.batch_norm(y, f"{name}_bn2")

    def _plain(self, x, block, name):
        y = self.convolution(x, block.filters, block.kernel, block.stride, f"{name}_conv")
        return self.activated(y, f"{name}_bn1", block.activation)

    def _squeezed(self, x, block, name):
        """Squeeze and excitation: channels weighted by what all places say together."""
        if not block.squeeze:
            return x
        options = {"data_format": "channels_last", "dtype": self.dtype}
        y = layers.GlobalAveragePooling2D(keepdims=True, **options, name=f"{name}_se_mean")(x)
        y = self.convolution(y, block.squeeze, 1, name=f"{name}_se_conv_reduce", bias=True)
        y = self.activation(y, self.squeeze_activation, f"{name}_se_act")
        y = self.convolution(y, x.shape[-1], 1, name=f"{name}_se_conv_expand", bias=True)
        y = self.activation(y, self.gate, f"{name}_se_gate")
        return layers.Multiply(dtype=self.dtype, name=f"{name}_se")([x, y])
