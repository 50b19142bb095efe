"""ConvNeXt, V1 and V2, as timm defines it."""

import keras

from keras_cr._numbers import plain_seed, whole_number
from keras_cr._types import Dtype
from keras_cr.layers import GlobalResponseNormalization, LayerScale
from keras_cr.models.building import Builder
from keras_cr.models.described import Described
from keras_cr.models.normalization import IMAGENET_MEAN, IMAGENET_STD, centered


@keras.saving.register_keras_serializable(package="keras_cr")
class ConvNeXt(Described):
    """A convolutional network in a transformer's form, without its classifier.

    Liu et al., "A ConvNet for the 2020s", CVPR 2022; Woo et al., "ConvNeXt V2", CVPR 2023. Layers
    carry timm's names with `_` for `.`. The layer normalisation that timm, torchvision and the
    authors apply to the averaged map is applied to each of its places, as Keras' own ConvNeXt does:
    the rationale pools channels of one scale. keras.applications' own ends in the same numbers, but
    has a grouped convolution, which TensorFlow can't train on a CPU, and neither V2 nor sizes below
    tiny.

    Args:
        depths: number of blocks in each stage; every stage but the first halves the map.
        widths: channels of each stage.
        version: 1 (a learnt scale for each block's channels) or 2 (global response normalisation).
        scaled: whether blocks of version 1 have that scale.
        normalized: whether the map is layer normalised at the end.
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
        `(B, H / 32, W / 32, C)` for four stages, rounded down; `C` is the last of `widths`.

    Example:

    >>> ConvNeXt((2, 2, 6, 2), (40, 80, 160, 320), version=2)(images).shape  # of (8, 96, 96, 3)
    TensorShape([8, 3, 3, 320])
    """

    arguments = (
        *("depths", "widths", "version", "scaled", "normalized"),
        *("normalize_images", "mean", "std"),
    )

    def __init__(
        self,
        depths: tuple[int, ...] = (3, 3, 9, 3),
        widths: tuple[int, ...] = (96, 192, 384, 768),
        version: int = 1,
        scaled: bool = True,
        normalized: bool = True,
        normalize_images: bool = True,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        input_shape: tuple = (None, None, 3),
        seed: int | None = None,
        dtype: Dtype = None,
        name: str = "convnext",
        trainable: bool = True,
    ) -> None:
        depths = tuple(whole_number("depths", count) for count in depths)
        widths = tuple(whole_number("widths", count) for count in widths)
        if len(depths) != len(widths) or not depths:
            raise ValueError(
                "`depths` and `widths` must have an entry for each stage. Received: "
                f"depths={depths}, widths={widths}"
            )
        if version not in (1, 2):
            raise ValueError(f"`version` must be 1 or 2. Received: version={version!r}")
        seed, mean, std = plain_seed(seed), tuple(mean), tuple(std)
        build = _Blocks(dtype=dtype, seed=seed)
        inputs = keras.Input(tuple(input_shape), name="images")
        x = centered(inputs, mean, std, dtype) if normalize_images else inputs
        x = build.norm(build.patches(x, widths[0], 4, "stem_0"), "stem_1")
        for stage, (count, width) in enumerate(zip(depths, widths, strict=True)):
            if stage > 0:
                x = build.norm(x, f"stages_{stage}_downsample_0")
                x = build.patches(x, width, 2, f"stages_{stage}_downsample_1")
            for number in range(count):
                x = build.block(x, version, scaled, f"stages_{stage}_blocks_{number}")
        if normalized:
            x = build.norm(x, "norm")
        super().__init__(inputs, x, name=name)
        self.keep(
            seed,
            dtype,
            trainable,
            depths=depths,
            widths=widths,
            version=version,
            scaled=scaled,
            normalized=normalized,
            normalize_images=normalize_images,
            mean=mean,
            std=std,
        )


class _Blocks(Builder):
    """A ConvNeXt's parts."""

    def initializer(self):
        return keras.initializers.TruncatedNormal(stddev=0.02, seed=self.seed())

    def block(self, x, version, scaled, name):
        y = self.depthwise(x, 7, name=f"{name}_conv_dw", bias=True)
        y = self.dense(self.norm(y, f"{name}_norm"), 4 * x.shape[-1], f"{name}_mlp_fc1")
        y = self.activation(y, "gelu", f"{name}_mlp_gelu")
        if version == 2:
            y = GlobalResponseNormalization(dtype=self.dtype, name=f"{name}_mlp_grn")(y)
        y = self.dense(y, x.shape[-1], f"{name}_mlp_fc2")
        if version == 1 and scaled:
            y = LayerScale(dtype=self.dtype, name=f"{name}_gamma")(y)
        return self.add(x, y, f"{name}_add")
