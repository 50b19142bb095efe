"""Pixels of a synthetic bird in its scene: place, antialiasing and light."""

import itertools
import math
from types import ModuleType

import numpy as np

from keras_cr.data.synthetic import parts
from keras_cr.data.synthetic.drawing import Shape, draw_bird, move
from keras_cr.data.synthetic.scenery import FAMILIES, branch, draw_scene

_PREFERENCE = 0.7
"""How often a class has its own family of background, where backgrounds go with classes."""
_MARGIN = 0.02


def pillow() -> tuple[ModuleType, ...]:
    try:
        from PIL import Image, ImageDraw, ImageFilter
    except ImportError as error:
        raise ImportError(
            'Drawing and writing images needs Pillow: pip install "keras-cr[recipes]"'
        ) from error
    return Image, ImageDraw, ImageFilter


def draw_image(
    key: tuple[int, int, int], size: int, seed: int, correlated: bool
) -> tuple[np.ndarray, np.ndarray]:
    """One image and its mask.

    Args:
        key: class, split (0 training, 1 test) and number of the image.
        size: side in pixels.
        seed: the data set's seed.
        correlated: whether the class has a preferred family of background.

    Returns:
        The image `(size, size, 3)`, uint8, and the mask `(size, size)`, bool: the pixels that the
        bird covers by half or more.
    """
    Image, _, ImageFilter = pillow()
    label = key[0]
    # Bird and scene have a generator each: the birds are the same under every kind of background.
    bird_rng, scene_rng = (np.random.default_rng([seed, *key, part]) for part in (0, 1))

    shapes, feet = draw_bird(parts.species(label), bird_rng)
    angle, squash = np.clip(bird_rng.normal(0, 14), -35, 35), bird_rng.uniform(0.86, 1)
    pose = {"angle": angle, "scale": (squash * bird_rng.choice((-1, 1)), 1)}
    shapes = move(shapes, **pose)
    scale, shift = _place(shapes, bird_rng)
    shapes = move(shapes, scale=scale, at=shift)

    likes, family = scene_rng.random() < _PREFERENCE, FAMILIES[scene_rng.integers(len(FAMILIES))]
    if correlated and likes:
        family = FAMILIES[label % len(FAMILIES)]
    far, scene, bark = draw_scene(family, scene_rng)
    width = scene_rng.uniform(0.012, 0.04)
    if feet is not None:
        [(feet, _)] = move([(feet[None], bark)], **pose)
        perch = feet[0] * scale + shift + (0, 0.7 * width)
        scene += branch(scene_rng, perch, bark, width)

    # Drawn two and three times as large, then averaged: the figure's alpha is the share of each
    # pixel that the bird covers.
    backdrop = Image.fromarray(far.astype(np.uint8)).resize((2 * size, 2 * size), Image.BICUBIC)
    backdrop = _paint(backdrop, scene, 2 * size).reduce(2)
    picture = backdrop.filter(ImageFilter.GaussianBlur(scene_rng.uniform(0, 0.9) * size / 96))
    figure = _paint(Image.new("RGBA", (3 * size, 3 * size)), shapes, 3 * size).reduce(3)
    picture.paste(figure, mask=figure)

    picture = _light(np.float32(picture), scene_rng)  # type: ignore[arg-type]
    lit = Image.fromarray(np.uint8(np.clip(picture, 0, 255)))
    if scene_rng.random() < 0.5:
        lit = lit.filter(ImageFilter.GaussianBlur(scene_rng.uniform(0.2, 0.7) * size / 96))
    grain = scene_rng.standard_normal(picture.shape, np.float32)
    grain *= np.float32(scene_rng.uniform(1, 7))
    image = np.clip(np.float32(lit) + grain, 0, 255).astype(np.uint8)
    return image, np.asarray(figure.getchannel("A")) >= 128


def _outlines(shapes: list[Shape], scale: float) -> list[list[float]]:
    """Each shape's points as Pillow takes them: x, y, x, y, ..."""
    flat = (np.concatenate([points for points, _ in shapes]) * scale).ravel().tolist()
    ends = itertools.accumulate(2 * len(points) for points, _ in shapes)
    return [flat[end - 2 * len(old) : end] for (old, _), end in zip(shapes, ends, strict=True)]


def _paint(picture, shapes: list[Shape], scale: float):
    """Draws shapes on a picture: in their colours, or all white where it has one channel."""
    _, ImageDraw, _ = pillow()
    draw, fills = ImageDraw.Draw(picture), itertools.repeat(255, len(shapes))
    if picture.mode != "L":
        colours = np.clip([colour for _, colour in shapes], 0, 255).astype(int)
        fills = map(tuple, colours.tolist())
    for outline, fill in zip(_outlines(shapes, scale), fills, strict=True):
        draw.polygon(outline, fill=fill)
    return picture


def _place(shapes: list[Shape], rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Scale and shift that make a bird fill a random share of the unit square, and lie inside."""
    Image, _, _ = pillow()
    points = np.concatenate([points for points, _ in shapes])
    low, size = points.min(axis=0), np.ptp(points, axis=0)
    coarse = 64 / size.max()
    silhouette = _paint(Image.new("L", (64, 64)), move(shapes, at=-low), coarse)
    area = np.count_nonzero(silhouette) / coarse**2
    scale = min(math.sqrt(rng.uniform(0.13, 0.34) / area), (1 - 2 * _MARGIN) / size.max())
    room = 1 - 2 * _MARGIN - scale * size
    return scale, _MARGIN + rng.uniform(0, 1, 2) * room - scale * low


def _light(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A picture `(size, size, 3)` under another light: contrast, brightness, cast, soft shadows."""
    Image, _, _ = pillow()
    shade = Image.fromarray(rng.uniform(0.72, 1.18, (3, 3)).astype(np.float32))
    shade = np.asarray(shade.resize(picture.shape[:2], Image.BICUBIC))[..., None]
    cast = rng.uniform(0.82, 1.18, 3).astype(np.float32) * np.float32(rng.uniform(0.72, 1.2))
    middle = picture.mean()
    return (middle + (picture - middle) * np.float32(rng.uniform(0.7, 1.15))) * cast * shade
