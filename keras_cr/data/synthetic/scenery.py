"""Cluttered surroundings for the synthetic birds: six families of background, and distractors.

Coordinates are fractions of the image's side, y downwards. No part of a scene knows which bird
will stand in it.
"""

from typing import Any

import numpy as np

from keras_cr.data.synthetic import parts
from keras_cr.data.synthetic.drawing import Paint, Shape, disc, draw_part, move, patch, ribbon

_LEAF = patch(ribbon(((0, 0), (0.5, 0.04), (1, 0)), (0.0, 0.2, 0.17, 0.0)))[::2]
_BLADE = np.array(((-0.04, 0), (0.04, 0), (0.03, -0.6), (0.06, -1)))
_ROUND = np.stack([np.cos(np.arange(12) * np.pi / 6), np.sin(np.arange(12) * np.pi / 6)], axis=1)

# What each family's near things are coloured like; one entry is drawn for an image.
_TINTS = {
    "sky": ("#6b4d3a", "#4b4a4f", "#8a7a68"),
    "foliage": ("#4f7a3a", "#2f5a3c", "#c27a2c", "#a8452f", "#8f9a3c", "#5d8a7a"),
    "rocks": ("#8a8378", "#6d747d", "#a0785a", "#5e5550", "#b3a284"),
    "water": ("#3f7f97", "#5a8f7c", "#8aa4b5", "#40588a", "#9a8f70"),
    "meadow": ("#7a9a3e", "#b09a48", "#4f8a52", "#9a7a4a", "#c4b46a"),
    "woods": ("#6a4a36", "#4a4038", "#8f7f70", "#9c6a44", "#5a6048"),
}
FAMILIES = tuple(_TINTS)

_FAR = ("#a9cbe6", "#dfe6ea", "#f0c9a0", "#8fb08a", "#5f7f6a", "#c9b7a0", "#7a8fb0", "#e0b0b8")
_BIRDLIKE = (
    *(body.back for body in parts.BODIES),
    *(body.breast for body in parts.BODIES),
    *(wing.colour for wing in parts.WINGS),
    *(wing.accent for wing in parts.WINGS),
)


def _tones(rng: np.random.Generator, colour: str, count: int, spread: float = 0.22) -> np.ndarray:
    """`count` shades `(count, 3)` about a colour, itself redrawn."""
    base = Paint(rng)(colour) * rng.uniform(0.75, 1.15)
    light = rng.uniform(1 - spread, 1 + spread, (count, 1))
    return base * light + rng.normal(0, 8, (count, 3))


