"""Fills the table in docs/backbones.md: `python -m tests.models.zoo.table --again`.

Every cell is a check of `checks.py` or `elsewhere.py` that ran, on a small backbone of the family
with random weights; what failed is told below the table, in the words of its error. Takes about
three quarters of an hour; without `--again` only cells that were not run are filled.
"""

import os
import pathlib
import re
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from tests.models.zoo import checks, elsewhere
from tests.models.zoo.families import CASES

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "backbones.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
NAMES = {"keras_hub": "KerasHub", "keras_cv": "KerasCV", "keras": "keras.applications"}
FORMATS = {"SavedModel": "tf_saved_model", "LiteRT": "litert", "ONNX": "onnx"}
BACKENDS = {"JAX": "jax", "PyTorch": "torch"}
STEPS = ("loads", "map", "fit_rationale", "pretrain", "save, reload", *FORMATS)
COLUMNS = (*STEPS, *BACKENDS)

Row = dict[str, str]  # by column what went wrong; "" where nothing


def row_of(case) -> Row:
    """What the steps under TensorFlow come to."""
    row = {}
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
                row[column] = ""
            except Exception as error:
                row[column] = checks.told(error)
    return row


def rows() -> dict[str, Row]:
    """What stands in the page, by the backbone's name."""
    inside = PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    table = [line.strip("| ").split(" | ") for line in inside.splitlines() if line[:1] == "|"]
    (_, *columns), _, *lines = table
    found = {
        name: {column: "" for column, cell in zip(columns, cells, strict=False) if cell == "yes"}
        for name, *cells in lines
    }
    note = rf"^- ([\w.]+: .+?), ({'|'.join(COLUMNS)}): (.*)$"
    for name, column, error in re.findall(note, inside, re.MULTILINE):
        found[name][column] = error
    return found


def write(found: dict[str, Row]) -> None:
    """Puts the table into the page: rows in the order of `CASES`, below them what failed."""
    table = [f"| backbone | {' | '.join(COLUMNS)} |", "| --- " * (1 + len(COLUMNS)) + "|"]
    notes = []
    for name in filter(found.__contains__, map(name_of, CASES)):
        row = found[name]
        words = {None: "not run", "": "yes"}
        cells = (words.get(row.get(column), "no") for column in COLUMNS)
        table.append(f"| {name} | {' | '.join(cells)} |")
        notes += [f"- {name}, {column}: {row[column]}" for column in COLUMNS if row.get(column)]
    made = "\n".join([*table, *([""] if notes else []), *notes]) + "\n"
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{made}{END}{rest.partition(END)[2]}", "utf-8")


def name_of(case) -> str:
    return f"{NAMES[case.package]}: {case.name}"


def main(again: bool) -> None:
    found = {} if again else rows()
    for case in CASES:
        row = found.setdefault(name_of(case), {})
        if not row.keys() >= set(STEPS):
            row |= row_of(case)
            print(name_of(case), row, file=sys.stderr)
            write(found)
    missing = [case for case in CASES if not found[name_of(case)].keys() >= set(BACKENDS)]
    with tempfile.TemporaryDirectory() as folder:
        elsewhere.store(missing, pathlib.Path(folder))
        for column, backend in BACKENDS.items():
            failed = elsewhere.under(backend, pathlib.Path(folder))
            for case in missing:
                found[name_of(case)][column] = failed[str(CASES.index(case))]
            write(found)


if __name__ == "__main__":
    main(again="--again" in sys.argv[1:])
