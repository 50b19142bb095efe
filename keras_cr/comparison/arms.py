"""The ways of training that a comparison puts side by side."""

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from keras_cr.experiment.flags import read_setting, told_in_flags
from keras_cr.experiment.settings import Settings
from keras_cr.rationale.options import is_choice, pairs, typed_options


@dataclasses.dataclass(frozen=True)
class Arm:
    """One way of training in a comparison.

    Args:
        name: of its folder and flag: lower-case letters, digits, `.`, `-` and `_`.
        title: of its rows in the tables.
        changes: what it changes, by the names of `Settings`.

    Raises:
        ValueError: the name can't be a folder's; a change is no setting, or one that belongs to
            the whole comparison.

    Example:

    >>> Arm("hot", "Learning rate 0.1", {"rationale": "on", "learning_rate": 0.1})
    """

    name: str
    title: str
    changes: Mapping[str, Any]

    def __post_init__(self):
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", self.name):
            raise ValueError(
                f"`name` may hold lower-case letters, digits, ., - and _. Received: {self.name!r}"
            )
        allowed = {f.name for f in dataclasses.fields(Settings) if f.metadata.get("arm", True)}
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
        Arm("plain", "Plain objective", {"rationale": "off", "pooling": "auto"}),
        Arm("rationale", "With rationale", {"rationale": "on"}),
        Arm("paper", "Paper's rationale", {"rationale": "paper"}),
        Arm("reference", "Reference rationale", {"rationale": "reference"}),
    )
}


def arm_of(text: str) -> Arm:
    """The arm that `--arms` describes: a name of `ARMS`, or one of them with things changed.

    Args:
        text: `ARM` or `ARM:NAME=VALUE,NAME=VALUE`; a name is a choice of
            `keras_cr.rationale.Rationale` or, if that has none of that name, a setting.

    Returns:
        The arm. Its folder tells the changes, so each has its own.

    Raises:
        ValueError: there is no such arm, choice or setting, or a value can't be.

    Example:

    >>> arm_of("posthoc:prior=none,k=5").name
    'posthoc_prior-none_k-5'
    """
    base, colon, changed = text.partition(":")
    if base not in ARMS:
        raise ValueError(f"invalid choice: {base!r} (choose from {', '.join(ARMS)})")
    arm = ARMS[base]
    if not colon:
        return arm
    try:
        given = pairs(changed)
        options = typed_options({n: v for n, v in given.items() if is_choice(n)})
        settings = {n: read_setting(n, v) for n, v in given.items() if not is_choice(n)}
        changes = {**arm.changes, **settings} | ({"rationale_options": options} if options else {})
        title = ", ".join([arm.title, *(f"{n.replace('_', ' ')} {v}" for n, v in given.items())])
        arm = Arm("_".join([base, *(_slug(*pair) for pair in given.items())]), title, changes)
        _check(changes)
    except ValueError as error:
        raise ValueError(f"{text}: {error}") from error
    return arm


def _check(changes: Mapping[str, Any]) -> None:
    try:
        Settings(**changes)
    except ValueError as error:
        raise ValueError(told_in_flags(error)) from error


def _slug(name: str, value: str) -> str:
    """A part of a folder's name; a hash tells values apart that look the same in it."""
    slug = re.sub(r"[^a-z0-9._-]", "-", value)[-40:]
    digest = "" if slug == value else "-" + hashlib.sha256(value.encode()).hexdigest()[:6]
    return f"{name.replace('_', '-')}-{slug}{digest}"
