"""Polygons of a synthetic bird in a random pose.

A drawing is a list of `(points, colour)` polygons in painter's order: one list gives the picture as
well as its exact mask. All randomness comes from the generator a function is given.
"""

import functools
import itertools
import math
from typing import Any

import numpy as np

from keras_cr.data.synthetic import parts

Shape = tuple[np.ndarray, np.ndarray]
"""A polygon: points `(n, 2)`, y downwards, and RGB `(3,)`, clipped to 0..255 when painted."""

_SAMPLES = 19
_CIRCLE = np.stack([np.cos(np.arange(18) * np.pi / 9), np.sin(np.arange(18) * np.pi / 9)], axis=1)


# Where breast and the belly's shade begin across the body, from rump (left) to head.
_ALONG = np.linspace(0, 1, _SAMPLES)[:, None]
_BREAST = 1 - 0.46 * np.clip(np.minimum(_ALONG / 0.3, (0.98 - _ALONG) / 0.2), 0, 1) ** 0.6
_BELLY = 1 - 0.16 * np.clip(np.minimum(_ALONG / 0.3, (0.75 - _ALONG) / 0.3), 0, 1) ** 0.6


def move(
    shapes: list[Shape], angle: float = 0.0, scale: Any = 1.0, at: Any = (0.0, 0.0)
) -> list[Shape]:
    """Shapes scaled (a number or an (x, y) pair), then turned by `angle` degrees, then shifted."""
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    points = np.concatenate([points for points, _ in shapes]) * scale
    points = points @ np.array([[cos, sin], [-sin, cos]]) + at
    ends = itertools.accumulate(len(old) for old, _ in shapes)
    rows = zip(shapes, ends, strict=True)
    return [(points[end - len(old) : end], colour) for (old, colour), end in rows]


def disc(at: Any, radius: float, colour: np.ndarray) -> Shape:
    return _CIRCLE * radius + at, colour


@functools.cache
def _spline(knots: int) -> tuple[np.ndarray, Any]:
    """Catmull-Rom weights `(samples, knots)` of a smooth curve, and their differences."""
    place = np.linspace(0, knots - 1, _SAMPLES)
    left = np.minimum(place.astype(int), knots - 2)
    basis = np.array([[0, -1, 2, -1], [2, 0, -5, 3], [0, 1, 4, -3], [0, 0, -1, 1]]) / 2
    weights = ((place - left)[:, None] ** np.arange(4)) @ basis.T
    curve = np.zeros((_SAMPLES, knots))
    for offset in range(4):
        knot = np.clip(left + offset - 1, 0, knots - 1)
        np.add.at(curve, (np.arange(_SAMPLES), knot), weights[:, offset])
    return curve, np.gradient(curve, axis=0)


def ribbon(spine: Any, widths: Any) -> np.ndarray:
    """The two edges `(2, samples, 2)`, left and right of a smooth spine of given half widths."""
    spine = np.asarray(spine, float)
    curve, change = _spline(len(spine))
    centre, way = curve @ spine, change @ spine
    half = np.maximum(_spline(len(widths))[0] @ np.asarray(widths, float), 0)
    aside = way[:, ::-1] * (1, -1) * (half / np.hypot(way[:, 0], way[:, 1]))[:, None]
    return np.stack([centre + aside, centre - aside])


_fixed_ribbon = functools.cache(ribbon)  # for parts, whose form does not change between images


def patch(
    edges: np.ndarray, u0: Any = 0.0, u1: Any = 1.0, v0: Any = 0.0, v1: Any = 1.0
) -> np.ndarray:
    """The polygon of a ribbon between `u0` and `u1` along it, `v0` and `v1` across it.

    Both run from 0 to 1. `v0` may change along the ribbon: an array `(samples, 1)`.
    """
    first, last = round(u0 * (_SAMPLES - 1)), round(u1 * (_SAMPLES - 1)) + 1
    left, right = edges[:, first:last]
    across = right - left
    return np.concatenate([left + v0 * across, (left + v1 * across)[::-1]])


