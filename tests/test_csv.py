"""CSV files: text that a spreadsheet would compute is quoted, and read back as it was."""

import csv

import pytest

from keras_cr._csv import csv_text, read_csv, write_csv

TEXTS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "＝1",
    "－x",
    "'=1",
    "''-x",
    "--",
    "-",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_cell_is_never_a_formula(text, tmp_path):
    path = write_csv(tmp_path / "t.csv", ["name", text], [{"name": text, text: 1.5}])
    with path.open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert cells == ["name", f"'{text}", f"'{text}", "1.5"]
    assert read_csv(path) == (["name", text], [{"name": text, text: "1.5"}])


@pytest.mark.parametrize("text", ["a=b", "it's", "'tis", "a,b", 'a"b', "a\nb", "1-2", "", "ä"])
def test_other_text_stays(text, tmp_path):
    path = write_csv(tmp_path / "t.csv", ["name", "x"], [{"name": text, "x": text}])
    assert read_csv(path)[1] == [{"name": text, "x": text}]
    assert "'" not in path.read_text() or "'" in text


def test_numbers_stay_numbers():
    row = {
        "a": -0.5,
        "b": "-0.5",
        "c": "+1e-3",
        "d": -3,
        "e": None,
        "f": float("-inf"),
        "g": "-inf",
    }
    assert csv_text(list(row), [row]).splitlines()[1] == "-0.5,-0.5,+1e-3,-3,,-inf,-inf"


def test_what_spreadsheets_save(tmp_path):
    (tmp_path / "t.csv").write_bytes("epoch,loss\r\n0,1.5\r\n\r\n1\r\n".encode("utf-8-sig"))
    rows = [{"epoch": "0", "loss": "1.5"}, {"epoch": "1", "loss": ""}]
    assert read_csv(tmp_path / "t.csv") == (["epoch", "loss"], rows)
    (tmp_path / "t.csv").touch()
    assert write_csv(tmp_path / "e.csv", ["a"], []).read_text() == "a\n"
    assert read_csv(tmp_path / "e.csv") == (["a"], [])
