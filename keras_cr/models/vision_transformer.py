"""Vision transformers, as timm defines them; DINOv2's and SigLIP's image tower are such."""

import keras
from keras import layers

from keras_cr._numbers import plain_seed, sides, whole_number
from keras_cr._types import Dtype
from keras_cr.layers import LayerScale, PatchPositions, PrefixTokens, TokensToMap
from keras_cr.models.building import Builder
from keras_cr.models.class_token import WithClassToken
from keras_cr.models.described import Described
from keras_cr.models.normalization import IMAGENET_MEAN, IMAGENET_STD, centered


@keras.saving.register_keras_serializable(package="keras_cr")
class VisionTransformer(Described, WithClassToken):
    """A transformer over patches whose normalised patch tokens are the feature map.

    Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021; with learnt scales and registers
    as in Oquab et al., "DINOv2", TMLR 2024, and Darcet et al., "Vision Transformers Need
    Registers", ICLR 2024. Layers carry timm's names with `_` for `.`.

    Args:
        patch: side of a patch in pixels.
        grid: patches that the position embeddings were learnt for, `(h, w)` or a side; for images
            of another size they are interpolated, see `PatchPositions`.
        width: channels of a token.
        depth: number of blocks.
        heads: of the attention.
        hidden: units between a block's two dense layers.
        prefix: learnt tokens before the patches: class token and registers.
        class_token: whether the first of them is a class token, which an encoder with
            `concat_class_token=True` puts into its embedding.
        scaled: whether blocks have learnt scales.
        activation: Keras' name of it, `"gelu_tanh"` for GELU's approximation by tanh.
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
        `(B, H / patch, W / patch, width)`, rounded down.

    Example:

    >>> VisionTransformer(patch=16, grid=14, width=384, depth=12, heads=6)(images).shape
    TensorShape([8, 6, 6, 384])
    """

    arguments = (
        *("patch", "grid", "width", "depth", "heads", "hidden", "prefix", "scaled", "activation"),
        "class_token",
        *("normalize_images", "mean", "std"),
    )

    def __init__(
        self,
        patch: int = 16,
        grid: int | tuple[int, int] = 14,
        width: int = 384,
        depth: int = 12,
        heads: int = 6,
        hidden: int | None = None,
        prefix: int = 1,
        scaled: bool = False,
        activation: str = "gelu",
        normalize_images: bool = True,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        input_shape: tuple = (None, None, 3),
        seed: int | None = None,
        dtype: Dtype = None,
        name: str = "vit",
        trainable: bool = True,
        class_token: bool = True,
    ) -> None:
        patch, width = whole_number("patch", patch), whole_number("width", width)
        depth, heads = whole_number("depth", depth), whole_number("heads", heads)
        hidden = whole_number("hidden", 4 * width if hidden is None else hidden)
        grid, prefix = sides("grid", grid), whole_number("prefix", prefix, least=0)
        if width % heads:
            raise ValueError(f"`heads` must divide `width`. Received: heads={heads}, width={width}")
        seed, mean, std = plain_seed(seed), tuple(mean), tuple(std)
        build = _Blocks(heads, hidden, scaled, activation, dtype=dtype, seed=seed)
        inputs = keras.Input(tuple(input_shape), name="images")
        x = centered(inputs, mean, std, dtype) if normalize_images else inputs
        x = patches = build.patches(x, width, patch, "patch_embed")
        x = PatchPositions(grid, dtype=dtype, name="pos_embed")(x)
        x = build.tokens(x, prefix)
        for number in range(depth):
            x = build.block(x, f"blocks_{number}")
        tokens = build.norm(x, "norm")
        x = TokensToMap(skip=prefix, dtype=dtype, name="map")(tokens, patches)
        super().__init__(inputs, x, name=name)
        self.keep_class_token(inputs, x, tokens[:, 0] if class_token and prefix else None)
        self.keep(
            seed,
            dtype,
            trainable,
            patch=patch,
            grid=grid,
            width=width,
            depth=depth,
            heads=heads,
            hidden=hidden,
            prefix=prefix,
            class_token=bool(class_token),
            scaled=scaled,
            activation=activation,
            normalize_images=normalize_images,
            mean=mean,
            std=std,
        )


class _Blocks(Builder):
    """A vision transformer's parts.

    Args:
        heads, hidden, scaled, activation: as for `VisionTransformer`.
        **kwargs: as for `Builder`.
    """

    def __init__(self, heads: int, hidden: int, scaled: bool, activation: str, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.hidden, self.scaled = heads, hidden, scaled
        self.function = activation

    def initializer(self):
        return keras.initializers.TruncatedNormal(stddev=0.02, seed=self.seed())

    def tokens(self, x, prefix):
        if prefix:
            return PrefixTokens(prefix, dtype=self.dtype, name="prefix")(x)
        channels = x.shape[-1]
        return layers.Reshape((-1, channels), dtype=self.dtype, name="tokens")(x)

    def block(self, x, name):
        y = self.norm(x, f"{name}_norm1")
        y = layers.MultiHeadAttention(
            self.heads,
            x.shape[-1] // self.heads,
            kernel_initializer=self.initializer(),
            dtype=self.dtype,
            name=f"{name}_attn",
        )(y, y)
        x = self.add(x, self._scaled(y, f"{name}_ls1"), f"{name}_add1")
        y = self.dense(self.norm(x, f"{name}_norm2"), self.hidden, f"{name}_mlp_fc1")
        y = self.activation(y, self.function, f"{name}_mlp_act")
        y = self.dense(y, x.shape[-1], f"{name}_mlp_fc2")
        return self.add(x, self._scaled(y, f"{name}_ls2"), f"{name}_add2")

    def _scaled(self, x, name):
        return LayerScale(1e-5, dtype=self.dtype, name=name)(x) if self.scaled else x
