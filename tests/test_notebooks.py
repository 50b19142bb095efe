"""The notebooks run, what they claim holds (their cells assert it), and what is stored is small."""

import re

import pytest

nbformat = pytest.importorskip("nbformat", reason="the extra dev is not installed")
pytest.importorskip("nbclient", reason="the extra dev is not installed")
pytest.importorskip("ipykernel", reason="the extra dev is not installed")

from notebooks.refresh import HERE, NAMES, executed  # noqa: E402

MOST = 600_000  # bytes of a file


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_its_claims_hold(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE.parent))
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    run = executed(name, tmp_path)
    pictures = [o for cell in run.cells for o in cell.get("outputs", ()) if "image/png" in _data(o)]
    assert pictures


@pytest.mark.parametrize("name", NAMES)
def test_its_outputs_are_stored_and_small(name):
    path = HERE / f"{name}.ipynb"
    assert path.stat().st_size < MOST
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert [c.execution_count for c in cells] == [*range(1, len(cells) + 1)]
    for cell in cells:
        shows = re.search(r"^(print|rationale_grid|match_sheet)\(", cell.source, re.MULTILINE)
        assert cell.outputs or not shows, cell.source
    outputs = [output for cell in cells for output in cell.outputs]
    assert any("image/png" in _data(output) for output in outputs)
    assert all(output.output_type != "error" for output in outputs)


def test_every_notebook_is_run():
    assert {path.stem for path in HERE.glob("*.ipynb")} == set(NAMES)


def _data(output):
    return output.get("data", {})