class Paint:
    """Colours as one individual wears them: each colour's shade is drawn once an image."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng, self._mixed = rng, {}

    def __call__(self, colour: str) -> np.ndarray:
        if colour not in self._mixed:
            rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], float)
            self._mixed[colour] = self._rng.uniform(0.84, 1.14) * rgb + self._rng.normal(0, 9, 3)
        return self._mixed[colour]


def draw_beak(beak: parts.Beak, paint: Paint) -> list[Shape]:
    edges, colour = _fixed_ribbon(beak.spine, beak.widths), paint(beak.colour)
    return [
        (patch(edges), colour),
        (patch(edges, 0.66), paint(beak.tip)),
        (patch(edges, 0, 0.85, 0.52, 0.66), colour * 0.6),
    ]


def draw_plumes(plumes: parts.Plumes, paint: Paint) -> list[Shape]:
    shapes = []
    for number, feather in enumerate(plumes.feathers):
        length, width, bend = feather.length, feather.width, feather.bend * feather.length
        spine = ((0, 0), (length / 3, bend * 0.1), (length * 2 / 3, bend * 0.4), (length, bend))
        edges = _fixed_ribbon(spine, (width * 0.5, width * 0.9, width, width * 0.35))
        shade = 1 - 0.07 * (number % 2)
        blade = [(patch(edges), paint(plumes.colour) * shade)]
        if plumes.tipped:
            blade.append((patch(edges, 1 - plumes.tipped), paint(plumes.tip) * shade))
        if feather.ball:
            blade.append(disc(spine[-1], feather.ball, paint(plumes.tip)))
        shapes += move(blade, feather.angle, at=feather.at)
    return shapes


def draw_wing(wing: parts.Wing, paint: Paint) -> list[Shape]:
    length, width = wing.length, wing.width
    spine = ((0, 0), (length * 0.33, 0), (length * 0.68, length * 0.03), (length, length * 0.1))
    edges = _fixed_ribbon(spine, tuple(width * k for k in (0.4, 0.9, 1.0, 0.75, 0.08)))
    colour, accent = paint(wing.colour), paint(wing.accent)
    shapes = [(patch(edges), colour), (patch(edges, 0, 1, 0.8), colour * 0.82)]
    shapes += [(patch(edges, *mark), accent) for mark in wing.marks]
    for u, v in wing.dots:
        left, right = edges[:, round(u * (_SAMPLES - 1))]
        shapes.append(disc(left + v * (right - left), 0.032, accent))
    shapes += [(patch(edges, 0.45, 0.97, v, v + 0.05), colour * 0.6) for v in (0.3, 0.55, 0.78)]
    return shapes


def draw_head(bird: parts.Species, paint: Paint) -> list[Shape]:
    """Beak, head, crest and eye about the head's centre."""
    eye, at = bird.eye, np.array((0.07, -0.035))
    return [
        *move(draw_beak(bird.beak, paint), 6, at=(0.14, 0.015)),
        disc((0, 0), 0.185, paint(bird.body.back)),
        *draw_plumes(bird.crest, paint),
        disc(at, eye.radius + 0.022, paint(eye.ring)),
        disc(at, eye.radius, paint(eye.iris)),
        disc(at, 0.032, paint(parts.INK)),
        disc(at + np.array((0.012, -0.014)), 0.013, np.full(3, 250.0)),
    ]


def _draw_leg(hip, angle: float, colour: np.ndarray) -> list[Shape]:
    shin = patch(_fixed_ribbon(((0, 0), (0.12, 0.012), (0.25, 0.0)), (0.026, 0.018, 0.016)))
    toes = [patch(_fixed_ribbon(((0.24, 0), (0.25, toe)), (0.02, 0.012))) for toe in (-0.12, 0.07)]
    return move([(points, colour) for points in (*toes, shin)], angle, at=hip)


def draw_bird(
    bird: parts.Species, rng: np.random.Generator
) -> tuple[list[Shape], np.ndarray | None]:
    """One bird of a species, looking right, in a random pose.

    Args:
        bird: the species: what the bird looks like.
        rng: generator of everything else: pose, proportions, shades of the colours.

    Returns:
        Its shapes, about one body long and centred on the origin, and the point `(2,)` between its
        feet, or None when it flies with its legs tucked in.
    """
    paint, flying = Paint(rng), rng.random() < 0.3
    plump, tilt, nod = rng.uniform(0.88, 1.1), rng.normal(0, 9), rng.normal(0, 0.03, 2)
    head = np.array((0.41, -0.34)) + nod + (0.0, 0.06 * flying)
    spine = ((-0.55, 0.1), (-0.32, 0.06), (-0.05, 0.06), (0.2, -0.02), (0.34, -0.17), head)
    widths = np.array((0.05, 0.18, 0.27, 0.26, 0.19, 0.165)) * plump
    edges, back, breast = ribbon(spine, widths), paint(bird.body.back), paint(bird.body.breast)

    # The far wing is seen only in flight, behind the body and in its shade.
    wing = draw_wing(bird.wing, paint)
    lift = rng.uniform(35, 85) if flying else rng.normal(-3, 6)
    shoulder, far = (0.05, -0.12) if flying else (0.17, -0.08), lift + rng.uniform(15, 35)
    mirrored = (-1.0, 1.0)
    shapes = []
    if flying:
        shadow = [(points, colour * 0.72) for points, colour in wing]
        shapes += move(move(shadow, 0, mirrored), far, at=(0.22, -0.14))
    tail = move(draw_plumes(bird.tail, paint), 0, mirrored)
    shapes += move(tail, rng.normal(-6, 9), at=(-0.47, 0.09))

    feet, step = None, rng.normal(0, 9)
    if not flying:
        leg = paint(parts.HORN)
        shapes += _draw_leg((0.06, 0.27 * plump), 96 + step, leg * 0.8)
        shapes += _draw_leg((-0.02, 0.28 * plump), 88 - step, leg)
        feet = np.array((0.02, 0.28 * plump + 0.25))

    shapes += [(patch(edges), back), (patch(edges, v0=_BREAST), breast)]
    shapes.append((patch(edges, v0=_BELLY), breast * 0.84))
    if bird.body.speckle:
        for u, v in ((0.4, 0.68), (0.5, 0.8), (0.56, 0.64), (0.66, 0.78), (0.72, 0.66), (0.8, 0.8)):
            left, right = edges[:, round(u * (_SAMPLES - 1))]
            shapes.append(disc(left + v * (right - left), 0.022, paint(bird.body.speckle)))
    shapes += move(draw_head(bird, paint), tilt, at=head)
    shapes += move(move(wing, 0, mirrored), lift, at=shoulder)
    return shapes, feet


def draw_part(bird: parts.Species, rng: np.random.Generator) -> list[Shape]:
    """One part of a species on its own: a distractor."""
    paint = Paint(rng)
    kind = rng.integers(4)
    if kind == 0:
        return draw_wing(bird.wing, paint)
    if kind == 1:
        return draw_plumes(bird.tail, paint)
    if kind == 2:
        return draw_plumes(bird.crest, paint)
    return draw_beak(bird.beak, paint)
