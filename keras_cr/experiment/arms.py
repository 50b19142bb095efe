"""The ways of training that a comparison puts side by side."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from keras_cr.experiment.settings import Settings

_OF_THE_COMPARISON = ("dataset", "data_dir", "output", "seed", "resume", "preset_name")


@dataclasses.dataclass(frozen=True)
class Arm:
    """One way of training in a comparison.

    Args:
        name: of its folder and flag: lower-case letters, digits, `-` and `_`.
        title: of its rows in the tables.
        changes: what it changes, by the names of `Settings`.

    Raises:
        ValueError: the name can't be a folder's; a change is no setting, or one that belongs to
            the whole comparison.

    Example:

    >>> Arm("cold", "Rationale, temperature 0.1", {"rationale": "on", "temperature": 0.1})
    """

    name: str
    title: str
    changes: Mapping[str, Any]

    def __post_init__(self):
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self.name):
            raise ValueError(
                f"`name` may hold lower-case letters, digits, - and _. Received: {self.name!r}"
            )
        allowed = {field.name for field in dataclasses.fields(Settings)}.difference(
            _OF_THE_COMPARISON
        )
        if unknown := [name for name in self.changes if name not in allowed]:
            raise ValueError(
                f"`changes` of {self.name!r} may hold {', '.join(sorted(allowed))}. "
                f"Received: {', '.join(unknown)}"
            )


ARMS = {
    arm.name: arm
    for arm in (
        # without epochs the paper's branch stays untrained: a control of its own
        Arm("initialization", "Initialization", {"epochs": 0, "rationale": "paper"}),
        Arm("posthoc", "Rationale fitted to the initialization", {"epochs": 0, "rationale": "on"}),
        Arm("plain", "Plain objective", {"rationale": "off"}),
        Arm("rationale", "With rationale", {"rationale": "on"}),
        Arm("paper", "Paper's rationale", {"rationale": "paper"}),
        Arm("reference", "Reference rationale", {"rationale": "reference"}),
    )
}
