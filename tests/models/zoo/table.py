"""Fills the table in docs/backbones.md: `python -m tests.models.zoo.table --again`.

Every cell is a check of `checks.py` that ran, on a small backbone of the family with random
weights; what failed is told below the table, in the words of its error. Takes about half an
hour; without `--again` rows that are there stay.
"""

import os
import pathlib
import re
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from tests.models.zoo import checks
from tests.models.zoo.applications import APPLICATIONS
from tests.models.zoo.cv import KERAS_CV
from tests.models.zoo.hub import KERAS_HUB

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "backbones.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
NAMES = {"keras_hub": "KerasHub", "keras_cv": "KerasCV", "keras": "keras.applications"}
COLUMNS = ("loads", "map", "fit_rationale", "pretrain", "save, reload")
CASES = [*KERAS_HUB, *KERAS_CV, *APPLICATIONS]
FORMATS = {"SavedModel": "tf_saved_model", "LiteRT": "litert", "ONNX": "onnx"}


def row_of(case) -> tuple[list[str], dict[str, str]]:
    """The cells of a backbone's row, and what went wrong by column."""
    failed = {}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        model, encoder = checks.build(case), None

        def load():
            nonlocal encoder
            encoder = checks.loaded(case, model, folder)

        steps = {
            "loads": load,
            "map": lambda: checks.check_map(case, model, encoder),
            "fit_rationale": lambda: checks.check_fit(case, encoder),
            "pretrain": lambda: checks.check_pretrain(case, encoder),
            "save, reload": lambda: checks.check_reload(case, encoder, folder),
        }
        for column, format in FORMATS.items():
            steps[column] = lambda form=format: checks.check_export(case, encoder, folder, form)
        for column, step in steps.items():
            try:
                step()
            except Exception as error:
                failed[column] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return ["no" if column in failed else "yes" for column in steps], failed


def rows() -> dict[str, list[str]]:
    """What stands in the page: the lines of each backbone, its row and what failed."""
    inside = PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    found = {}
    for line in inside.splitlines():
        name = re.match(r"(?:\| |- )((?:Keras|keras)[\w.]+: [^|:]+?)(?: \||, [\w ]+:)", line)
        if name:
            found.setdefault(name[1], []).append(line)
    return found


def write(lines: dict[str, list[str]]) -> None:
    """Puts the table into the page: rows in the order of `CASES`, below them what failed."""
    heads = ("backbone", *COLUMNS, *FORMATS)
    known = [lines[name_of(case)] for case in CASES if name_of(case) in lines]
    table = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|", *(row for row, *_ in known)]
    notes = [note for _, *notes in known for note in notes]
    made = "\n".join([*table, *([""] if notes else []), *notes]) + "\n"
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{made}{END}{rest.partition(END)[2]}", "utf-8")


def name_of(case) -> str:
    return f"{NAMES[case.package]}: {case.name}"


def main(again: bool) -> None:
    lines = {} if again else rows()
    for case in CASES:
        name = name_of(case)
        if name not in lines:
            cells, failed = row_of(case)
            notes = [f"- {name}, {column}: {told}" for column, told in failed.items()]
            lines[name] = [f"| {name} | {' | '.join(cells)} |", *notes]
            print(*lines[name], sep="\n", file=sys.stderr)
            write(lines)


if __name__ == "__main__":
    main(again="--again" in sys.argv[1:])
