"""Whether a backbone has a feature map for images of some size, known before it runs.

TensorFlow's kernels end the process on a map that has shrunk to nothing, so a size is tried on
shapes alone.
"""

from collections.abc import Callable

import keras

from keras_cr._types import Images, Tensor

_LARGEST = 1024  # pixels; a backbone that has no map of images this large is left to itself


class MapSize:
    """The size of a backbone's feature maps by the size of the images.

    Args:
        backbone: a Keras model from `(B, H, W, 3)` to `(B, h, w, C)`.
    """

    def __init__(self, backbone: keras.Model) -> None:
        self.backbone = backbone
        self._known: dict[tuple[int, int], tuple[int, int] | None] = {}
        self._least: tuple[int, int] | None = None

    def of(self, height: int, width: int) -> tuple[int, int] | None:
        """Height and width of the map; None where the backbone has none for such images."""
        if (height, width) not in self._known:
            self._known[height, width] = self._computed(height, width)
        return self._known[height, width]

    def check(self, height: int | None, width: int | None) -> None:
        """Refuses a size whose map has no place to weigh, or a single one; None is not looked at.

        Raises:
            ValueError: it is too small for the backbone, or another than the backbone's only one.
        """
        if height is None or width is None:
            return
        if self.fixed not in (None, (height, width)):
            raise ValueError(
                f"Images must be of {self.fixed} pixels for the backbone {self.backbone.name!r}, "
                "which was built for that size: resize them, or give adapt_backbone the "
                f"`image_size` you need, where that is possible. Received: {(height, width)}"
            )
        found = self.of(height, width)
        if found is None or found == (1, 1):
            places, size = ("none", "no map") if found is None else ("only one", "map 1 x 1")
            raise ValueError(
                f"A rationale weighs the places of a feature map, and this map has {places}. Use "
                "larger images (64 pixels or more for a ResNet) or a backbone with a smaller "
                f"stride. Received: {size} for images of {(height, width)}"
            )

    @property
    def fixed(self) -> tuple[int, int] | None:
        """Height and width of the only images that the backbone takes; None where it takes any."""
        try:
            shape = self.backbone.input_shape
        except (AttributeError, ValueError):  # a subclassed model
            return None
        sides = shape[1:3] if isinstance(shape, tuple) and len(shape) == 4 else (None,)
        return None if None in sides else tuple(sides)

    @property
    def smallest(self) -> int:
        """Side in pixels from which a square image's map has several places."""
        return max(self.fixed or (self._smallest()[1],))

    def guarded(self, images: Images) -> Tensor:
        """The same images; in a graph of TensorFlow that takes any size, wrong ones end it.

        Raises:
            tf.errors.InvalidArgumentError: when the graph runs.
        """
        unknown = None in tuple(images.shape)[1:3]
        symbolic = isinstance(images, keras.KerasTensor)
        if not unknown or symbolic or keras.backend.backend() != "tensorflow":
            return images
        import tensorflow as tf

        sides = tf.shape(images)[1:3]
        if self.fixed:
            right = tf.reduce_all(sides == self.fixed)
            told = f"Images must be of {self.fixed} pixels for this backbone. Received:"
        else:
            least, several = self._smallest()
            right = tf.reduce_all(sides >= least) & tf.reduce_any(sides >= several)
            told = (
                "A rationale weighs the places of a feature map, and this backbone has none or "
                f"only one for such small images. Use images of {several} pixels or more. Received:"
            )
        with tf.control_dependencies([tf.debugging.Assert(right, [told, sides])]):
            return tf.identity(images)

    def _smallest(self) -> tuple[int, int]:
        """Sides in pixels from which a square's map has a place, and several."""
        if self._least is None:
            self._least = (
                _first(lambda side: self.of(side, side) is not None),
                _first(lambda side: self.of(side, side) not in (None, (1, 1))),
            )
        return self._least

    def _computed(self, height: int, width: int) -> tuple[int, int] | None:
        taken = getattr(self.backbone, "input_shape", None)
        channels = taken[-1] if isinstance(taken, tuple) else None
        shape = (1, height, width, channels or 3)
        found = _sides(lambda: self.backbone.compute_output_shape(shape))
        if found not in (None, (1, 1)):
            return found
        # A subclassed model has no compute_output_shape; a call without values tells.
        return _sides(lambda: self.backbone(keras.Input(batch_shape=shape)).shape)


def _sides(shape_of: Callable) -> tuple[int, int] | None:
    """Height and width of the shape that a function returns, or None where it fails."""
    try:
        sides = tuple(shape_of())[1:3]
    except Exception:  # what a layer fails with at no place left is its own
        return None
    return None if None in sides or min(sides) < 1 else sides


def _first(holds) -> int:
    """The smallest whole number from which `holds`, once it does."""
    low, high = 0, 1
    while not holds(high) and high < _LARGEST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
