"""The anatomy of the synthetic birds: pools of parts, and the species made of them.

Lengths are in bodies, about one from rump to breast; angles in degrees; y points down. A part's own
frame has its origin where the part is attached and x along the part.
"""

import functools
import itertools
from typing import NamedTuple

import numpy as np

INK, GREY, WHITE, CREAM = "#23242b", "#8d929c", "#f4f1e8", "#ecdcae"
RED, RUST, ORANGE, YELLOW = "#c8352e", "#b0562f", "#e8862c", "#edc93b"
GREEN, TEAL, BLUE, BROWN = "#74904a", "#2f8f8a", "#3f6fb5", "#7a5236"
SLATE, SOOT, ROSE, HORN = "#5d7391", "#34353f", "#a8657a", "#a5713f"


class Beak(NamedTuple):
    """A tapering bill: its centre line from the head, the width at each point, and its colours."""

    name: str
    spine: tuple
    widths: tuple
    colour: str
    tip: str


class Feather(NamedTuple):
    """A blade from `at`, `angle` in degrees; `bend` moves its end sideways, in lengths."""

    at: tuple[float, float]
    angle: float
    length: float
    width: float
    bend: float = 0.0
    ball: float = 0.0


class Plumes(NamedTuple):
    """A crest or a tail: feathers in one colour, the last `tipped` of each in another."""

    name: str
    feathers: tuple[Feather, ...]
    colour: str
    tip: str
    tipped: float = 0.0


class Wing(NamedTuple):
    """`marks` are `(u0, u1, v0, v1)`, from shoulder to tip and from upper to lower edge."""

    name: str
    length: float
    width: float
    colour: str
    accent: str
    marks: tuple[tuple[float, float, float, float], ...] = ()
    dots: tuple[tuple[float, float], ...] = ()


class Body(NamedTuple):
    """`dots` are `(u, v)` on the breast, from rump to head and from back to belly."""

    name: str
    back: str
    breast: str
    speckle: str | None = None


class Eye(NamedTuple):
    """An iris of `radius`, in the bird's own coordinates, inside a ring."""

    name: str
    iris: str
    ring: str
    radius: float


BEAKS = (
    Beak("Finch", ((0, 0), (0.11, 0.01), (0.25, 0.04)), (0.115, 0.08, 0.0), ORANGE, ORANGE),
    Beak("Needlebill", ((0, 0), (0.22, -0.01), (0.44, 0.0)), (0.05, 0.03, 0.008), INK, INK),
    Beak(
        "Hookbill",
        ((0, -0.01), (0.15, -0.04), (0.26, 0.02), (0.27, 0.14)),
        (0.11, 0.1, 0.065, 0.0),
        YELLOW,
        INK,
    ),
    Beak(
        "Curlew",
        ((0, 0), (0.2, -0.01), (0.38, 0.06), (0.5, 0.21)),
        (0.06, 0.045, 0.035, 0.01),
        RUST,
        INK,
    ),
    Beak(
        "Toucan",
        ((0, -0.01), (0.18, -0.05), (0.36, -0.02), (0.47, 0.1)),
        (0.11, 0.125, 0.1, 0.02),
        ORANGE,
        RED,
    ),
)

CRESTS = (
    Plumes("Capped", (Feather((0.2, -0.09), 187, 0.4, 0.085, -0.12),), INK, INK),
    Plumes(
        "Tufted",
        (
            Feather((0.08, -0.13), 222, 0.34, 0.07, 0.1),
            Feather((0.0, -0.12), 208, 0.36, 0.07, 0.1),
            Feather((-0.04, -0.08), 196, 0.3, 0.06, 0.1),
        ),
        RED,
        RED,
    ),
    Plumes(
        "Fan_crested",
        tuple(Feather((0.02, -0.1), angle, 0.34, 0.05) for angle in (220, 243, 266, 289, 312)),
        ORANGE,
        INK,
        0.3,
    ),
    Plumes("Plumed", (Feather((0.02, -0.14), 258, 0.36, 0.026, 0.45, 0.06),), TEAL, TEAL),
    Plumes(
        "Browed",
        (Feather((0.19, -0.06), 176, 0.42, 0.035, 0.12), Feather((0.17, -0.02), 168, 0.4, 0.03)),
        WHITE,
        WHITE,
    ),
)

