"""The random changes that make a view of an image, drawn statelessly.

Drawing and doing are apart: `plan` turns uniform numbers into what will be done, thousands of views
in one go, and `render` does it to one image, so that few operations are left for each image.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_cr.data._arguments import image_side

_TRIES = 10  # torchvision's RandomResizedCrop: ten draws, then a central crop
DRAWS = 2 * _TRIES + 16  # uniform numbers a view
_SOLARIZE_FROM = 128.0  # torchvision's and PIL's threshold
SMALL_SEED = 2  # folded into the views' seed for small crops; `draw` folds in 1
_HUE = 3  # position of the hue among brightness, contrast, saturation, hue
_LUMA = np.full((3, 1), 1, "float32") * np.array([0.299, 0.587, 0.114], "float32")
# What each of the four blends a pixel x with, as 6 x 6 matrices on (x, m), m the mean pixel:
# black, the mean's grey, the pixel's own grey, nothing.
_TOWARDS = np.zeros((4, 6, 6), "float32")
_TOWARDS[1, :3, 3:] = _TOWARDS[1, 3:, 3:] = _LUMA
_TOWARDS[2, :3, :3] = _TOWARDS[2, 3:, 3:] = _LUMA
_SHARES = (
    "jitter",
    "brightness",
    "contrast",
    "saturation",
    "grayscale",
    "blur",
    "flip",
    "solarize",
)


class ViewPlan(NamedTuple):
    """What is drawn for a view, or for any number of them along leading axes."""

    crops: tf.Tensor  # (..., tries, 2) height and width, in units of sqrt(image area)
    corner: tf.Tensor  # (..., 2) of the crop, 0 at the top left, 1 at the bottom right
    recolor: tf.Tensor  # (...) bool, as blur, solarize and flip
    mix: tf.Tensor  # (..., 4, 3, 3) of pixel and mean before the hue, of both after it
    turn: tf.Tensor  # (...) of the hue
    blur: tf.Tensor
    sigma: tf.Tensor  # (...) in pixels
    solarize: tf.Tensor
    flip: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The random changes that make a view: crop, colour jitter, grayscale, blur, solarize, flip.

    The defaults are MoCo v2's, the definitions torchvision's (the crop's ten tries, the colours'
    random order), but for three choices. A crop is resized bilinearly, and averaged by area where
    it shrinks to less than half: no pixel is skipped, cheaper than an antialiased resize.
    Colours are clipped to 0..255 before the hue and at the end, not after every step. The blur's
    kernel reaches three times its largest sigma, and no further than `kernel` says.

    Args:
        scale: Least and greatest share of the image's area in the crop.
        ratio: Least and greatest width / height of the crop.
        jitter: Probability that the colours are changed.
        brightness: Factors are drawn from [1 - brightness, 1 + brightness].
        contrast: The same, towards the image's mean grey.
        saturation: The same, towards each pixel's grey.
        hue: Largest turn of the hue, in turns of the colour circle, at most 0.5.
        grayscale: Probability that the view is grey.
        blur: Probability of a Gaussian blur.
        sigma: Least and greatest sigma of the blur in pixels of the view.
        kernel: Largest side of the blur's kernel, as a share of the view's side; None sets none.
        solarize: Probability that all values from 128 up are inverted.
        flip: Probability of a horizontal flip.

    Raises:
        ValueError: An argument leaves the range above.

    Example:

    >>> augmentation = Augmentation.moco_v2()
    >>> view = augmentation.apply(load_image("bird.jpg"), image_size=224, seed=(0, 1))
    """

    scale: tuple[float, float] = (0.2, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    jitter: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    grayscale: float = 0.2
    blur: float = 0.5
    sigma: tuple[float, float] = (0.1, 2.0)
    flip: float = 0.5
    kernel: float | None = None
    solarize: float = 0.0

    def __post_init__(self):
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: must lie in [0, 1]; received {getattr(self, name)}.")
        if self.kernel is not None and not 0 < self.kernel <= 1:
            raise ValueError(f"kernel: must lie in (0, 1] or be None; received {self.kernel}.")
        if not 0 <= self.hue <= 0.5:
            raise ValueError(f"hue: must lie in [0, 0.5]; received {self.hue}.")
        for name in ("scale", "ratio", "sigma"):
            low, high = getattr(self, name)
            if not 0 < low <= high or (name == "scale" and high > 1):
                allowed = "0 < low <= high" + (" <= 1" if name == "scale" else "")
                raise ValueError(f"{name}: must be {allowed}; received {(low, high)}.")

    @classmethod
    def moco_v2(cls) -> "Augmentation":
        """Returns the augmentation of MoCo v2 (arXiv 2003.04297), which the paper uses."""
        return cls()

    @classmethod
    def crop_and_flip(cls) -> "Augmentation":
        """Returns crops of 8 to 100 % of the area and flips, colours as they are: for labels."""
        return cls(scale=(0.08, 1.0), jitter=0.0, grayscale=0.0, blur=0.0)

    @classmethod
    def simclr(cls, strength: float = 1.0) -> "Augmentation":
        """Returns the augmentation of SimCLR (arXiv 2002.05709, appendix A).

        Args:
            strength: Of the colour jitter, in [0, 1.25]; SimCLR's is 1 on ImageNet and 0.5 on
                CIFAR-10.

        Raises:
            ValueError: `strength` is out of range.
        """
        if not 0 <= strength <= 1.25:  # 0.8 of it must not pass 1
            raise ValueError(f"strength: must lie in [0, 1.25]; received {strength}.")
        return cls(
            scale=(0.08, 1.0),
            brightness=0.8 * strength,
            contrast=0.8 * strength,
            saturation=0.8 * strength,
            hue=0.2 * strength,
            kernel=0.1,
        )

    @classmethod
    def byol(cls) -> tuple["Augmentation", "Augmentation"]:
        """Returns BYOL's two augmentations (arXiv 2006.07733, table 6), for the query and the key.

        The first always blurs; the second seldom does, and solarizes one view in five.

        Example:

        >>> views = two_views(train, 224, 32, augmentation=Augmentation.byol())
        """
        query = cls(scale=(0.08, 1.0), saturation=0.2, kernel=0.1, blur=1.0)
        return query, dataclasses.replace(query, blur=0.1, solarize=0.2)

    @classmethod
    def dino(cls) -> tuple["Augmentation", "Augmentation"]:
        """Returns DINO's two augmentations for convolutional networks (arXiv 2104.14294).

        BYOL's, but for a larger least crop and a blur without a limit of its kernel.
        """
        pair = cls.byol()
        return tuple(dataclasses.replace(each, scale=(0.14, 1.0), kernel=None) for each in pair)  # type: ignore[return-value]

    @classmethod
    def lejepa(cls) -> "Augmentation":
        """Returns the augmentation of LeJEPA's large views (arXiv 2511.08544)."""
        return cls(scale=(0.3, 1.0), saturation=0.2, solarize=0.2)

    def apply(self, image: tf.Tensor, image_size: int, seed: tf.Tensor) -> tf.Tensor:
        """Draws one view of one image; usable in a graph.

        Args:
            image: (H, W, 3), uint8, RGB 0..255.
            image_size: Side of the view in pixels.
            seed: Two integers; the view is a function of them and the image.

        Returns:
            (image_size, image_size, 3) float32 tensor in 0..255.
        """
        return self.render(image, image_side(image_size), self.plan(draw((), seed)))

    def plan(self, draws: tf.Tensor) -> ViewPlan:
        """Turns uniform numbers (..., DRAWS) into views: thousands in one go.

        Brightness, contrast and saturation are linear in a pixel x and the mean pixel m. Those
        before the hue make one 6 x 6 matrix on (x, m), and those after it, with the grayscale,
        another: two products an image instead of four passes.
        """
        tries, corner, change, order, rest = tf.split(draws, (2 * _TRIES, 2, 4, 4, 6), axis=-1)
        jitter, gray, blur, sigma, flip, solarize = tf.unstack(rest, axis=-1)
        jitter, gray = jitter < self.jitter, gray < self.grayscale

        area, ratio = tf.split(tries, 2, axis=-1)
        area = _between(area, *self.scale)
        ratio = tf.exp(_between(ratio, *map(math.log, self.ratio)))
        crops = tf.sqrt(tf.stack([area / ratio, area * ratio], axis=-1))

        change = tf.where(jitter[..., None], 2 * change - 1, 0.0)
        strengths = tf.constant([self.brightness, self.contrast, self.saturation, 0.0])
        factors = (1 + strengths * change)[..., None, None]
        steps = factors * tf.eye(6) + (1 - factors) * tf.constant(_TOWARDS)
        order = tf.argsort(order, axis=-1)
        steps = tf.gather(steps, order, axis=-3, batch_dims=order.shape.rank - 1)
        place, hue_place = tf.range(4), tf.argmax(order == _HUE, -1, tf.int32)[..., None]
        sides = tf.stack([place < hue_place, place > hue_place], axis=-2)[..., None, None]
        steps = tf.unstack(tf.where(sides, steps[..., None, :, :, :], tf.eye(6)), axis=-3)
        mix = steps[3] @ steps[2] @ steps[1] @ steps[0]
        grays = (gray[..., None] & tf.constant([False, True]))[..., None, None]
        mix = tf.where(grays, tf.constant(_TOWARDS[2]) @ mix, mix)[..., :3, :]
        mix = tf.stack([mix[..., :3], mix[..., 3:]], axis=-3)  # (..., 2 sides, 2 of x and m, 3, 3)
        mix = tf.concat(tf.unstack(mix, axis=-4), axis=-3)

        return ViewPlan(
            crops=crops,
            corner=corner,
            recolor=jitter | gray,
            mix=mix,
            turn=self.hue * change[..., _HUE],
            blur=blur < self.blur,
            sigma=_between(sigma, *self.sigma),
            solarize=solarize < self.solarize,
            flip=flip < self.flip,
        )

    def render(
        self,
        image: tf.Tensor,
        image_size: int,
        plan: ViewPlan,
        change: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Makes the view that `plan`, without leading axes, describes; else as `apply`.

        Args:
            image: (H, W, 3), uint8, RGB 0..255.
            image_size: As for `apply`.
            plan: From `plan`.
            change: What is done to the crop before its colours are changed, from it and its
                `crop_box`.
        """
        box = self.crop_box(tf.shape(image), plan)
        view = _crop(image, image_size, box)
        if change is not None:
            view = change(view, box)
        view = tf.cond(plan.recolor, lambda: _recolor(view, plan), lambda: view)
        view = tf.cond(plan.blur, lambda: self._blur(view, plan.sigma), lambda: view)
        if self.solarize:
            view = tf.cond(plan.solarize, lambda: _solarize(view), lambda: view)
        view = tf.cond(plan.flip, lambda: tf.reverse(view, [1]), lambda: view)
        view = tf.clip_by_value(view, 0.0, 255.0)  # the blur's rounding
        return tf.ensure_shape(view, (image_size, image_size, 3))

    def crop_box(self, shape: tf.Tensor, plan: ViewPlan) -> tf.Tensor:
        """Where the view that `plan` describes lies in an image of `shape`: (4,) int32 pixels.

        y, x, height, width of the first try that fits into the image, else of the central crop.
        """
        return tf.cast(self.crop_boxes(shape, plan, plan.corner[None])[0], tf.int32)

    def crop_boxes(self, shape: tf.Tensor, plan: ViewPlan, corners: tf.Tensor) -> tf.Tensor:
        """Where that view would lie with other corners (K, 2), as in a plan: (K, 4) float32."""
        sides = tf.cast(shape[:2], tf.float32)
        sizes = tf.maximum(tf.round(plan.crops * tf.sqrt(tf.reduce_prod(sides))), 1.0)
        central = tf.minimum(sides, sides[::-1] * [1 / self.ratio[0], self.ratio[1]])
        sizes = tf.concat([sizes, tf.round(central)[None]], axis=0)
        first = tf.argmax(tf.reduce_all(sizes <= sides, axis=1))
        size = tf.gather(sizes, first)
        corners = tf.where(first == _TRIES, 0.5, corners)
        firsts = tf.floor(corners * (sides - size + 1))
        return tf.concat([firsts, tf.broadcast_to(size, tf.shape(firsts))], axis=1)

    def _blur(self, view: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
        """Separable Gaussian blur of one sigma, reflected at the borders."""
        side = view.shape[0]
        radius = min(math.ceil(3 * self.sigma[1]), side - 1)
        if self.kernel is not None:
            radius = min(radius, int(self.kernel * side) // 2)
        offsets = tf.range(-radius, radius + 1, dtype=tf.float32)
        kernel = tf.nn.softmax(-0.5 * (offsets / sigma) ** 2)
        kernel = tf.tile(kernel[:, None, None, None], (1, 1, 3, 1))
        padding = [[0, 0], [radius, radius], [radius, radius], [0, 0]]
        view = tf.pad(view[None], padding, "REFLECT")
        view = tf.nn.depthwise_conv2d(view, kernel, (1, 1, 1, 1), "VALID")
        kernel = tf.transpose(kernel, (1, 0, 2, 3))
        return tf.nn.depthwise_conv2d(view, kernel, (1, 1, 1, 1), "VALID")[0]


def _crop(image: tf.Tensor, image_size: int, box: tf.Tensor) -> tf.Tensor:
    """The box of the image as a square; bilinear skips pixels only past half the size."""
    size = [image_size, image_size]
    crop = tf.slice(image, [box[0], box[1], 0], [box[2], box[3], 3])[None]
    view = tf.cond(
        tf.reduce_max(box[2:]) > 2 * image_size,
        lambda: tf.image.resize(crop, size, "area"),
        lambda: tf.image.resize(crop, size, "bilinear"),
    )
    return tf.ensure_shape(view[0], (image_size, image_size, 3))


def _recolor(view: tf.Tensor, plan: ViewPlan) -> tf.Tensor:
    """The steps before the hue, the hue, the steps after it; pixels as rows."""

    def mix(pixels, of_pixel, of_mean):
        mean = tf.reduce_mean(pixels, axis=0, keepdims=True)
        pixels = tf.matmul(pixels, of_pixel, transpose_b=True)
        pixels += tf.matmul(mean, of_mean, transpose_b=True)
        return tf.clip_by_value(pixels, 0.0, 255.0)

    matrices = tf.unstack(plan.mix)
    pixels = mix(tf.reshape(view, (-1, 3)), *matrices[:2])
    pixels = tf.image.adjust_hue(pixels[None], plan.turn)[0]
    return tf.reshape(mix(pixels, *matrices[2:]), view.shape)


def _solarize(view: tf.Tensor) -> tf.Tensor:
    return tf.where(view < _SOLARIZE_FROM, view, 255.0 - view)


def draw(shape: tuple[int, ...], seed: tf.Tensor) -> tf.Tensor:
    """Uniform numbers (*shape, DRAWS) for `Augmentation.plan`, a function of two integers.

    The solarization's come from a seed of their own: it was added last, and a run started before
    goes on with the numbers it had.
    """
    seeds = {DRAWS - 1: seed, 1: tf.random.fold_in(seed, 1)}
    numbers = [tf.random.stateless_uniform((*shape, n), s, alg="philox") for n, s in seeds.items()]
    return tf.concat(numbers, axis=-1)


def by_kind(
    drawing: Callable[[int, tf.Tensor], tf.Tensor],
    views: int,
    small: int,
    seed: tf.Tensor,
    axis: int = 1,
) -> tf.Tensor:
    """What `drawing` gives of a number of views and a seed, side by side along `axis`.

    The last `small` views are small crops, which have a seed of their own: the others stay as they
    are without them.
    """
    draws = [drawing(views - small, seed)]
    if small:
        draws.append(drawing(small, tf.random.fold_in(seed, SMALL_SEED)))
    return tf.concat(draws, axis=axis)


def _between(draw: tf.Tensor, low: float, high: float) -> tf.Tensor:
    return low + (high - low) * draw
