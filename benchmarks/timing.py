"""How everything here is timed: works take turns on one machine, and medians are compared."""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.rows import Row

Work = Callable[[], Any]


def seconds(work: Work) -> float:
    """What one call takes by the clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Times(dict[str, list[float]]):
    """Seconds of each work in each repeat."""

    def median(self, name: str) -> float:
        return statistics.median(self[name])

    def ratio(self, name: str, against: str) -> float:
        """How many times as long as another one a work takes."""
        return self.median(name) / self.median(against)

    def row(self, what: str, name: str, per: float = 1, unit: str = "s", **more: Any) -> Row:
        """The row of one work.

        Args:
            what: what it says.
            name: of the work.
            per: seconds are divided by it; milliseconds have 1 / 1000.
            unit: of the value.
            **more: other fields of `Row`; of `against`, another work, the ratio is taken.
        """
        if "against" in more:
            more["ratio"] = self.ratio(name, more["against"])
        values = [each / per for each in self[name]]
        return Row(what, statistics.median(values), unit, min(values), max(values), **more)

    def rate(self, what: str, name: str, count: float, unit: str, **more: Any) -> Row:
        """The row of one work in things a second; ratios are of rates, more is faster."""
        if "against" in more:
            more["ratio"] = self.ratio(more["against"], name)
        rates = [count / each for each in self[name]]
        value = count / self.median(name)
        return Row(what, value, unit, min(rates), max(rates), **more)


def interleaved(works: Mapping[str, Work], repeats: int, warm_up: int = 1) -> Times:
    """Times works that take turns, so that what else the machine does falls on all of them.

    Args:
        works: by name; what they return is dropped.
        repeats: rounds that are timed.
        warm_up: rounds before them: tracing, caches, threads.
    """
    for _ in range(warm_up):
        for work in works.values():
            work()
    times = Times((name, []) for name in works)
    for _ in range(repeats):
        for name, work in works.items():
            times[name].append(seconds(work))
    return times


@dataclasses.dataclass(frozen=True)
class Growth:
    """How a cost grows: the slope of its logarithm over that of a size; 1 is in proportion."""

    slope: float
    sizes: tuple[float, ...]
    costs: tuple[float, ...]


def growth(sizes: Sequence[float], costs: Sequence[float]) -> Growth:
    """The least-squares slope through (log size, log cost)."""
    x, y = ([math.log(each) for each in values] for values in (sizes, costs))
    slope = statistics.linear_regression(x, y).slope
    return Growth(slope, tuple(sizes), tuple(costs))
