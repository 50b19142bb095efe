"""Pooling of a feature map by a vocabulary of what its places show, weighted by a rationale."""

from typing import Any

import keras
from keras import ops

from keras_cr._numbers import positive_number, whole_number
from keras_cr._types import Config, Shape, Tensor

_LEAST = 1e-6  # added to a magnitude before its root, whose slope is then finite


@keras.saving.register_keras_serializable(package="keras_cr")
class VLADPooling(keras.layers.Layer):
    """Pools a feature map by how its places differ from the visual words that they are alike to.

    An average says how much of each channel there is; a vector of locally aggregated descriptors
    says it of each kind of place, a beak's and a wing's, for itself (Jégou et al., "Aggregating
    Local Descriptors into a Compact Image Representation", CVPR 2010). With `x(p)` the place's
    feature at unit length, `a_k(p) = softmax_k(-|x(p) - c_k|^2 / temperature)` (the soft assignment
    of NetVLAD, Arandjelović et al., CVPR 2016) and `w(p)` the rationale, smoothed and of sum 1:

        z_k = sum_p w(p) a_k(p) (x(p) - c_k)

    All of `z` is taken to its signed square root (Perronnin et al., ECCV 2010), projected onto the
    directions in which training images differ most (Jégou and Chum, ECCV 2012, without whitening),
    and scaled to unit length; in float32 whatever the dtype policy. Only places that the rationale
    marks are described, which is why it needs one: with equal weights it is worse than an average
    (docs/results/loop.md).

    Words and projection are not trained: `keras_cr.rationale.fit_vocabulary` finds them, and
    `fit_rationale` does so for an encoder with `pooling="rationale_vlad"`. Before, all words are
    zero and the projection is random.

    Args:
        num_words: number of visual words, `K`.
        dimensions: length of the result.
        temperature: of the soft assignment; near 0 a place belongs to its nearest word alone.
        smoothing: standard deviation of the Gaussian that smooths the rationale, as a share of the
            map's side: the edge of an object is a part of it. 0: none.
        seed: of the projection before it is fitted.
        **kwargs: as for `keras.layers.Layer`.

    Input shape:
        `(B, H, W, C)`, a feature map, and `(B, H, W)`, weights of 0 or more. Without weights, or
        where all of an image's are 0, all places have the same.

    Output shape:
        `(B, dimensions)`, float32 (float64 under a float64 policy), unit length.

    Raises:
        ValueError: an argument is not positive, or `smoothing` is below 0.

    Example:

    >>> VLADPooling(num_words=8)(feature_map, rationale)
    """

    CHOICES = ("num_words", "dimensions", "temperature", "smoothing", "seed")

    def __init__(
        self,
        num_words: int = 8,
        dimensions: int = 256,
        temperature: float = 0.1,
        smoothing: float = 0.06,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.num_words = whole_number("num_words", num_words)
        self.dimensions = whole_number("dimensions", dimensions)
        self.temperature = positive_number("temperature", temperature)
        self.smoothing = float(smoothing) and positive_number("smoothing", smoothing)
        self.seed = seed

    def build(self, feature_map_shape: Shape, rationale_shape: Shape | None = None) -> None:
        words = (self.num_words, feature_map_shape[-1])
        spread = (words[0] * words[1]) ** -0.5
        self.words = self.add_weight(
            name="words", shape=words, initializer="zeros", trainable=False
        )
        self.projection = self.add_weight(
            name="projection",
            shape=(*words, self.dimensions),
            initializer=keras.initializers.RandomNormal(stddev=spread, seed=self.seed),
            trainable=False,
        )

    @property
    def fitted(self) -> bool:
        """Whether it has words."""
        return bool(ops.convert_to_numpy(self.words).any())

    def call(self, feature_map: Tensor, rationale: Tensor | None = None) -> Tensor:
        rooted = self.rooted(feature_map, rationale)
        flat = ops.reshape(rooted, (-1, rooted.shape[1] * rooted.shape[2]))
        projection = ops.reshape(ops.cast(self.projection, flat.dtype), (-1, self.dimensions))
        return _unit(ops.matmul(flat, projection))

    def rooted(self, feature_map: Tensor, rationale: Tensor | None = None) -> Tensor:
        """The signed square roots of `residuals`, which are projected: `(B, K, C)`."""
        residuals = self.residuals(feature_map, rationale)
        return residuals * _root_scale(residuals)

    def residuals(self, feature_map: Tensor, rationale: Tensor | None = None) -> Tensor:
        """What `z` is above: `(B, K, C)`."""
        features, shares, words = self._places(feature_map, rationale)
        summed = ops.einsum("bhwk,bhwc->bkc", shares, features)
        # not `[..., None]`, which LiteRT has no operation for
        return summed - ops.expand_dims(ops.sum(shares, axis=(1, 2)), -1) * words

    def assignment(self, feature_map: Tensor) -> Tensor:
        """How much each place belongs to each word: `(B, H, W, K)`, of sum 1 at each place."""
        return self._assigned(*self._features(feature_map))

    def parts(self, feature_map: Tensor, rationale: Tensor | None = None) -> Tensor:
        """What each place contributes to the result: `(B, H, W, dimensions)`, whose sum it is."""
        features, shares, words = self._places(feature_map, rationale)
        residuals = shares[..., None] * (features[..., None, :] - words)
        scale = _root_scale(ops.sum(residuals, axis=(1, 2), keepdims=True))
        projection = ops.cast(self.projection, scale.dtype)
        found = ops.einsum("bhwkc,kcd->bhwd", residuals * scale, projection)
        summed = ops.sum(found, axis=(1, 2), keepdims=True)
        return found / ops.maximum(ops.norm(summed, axis=-1, keepdims=True), 1e-12)

    def _features(self, feature_map):
        """Features of unit length `(B, H, W, C)`, and the words."""
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        return _unit(ops.cast(feature_map, dtype)), ops.cast(self.words, dtype)

    def _assigned(self, features, words):
        """`(B, H, W, K)`: `|x|` is 1 for every word, so that it may be left out."""
        # A convolution takes maps of unknown sizes in LiteRT, whose matrix products don't.
        kernel = ops.expand_dims(ops.transpose(words), (0, 1))
        alike = ops.conv(features, 2 * kernel, data_format="channels_last")
        return ops.softmax((alike - ops.sum(words**2, axis=-1)) / self.temperature, axis=-1)

    def _places(self, feature_map, rationale):
        """Features `(B, H, W, C)`, `w(p) a_k(p)` as `(B, H, W, K)`, and the words."""
        features, words = self._features(feature_map)
        shares = self._assigned(features, words)
        if rationale is None:
            rationale = ops.ones_like(features[..., 0])
        weights = ops.expand_dims(self.smoothed(ops.cast(rationale, features.dtype)), -1)
        total = ops.sum(weights, axis=(1, 2), keepdims=True)
        weights = ops.where(total > 0, weights, ops.ones_like(weights))
        weights = weights / ops.sum(weights, axis=(1, 2), keepdims=True)
        return features, shares * weights, words

    def smoothed(self, rationale: Tensor) -> Tensor:
        """The weights `(B, H, W)` as they are used, but for their sum."""
        if not self.smoothing:
            return rationale
        rows, columns = (self._gaussian(ops.shape(rationale)[axis]) for axis in (1, 2))
        rows, columns = (ops.cast(each, rationale.dtype) for each in (rows, columns))
        # with an axis of the images, for LiteRT as well
        rows, columns = (ops.expand_dims(each, 0) for each in (rows, ops.transpose(columns)))
        return ops.matmul(ops.matmul(rows, rationale), columns)

    def _gaussian(self, size):
        """(size, size): each place's weights of all places, of 1 in all."""
        places = ops.cast(ops.arange(size), "float32")
        apart = (ops.expand_dims(places, 1) - places) / (self.smoothing * ops.cast(size, "float32"))
        return ops.softmax(-0.5 * apart**2, axis=-1)

    def compute_output_shape(
        self, feature_map_shape: Shape, rationale_shape: Shape | None = None
    ) -> Shape:
        return (feature_map_shape[0], self.dimensions)

    def choices(self) -> Config:
        """The arguments above, but for what every layer has."""
        return {name: getattr(self, name) for name in self.CHOICES}

    def get_config(self) -> Config:
        return super().get_config() | self.choices()


def _root_scale(values):
    """What takes values to their signed square root: `1 / sqrt(|value|)`."""
    return 1 / ops.sqrt(ops.abs(values) + _LEAST)


def _unit(values):
    return ops.normalize(values, axis=-1, epsilon=1e-12)
