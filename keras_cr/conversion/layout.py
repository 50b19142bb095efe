"""How a library names a network's tensors, and what the names can't say."""

import dataclasses
import re
from collections.abc import Callable, Mapping

import keras
import numpy as np

Shapes = Mapping[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a network's tensors don't show.

    Attributes:
        architecture: its name, such as timm's `"tf_efficientnet_b0"`.
        mean, std: what its images are normalised by, as shares of 255; None: what its layout says.
        max_pool: of a ResNet; None: as usual.
        heads: of a transformer's attention; None: as usual for its width.
    """

    architecture: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    max_pool: bool | None = None
    heads: int | None = None

    @property
    def normalization(self) -> dict[str, tuple[float, ...]]:
        """`mean` and `std` for a backbone, where they are known."""
        return {"mean": self.mean, "std": self.std} if self.mean and self.std else {}


@dataclasses.dataclass(frozen=True)
class Layout:
    """One way to name the tensors of a family of networks.

    Attributes:
        library: whose names they are.
        family: what is so named.
        stem: pattern of the name of the first convolution's kernel.
        kernels: whether that may have a shape, which is told without its filters.
        rename: from a name of the library, without prefix, to that of our layers; None for what is
            no part of the network. Takes the shapes of all tensors too.
        build: the network that has tensors of the renamed shapes, with random weights.
        arrange: from renamed arrays to those that the network's layers hold.
    """

    library: str
    family: str
    stem: str
    kernels: Callable[[tuple[int, ...]], bool]
    rename: Callable[[str, Shapes], str | None]
    build: Callable[[Shapes, Facts], keras.Model]
    arrange: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] = dict

    def stems(self, shapes: Shapes) -> list[str]:
        """What the names of such networks begin with, among tensors of these shapes."""
        pattern = re.compile(rf"(|.*?\.)(?:{self.stem})")
        matches = {name: pattern.fullmatch(name) for name in shapes}
        return [m[1] for name, m in matches.items() if m and self.kernels(shapes[name][1:])]


def renamed(name: str, table: Mapping[str, str | Callable[[re.Match], str]]) -> str | None:
    """A name by the first pattern of a table that is the whole of it; None where none is."""
    for pattern, target in table.items():
        if match := re.fullmatch(pattern, name):
            return match.expand(target) if isinstance(target, str) else target(match)
    return None


def places(pattern: str, shapes: Shapes) -> list[tuple[int, ...]]:
    """The numbers in names that begin with a pattern, in order and each once."""
    matches = (re.match(pattern, name) for name in shapes)
    return sorted({tuple(map(int, match.groups())) for match in matches if match})