def _scatter(template: np.ndarray, at, angle, scale, colours) -> list[Shape]:
    """Copies of a template: at `(n, 2)`, angle `(n,)` in radians, scale `(n,)` or `(n, 2)`."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)
    scale = np.asarray(scale).reshape(len(at), 1, -1)
    return list(zip((template * scale) @ turn + at[:, None], colours, strict=True))


def branch(rng: np.random.Generator, at: Any, colour: np.ndarray, width: float) -> list[Shape]:
    """A branch across the image through the point `at`, with a lighter upper side."""
    slope, sag = rng.normal(0, 0.25), rng.normal(0, 0.04)
    x = np.array((-0.1, at[0] - 0.2, at[0], at[0] + 0.2, 1.1))
    y = at[1] + slope * (x - at[0]) + sag * ((x - at[0]) / 0.5) ** 2
    edges = ribbon(np.stack([x, y], axis=1), width * rng.uniform(0.7, 1.2, 5))
    return [(patch(edges), colour), (patch(edges, v1=0.4), colour * 1.25)]


def _sky(rng, tint) -> list[Shape]:
    count = int(rng.integers(3, 6))
    puffs = rng.uniform(0, 1, (count, 1, 2)) + rng.normal(0, 0.06, (count, 5, 2)) * (1.6, 0.6)
    white = rng.uniform(205, 255, (count * 5, 1)) + rng.normal(0, 5, 3)
    radii = rng.uniform(0.04, 0.1, count * 5)
    shapes = _scatter(_ROUND, puffs.reshape(-1, 2), np.zeros(count * 5), radii, white)
    for colour in _tones(rng, tint, int(rng.integers(1, 4))):
        shapes += branch(rng, rng.uniform(0, 1, 2), colour, rng.uniform(0.008, 0.025))
    return shapes


def _foliage(rng, tint) -> list[Shape]:
    count = 55
    at, angle = rng.uniform(-0.15, 1, (count, 2)), rng.normal(rng.uniform(0, 6.3), 0.9, count)
    size = np.linspace(0.34, 0.16, count) * rng.uniform(0.7, 1.2, count)
    colours = _tones(rng, tint, count, 0.35) * np.linspace(0.6, 1.1, count)[:, None]
    return _scatter(_LEAF, at, angle, size, colours)


def _rocks(rng, tint) -> list[Shape]:
    count, shapes = 16, []
    at = np.stack([rng.uniform(-0.1, 1.1, count), np.linspace(0.35, 1.1, count)], axis=1)
    for centre, colour in zip(at, _tones(rng, tint, count), strict=True):
        outline = _ROUND[::2] * rng.uniform(0.6, 1.2, (6, 1)) * rng.uniform(0.1, 0.24) * (1.3, 0.9)
        lit = colour * rng.uniform(1.1, 1.3)
        shapes += [(outline + centre, colour), (outline * (0.85, 0.5) + centre - (0, 0.03), lit)]
    return shapes


def _water(rng, tint) -> list[Shape]:
    count, horizon = 46, rng.uniform(-0.1, 0.5)
    depth = np.sort(rng.uniform(0, 1, count))
    at = np.stack([rng.uniform(0, 1, count), horizon + depth * (1.05 - horizon)], axis=1)
    scale = np.stack([0.05 + 0.2 * depth, 0.006 + 0.02 * depth], axis=1)
    colours = _tones(rng, tint, count + 1, 0.35)
    shore = np.array(((0, horizon), (1, horizon), (1, 1), (0, 1)))
    shapes = [(shore, colours[0]), *_scatter(_ROUND, at, np.zeros(count), scale, colours[1:])]
    reeds = int(rng.integers(1, 9))
    at = np.stack([rng.uniform(0, 1, reeds), np.full(reeds, 1.05)], axis=1)
    size = np.stack([rng.uniform(0.2, 0.4, reeds), rng.uniform(0.4, 0.9, reeds)], axis=1)
    return shapes + _scatter(
        _BLADE, at, rng.normal(0, 0.12, reeds), size, _tones(rng, "#6f7a3c", reeds)
    )


def _meadow(rng, tint) -> list[Shape]:
    count, flowers = 60, int(rng.integers(4, 14))
    at = np.stack([rng.uniform(0, 1, count), np.linspace(0.55, 1.15, count)], axis=1)
    size = np.stack([rng.uniform(0.2, 0.5, count), rng.uniform(0.25, 0.5, count)], axis=1)
    colours = _tones(rng, tint, count, 0.35)
    shapes = _scatter(_BLADE, at, rng.normal(0, 0.35, count), size, colours)
    at = rng.uniform((0, 0.3), (1, 1), (flowers, 2))
    petals = _tones(rng, str(rng.choice(_BIRDLIKE)), flowers)
    return shapes + _scatter(
        _ROUND, at, np.zeros(flowers), rng.uniform(0.012, 0.035, flowers), petals
    )


def _woods(rng, tint) -> list[Shape]:
    shapes = []
    for colour in _tones(rng, tint, int(rng.integers(4, 8)), 0.4):
        x, width = rng.uniform(0, 1), rng.uniform(0.02, 0.11)
        spine = np.stack([x + rng.normal(0, 0.03, 4), np.linspace(-0.1, 1.1, 4)], axis=1)
        edges = ribbon(spine, width * rng.uniform(0.8, 1.2, 4))
        shapes += [(patch(edges), colour), (patch(edges, v0=0.65), colour * 0.75)]
        for u, v in rng.uniform((0, 0.1), (0.85, 0.8), (3, 2)):
            shapes.append((patch(edges, u, u + 0.15, v, v + 0.1), colour * 0.6))
    return shapes


_DRAW = dict(zip(FAMILIES, (_sky, _foliage, _rocks, _water, _meadow, _woods), strict=True))


def _distractors(rng: np.random.Generator) -> list[Shape]:
    """Leaves, berries, feathers and loose parts of any species, in the colours of birds."""
    shapes = []
    for _ in range(rng.integers(4, 10)):
        kind, at = rng.integers(4), rng.uniform(0.02, 0.98, 2)
        angle, colour = rng.uniform(0, 360), Paint(rng)(str(rng.choice(_BIRDLIKE)))
        if kind == 0:
            leaf = [(_LEAF, colour), (_LEAF * (1, 0.2), colour * 0.7)]
            shapes += move(leaf, angle, rng.uniform(0.12, 0.35), at)
        elif kind == 1:
            for offset in rng.normal(0, 0.035, (rng.integers(1, 5), 2)):
                shapes.append(disc(at + offset, 0.028, colour))
                shapes.append(disc(at + offset - 0.008, 0.009, colour + 70))
        elif kind == 2:
            edges = ribbon(((0, 0), (0.5, 0.05), (1, 0.2)), (0.02, 0.11, 0.12, 0.02))
            feather = [(patch(edges), colour), (patch(edges, 0, 0.9, 0.46, 0.54), colour * 0.6)]
            shapes += move(feather, angle, rng.uniform(0.15, 0.4), at)
        else:
            stranger = parts.species(int(rng.integers(parts.MAX_CLASSES)))
            shapes += move(draw_part(stranger, rng), angle, rng.uniform(0.3, 0.7), at)
    return shapes


def draw_scene(family: str, rng: np.random.Generator) -> tuple[np.ndarray, list[Shape], np.ndarray]:
    """A background: far colours, near things, and the colour of a perch.

    Args:
        family: one of `FAMILIES`.
        rng: generator of everything else.

    Returns:
        Far colours, a coarse picture `(5, 5, 3)` in 0..255 to be enlarged smoothly; shapes to draw
        on it; and the RGB colour `(3,)` of a perch.
    """
    top, bottom = (_tones(rng, str(rng.choice(_FAR)), 1) for _ in range(2))
    fade = np.linspace(0, 1, 5)[:, None, None]
    far = (1 - fade) * top + fade * bottom + rng.normal(0, 14, (5, 5, 1))
    loose = rng.uniform(0, 1, (4, 1, 2)) + rng.normal(0, 0.16, (4, 4, 2))
    shapes = list(zip(loose, _tones(rng, str(rng.choice(_FAR)), 4, 0.3), strict=True))
    shapes += _DRAW[family](rng, str(rng.choice(_TINTS[family])))
    shapes += _distractors(rng)
    return np.clip(far, 0, 255), shapes, _tones(rng, str(rng.choice(_TINTS["woods"])), 1)[0]
