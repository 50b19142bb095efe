"""keras-cr data verify: what it prints, and its exit status."""

import json
import os
import warnings

import pytest

from keras_cr.cli import main
from keras_cr.cli.data import DATASETS
from keras_cr.data.verify import READERS
from tests.data.helpers import pixels, png_header, save_image


@pytest.fixture
def folder(tmp_path):
    for row, image in enumerate(pixels(4)):
        save_image(tmp_path / "photos" / "ab"[row % 2] / f"{row}.png", image)
    return tmp_path / "photos"


def test_every_layout_can_be_named():
    assert list(DATASETS) == sorted(READERS)


def test_a_whole_folder(folder, capsys):
    assert main(["data", "verify", str(folder), "--dataset", "folder"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"folder in {folder}\n  train:   4\n")
    assert printed.out.endswith("Problems: none\nNotes: none\n")
    assert printed.err == ""


def test_a_problem_is_named_and_the_status_is_1(folder, capsys):
    (folder / "a/0.png").write_bytes(b"")
    assert main(["data", "verify", str(folder), "--dataset", "folder"]) == 1
    printed = capsys.readouterr()
    assert f"Problems: 1\n  unreadable: {folder}/a/0.png: empty file\n" in printed.out
    assert printed.err == f"keras-cr data: error: 1 problem in {str(folder)!r}.\n"


def test_json_alone_on_stdout(folder, capsys):
    (folder / "a/._0.png").write_bytes(b"\0")
    assert main(["data", "verify", str(folder), "--dataset", "folder", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["per_class"]) == (True, {"a": [2, 0], "b": [2, 0]})
    assert [note["path"] for note in report["notes"]] == [f"{folder}/a/._0.png"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["data"], "required: ACTION"),
        (["data", "verify", "x"], "required: --dataset"),
        (["data", "verify", "x", "--dataset", "dogs"], "invalid choice: 'dogs'"),
    ],
)
def test_usage_errors(argv, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    assert message in capsys.readouterr().err


def test_what_is_printed_can_go_to_a_file(folder, tmp_path, capsys):
    file = tmp_path / "new" / "report.txt"
    argv = ["data", "verify", str(folder), "--dataset", "folder"]
    assert main([*argv, "-o", str(file)]) == 0
    assert capsys.readouterr().out == ""
    assert file.read_text().endswith("Problems: none\nNotes: none\n")
    assert main([*argv, "--output", str(file)]) == 1
    assert "would be replaced; add --overwrite" in capsys.readouterr().err
    (folder / "a/0.png").write_bytes(b"")
    assert main([*argv, "--output", str(file), "--overwrite"]) == 1  # a fault, which it names
    assert "Problems: 1\n" in file.read_text()


def test_large_images_strange_names_and_links(folder, capsys):
    os.rename(folder / "a/0.png", os.path.join(folder, "a", os.fsdecode(b"m\xfc.png")))
    (folder / "a/loop").symlink_to("..")
    (folder / "b/5.tiff").touch()
    (folder / "b/6.png").write_bytes(png_header(20_000, 20_000))
    assert main(["data", "verify", str(folder), "--dataset", "folder"]) == 1
    printed = capsys.readouterr().out
    assert f"large: {folder}/b/6.png: 20000 x 20000 pixels, more than max_pixels" in printed
    assert f"name: {folder}/a/m\\xfc.png: its name is no text in UTF-8" in printed
    assert f"passed_over: {folder}/b/5.tiff: in a format that is not read" in printed
    assert f"passed_over: {folder}/a/loop: that link to a folder" in printed
    (folder / "b/6.png").unlink()
    argv = ["data", "verify", str(folder), "--dataset", "folder", "--max-pixels"]
    assert main([*argv, "1920"]) == 0
    assert main([*argv, "1919"]) == 1
    assert capsys.readouterr().out.count("large: ") == 4
    with pytest.raises(SystemExit):
        main([*argv, "0"])


def test_warnings_are_told_in_a_line(folder, capsys):
    def warn(args):
        warnings.warn("mind\nthis", stacklevel=1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_cr.cli.data.run", warn)
        assert main(["data", "verify", str(folder), "--dataset", "folder"]) == 0
    assert capsys.readouterr().err == "Warning: mind this\n"
