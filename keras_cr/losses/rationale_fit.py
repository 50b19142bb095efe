"""The loss that fits the branch's map to the GradCAM (arXiv 2303.01669)."""

import keras
from keras import ops

from keras_cr._types import Config, Tensor
from keras_cr.layers.min_max import min_max_normalize


@keras.saving.register_keras_serializable(package="keras_cr")
class RationaleFit(keras.losses.Loss):
    """KL divergence of the branch's map from a GradCAM, both as distributions over places.

    `KL(softmax(G / t) || softmax(A / t))`, or `mean((G - A)^2)` over the places, in float32.

    Args:
        temperature: divides both maps before the softmax; plays no part with `over="places"`.
        target_normalization: `"image"` scales every target map to 0..1 first; `"none"` takes it as
            it is (a raw GradCAM is about 1e-3 high, and its softmax is then almost uniform).
        over: `"map"` takes one softmax over all places of an image, `"rows"` one over each row of
            the map and adds the rows up, `"places"` none: the squared error of each place.
        reduction: `"mean"` or `"sum"` over the images, or `"none"`.
        name: the loss' name.

    Call arguments:
        y_true: GradCAM, shape `(B, H, W)`.
        y_pred: the branch's map, shape `(B, H, W)`.

    Raises:
        ValueError: an argument has none of the values above, or the map has a single place.

    Example:

    >>> RationaleFit(temperature=0.2)(cam, rationale)
    """

    def __init__(
        self,
        temperature: float = 0.2,
        target_normalization: str = "image",
        over: str = "map",
        reduction: str = "mean",
        name: str = "rationale_fit",
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype="float32")
        if temperature <= 0:
            raise ValueError(f"`temperature` must be positive. Received: {temperature!r}")
        if target_normalization not in ("image", "none"):
            raise ValueError(
                "`target_normalization` must be 'image' or 'none'. "
                f"Received: {target_normalization!r}"
            )
        if over not in ("map", "rows", "places"):
            raise ValueError(f"`over` must be 'map', 'rows' or 'places'. Received: over={over!r}")
        self.temperature = temperature
        self.target_normalization = target_normalization
        self.over = over

    def target(self, cam: Tensor) -> Tensor:
        """The distribution the branch is asked for: `(B, 1 or H, places)`.

        With `over="places"` the heights that it is asked for, divided by their sum; uniform where
        that is 0.
        """
        cam = ops.cast(cam, "float32")
        if self.over != "places":
            return ops.exp(self._log_target(cam))
        heights = ops.reshape(self._scaled(cam), (ops.shape(cam)[0], 1, -1))
        total = ops.sum(heights, axis=-1, keepdims=True)
        uniform = ops.ones_like(heights) / ops.cast(ops.shape(heights)[-1], "float32")
        return ops.where(total > 0, heights / ops.maximum(total, 1e-30), uniform)

    def target_entropy(self, cam: Tensor) -> Tensor:
        """Entropy of the target as a share of a uniform one's, shape `(B,)`; 1: it says nothing."""
        if self.over == "places":
            target = self.target(cam)
            log_target = ops.log(ops.maximum(target, 1e-30))
        else:
            log_target = self._log_target(ops.cast(cam, "float32"))
            target = ops.exp(log_target)
        entropy = -ops.sum(target * log_target, axis=-1)
        places = ops.cast(ops.shape(log_target)[-1], "float32")
        return ops.mean(entropy, axis=-1) / ops.log(places)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        if y_pred.shape[1:] == (1, 1):
            raise ValueError(
                "The map has a single place, so there is nothing to fit. Use larger images "
                f"(64 pixels or more for a ResNet). Received: map of shape {tuple(y_pred.shape)}"
            )
        if self.over == "places":
            return ops.mean(ops.square(self._scaled(y_true) - y_pred), axis=(1, 2))
        log_target = self._log_target(y_true)
        log_map = self._log_softmax(y_pred)
        return ops.sum(ops.exp(log_target) * (log_target - log_map), axis=(1, 2))

    def _scaled(self, cam):
        if self.target_normalization == "none":
            return cam
        # A batch-mean loss leaves peaks of 1e-3 down to 1e-7: an epsilon far below them.
        return min_max_normalize(cam, epsilon=1e-20)

    def _log_target(self, cam):
        return self._log_softmax(self._scaled(cam))

    def _log_softmax(self, maps):
        height, width = ops.shape(maps)[1:]
        rows = 1 if self.over == "map" else height
        maps = ops.reshape(maps, (-1, rows, height * width // rows))
        return ops.log_softmax(maps / self.temperature, axis=-1)

    def get_config(self) -> Config:
        return {
            "temperature": self.temperature,
            "target_normalization": self.target_normalization,
            "over": self.over,
            "reduction": self.reduction,
            "name": self.name,
        }