TAILS = (
    Plumes(
        "Square_tailed",
        tuple(Feather((0, 0), angle, 0.3, 0.075) for angle in (-10, 10, 0)),
        BROWN,
        INK,
        0.3,
    ),
    Plumes(
        "Long_tailed",
        (Feather((0, 0), -4, 0.52, 0.05), Feather((0, 0.01), 4, 0.62, 0.05, 0.06)),
        INK,
        WHITE,
        0.2,
    ),
    Plumes(
        "Fork_tailed",
        (Feather((0, 0), -15, 0.56, 0.06, -0.2), Feather((0, 0), 15, 0.56, 0.06, 0.2)),
        BLUE,
        INK,
        0.3,
    ),
    Plumes(
        "Fan_tailed",
        tuple(Feather((0, 0), angle, 0.4, 0.07) for angle in (-42, 42, -28, 28, -14, 14, 0)),
        RUST,
        CREAM,
        0.25,
    ),
    Plumes(
        "Racket_tailed",
        (
            Feather((0, 0), 0, 0.26, 0.07),
            Feather((0, 0), -11, 0.5, 0.022, -0.1, 0.075),
            Feather((0, 0), 11, 0.5, 0.022, 0.1, 0.075),
        ),
        GREEN,
        GREEN,
    ),
)

BODIES = (
    Body("Olive", GREEN, YELLOW),
    Body("Slate", SLATE, WHITE, GREY),
    Body("Brown", BROWN, ORANGE),
    Body("Pied", SOOT, WHITE),
    Body("Rosy", ROSE, CREAM, RUST),
)

EYES = (
    Eye("Dark_eyed", INK, INK, 0.05),
    Eye("Golden_eyed", YELLOW, INK, 0.065),
    Eye("Red_eyed", RED, WHITE, 0.055),
    Eye("Spectacled", INK, WHITE, 0.05),
)

WINGS = (
    Wing(
        "Bar_winged",
        0.66,
        0.19,
        BROWN,
        CREAM,
        marks=((0.34, 0.42, 0.05, 0.95), (0.52, 0.6, 0.05, 0.95), (0.7, 0.78, 0.05, 0.95)),
    ),
    Wing("Red_winged", 0.72, 0.16, INK, RED, marks=((0.0, 0.36, 0.0, 0.62),)),
    Wing(
        "Spot_winged",
        0.6,
        0.21,
        TEAL,
        WHITE,
        dots=tuple(itertools.product((0.3, 0.48, 0.66), (0.25, 0.52, 0.79))),
    ),
    Wing("Gold_edged", 0.78, 0.15, GREY, YELLOW, marks=((0.12, 0.95, 0.7, 1.0),)),
    Wing("Blue_winged", 0.64, 0.2, BLUE, INK, marks=((0.66, 1.0, 0.0, 1.0), (0.1, 0.6, 0.0, 0.12))),
    Wing("Mirror_winged", 0.68, 0.19, RUST, BLUE, marks=((0.36, 0.66, 0.4, 0.9),)),
    Wing(
        "Pale_winged", 0.74, 0.17, CREAM, BROWN, marks=((0.0, 0.3, 0.0, 1.0), (0.78, 1.0, 0.0, 1.0))
    ),
)


class Species(NamedTuple):
    """One class: a variant of every part."""

    beak: Beak
    crest: Plumes
    tail: Plumes
    body: Body
    eye: Eye
    wing: Wing

    @property
    def name(self) -> str:
        parts = (self.body, self.tail, self.wing, self.crest, self.beak)
        return "_".join(part.name for part in parts)


POOLS = Species(BEAKS, CRESTS, TAILS, BODIES, EYES, WINGS)  # type: ignore[arg-type]
GENUS = 4
"""Consecutive classes that share crest, tail and body."""
MAX_CLASSES = len(BEAKS) * len(CRESTS) * len(TAILS) * len(BODIES) * len(EYES)


def variants(label: int) -> tuple[int, ...]:
    """The indices into `POOLS` of class `label`; any two classes differ in two or more of them.

    The wing is a checksum of the other five parts: its pool's size is prime and larger than theirs,
    so a change of one of them changes the wing as well. Classes `4 g .. 4 g + 3` form a genus. They
    have one crest, tail and body, and each its own beak, eye and wing.
    """
    genera = len(CRESTS) * len(TAILS) * len(BODIES)
    block, genus = divmod(label // GENUS, genera)
    member = GENUS * block + label % GENUS
    shuffled = np.random.default_rng(5).permutation(genera)[genus]
    crest, tail, body = np.unravel_index(shuffled, (len(CRESTS), len(TAILS), len(BODIES)))
    # Coprime pool sizes: the pair (beak, eye) takes each of its 20 values once.
    beak, eye = member % len(BEAKS), member % len(EYES)
    wing = (beak + 2 * eye + 3 * crest + tail + 2 * body) % len(WINGS)
    return tuple(int(index) for index in (beak, crest, tail, body, eye, wing))


@functools.cache
def species(label: int) -> Species:
    """The parts of class `label`, `0 <= label < MAX_CLASSES`."""
    return Species(*(pool[index] for pool, index in zip(POOLS, variants(label), strict=True)))  # type: ignore[arg-type]
