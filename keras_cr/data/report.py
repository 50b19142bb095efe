"""What `verify` says of a data set's folder."""

import dataclasses
from collections.abc import Mapping

from keras_cr._text import printable

OFFICIAL = {
    "aircraft": {"train": 6667, "test": 3333, "classes": 100},
    "cars": {"train": 8144, "test": 8041, "classes": 196},
    "cub": {"train": 5994, "test": 5794, "classes": 200},
}


def odd_counts(found: Mapping[str, int], official: Mapping[str, int]) -> list[str]:
    """The counts that are not the official ones, each in words: "7 classes instead of 200"."""
    return [
        f"{found[what]} {'classes' if what == 'classes' else f'{what} images'} instead of {count}"
        for what, count in official.items()
        if found[what] != count
    ]


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that `verify` found.

    Args:
        kind: As problems `layout`, `count`, `unreadable`, `truncated`, `small`, `large`, `leak`,
            `conflict`; as notes `color`, `rotated`, `box`, `duplicate`, `hidden`, `name`,
            `passed_over`, `split`.
        text: What is the matter.
        path: The file, or None where it is about none.
    """

    kind: str
    text: str
    path: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {printable(self.path) + ': ' if self.path else ''}{self.text}"


@dataclasses.dataclass
class Report:
    """What `verify` says of a folder.

    Args:
        name: Name of the layout.
        data_dir: The folder.
        train, test, classes: Numbers of images and classes; None where it can't be read.
        per_class: Class name -> numbers of training and test images.
        problems: What has to be put right.
        notes: What is good to know and does no harm.
    """

    name: str
    data_dir: str
    train: int | None = None
    test: int | None = None
    classes: int | None = None
    per_class: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    problems: list[Finding] = dataclasses.field(default_factory=list)
    notes: list[Finding] = dataclasses.field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def to_dict(self) -> dict:
        """Everything, as JSON can hold it."""
        return {"ok": self.ok, **dataclasses.asdict(self)}

    def __str__(self) -> str:
        lines = [f"{self.name} in {printable(self.data_dir)}"]
        if self.train is not None:
            official = OFFICIAL.get(self.name, {})
            for name in ("train", "test", "classes"):
                expected = f" (official: {official[name]})" if official else ""
                lines.append(f"  {name + ':':<9}{getattr(self, name)}{expected}")
        for split, number in (("train", 0), ("test", 1)):
            if counts := [both[number] for both in self.per_class.values()]:
                lines.append(f"  {split} images a class: {min(counts)} to {max(counts)}")
        for title, findings in (("Problems", self.problems), ("Notes", self.notes)):
            lines.append(f"{title}: {len(findings) or 'none'}")
            lines += [f"  {finding}" for finding in findings]
        return "\n".join(lines)
