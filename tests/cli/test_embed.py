"""keras-cr embed: the embeddings are the encoder's, in both formats, written whole or not."""

import sys

import numpy as np
import pytest

import keras_cr
from keras_cr import CommonRationaleEncoder
from keras_cr.cli import embed, main
from keras_cr.presets import PresetError, save
from tests.case import tiny_backbone
from tests.cli.conftest import NAMES, as_evaluated
from tests.cli.test_main import fails


def run(images, preset, output, *more):
    argv = ["embed", images, "--preset", preset, "-o", output, "--batch-size", 4, *more]
    assert main([str(part) for part in argv]) == 0


@pytest.fixture(scope="module")
def encoded(preset, photos):
    return CommonRationaleEncoder.from_preset(preset).encode(as_evaluated(photos))


def test_npz(preset, photos, encoded, tmp_path, capsys):
    run(photos, preset, tmp_path / "new" / "e.npz")
    with np.load(tmp_path / "new" / "e.npz") as file:
        assert set(file) == {"paths", "embedding"}
        assert file["paths"].tolist() == [str(photos / name) for name in NAMES]
        assert file["embedding"].dtype == np.float32
        np.testing.assert_allclose(file["embedding"], encoded["embedding"], atol=1e-5)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["e.npz"]
    assert capsys.readouterr().out.startswith("Wrote 6 embeddings of 8 numbers to ")


def test_parquet(preset, photos, encoded, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    run(photos, preset, tmp_path / "e.parquet", "--pooling", "average")
    table = parquet.read_table(tmp_path / "e.parquet")
    assert [str(field.type) for field in table.schema] == [
        "string",
        "fixed_size_list<element: float>[8]",
    ]
    assert table["path"].to_pylist() == [str(photos / name) for name in NAMES]
    embedding = np.array(table["embedding"].to_pylist(), "float32")
    np.testing.assert_allclose(embedding, encoded["average_embedding"], atol=1e-5)
    assert np.abs(embedding - encoded["embedding"]).max() > 1e-3
    assert {key.decode(): value.decode() for key, value in table.schema.metadata.items()} == {
        "preset": preset,
        "image_size": "32",
        "pooling": "average",
        "keras_cr": keras_cr.__version__,
    }


def test_an_earlier_file_is_replaced_only_if_asked(preset, photos, tmp_path, capsys):
    output = tmp_path / "e.npz"
    output.write_text("earlier")
    argv = ["embed", photos, "--preset", "no_such_preset", "-o", output]  # refused before loading
    assert f"{output} would be replaced; add --overwrite" in fails(argv, capsys)
    assert output.read_text() == "earlier"
    run(photos / "c.png", preset, output, "--overwrite")
    with np.load(output) as file:
        assert file["embedding"].shape == (1, 8)
    capsys.readouterr()
    (tmp_path / "folder.npz").mkdir()
    argv = ["embed", photos, "--preset", preset, "-o", tmp_path / "folder.npz", "--overwrite"]
    assert "is a folder; name a file" in fails(argv, capsys)


def test_an_error_in_the_middle_leaves_no_half_file(preset, photos, tmp_path, monkeypatch, capsys):
    def full(path, *_):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setitem(embed.WRITERS, ".npz", full)
    output = tmp_path / "e.npz"
    output.write_text("earlier")
    argv = ["embed", photos, "--preset", preset, "-o", output, "--overwrite"]
    assert "No space left on device" in fails(argv, capsys)
    assert output.read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["e.npz"]


def test_unreadable_images(preset, photos, broken, tmp_path, capsys):
    output = tmp_path / "e.npz"
    argv = ["embed", photos, broken, "--preset", preset, "-o", output]
    assert "1 of 7 images" in (said := fails(argv, capsys))
    assert str(broken) in said
    assert not output.exists()
    assert main([*map(str, argv), "--skip-bad"]) == 0
    assert capsys.readouterr().err == f"Left out 1 unreadable images:\n  {broken}\n"
    with np.load(output) as file:
        assert len(file["embedding"]) == len(file["paths"]) == 6


def test_broken_weights_are_refused(photos, tmp_path, monkeypatch, capsys):
    encoder = CommonRationaleEncoder(tiny_backbone(), image_size=32)
    encoder.backbone.layers[-1].beta.assign(np.full(8, np.nan))
    with pytest.raises(PresetError, match="beta hold NaN"):
        encoder.save_to_preset(tmp_path / "preset")
    monkeypatch.setattr(save, "check_finite", lambda *_: None)  # as an earlier version saved it
    monkeypatch.setattr(save, "load_folder", lambda *_: None)
    folder = encoder.save_to_preset(tmp_path / "preset")
    argv = ["embed", photos, "--preset", folder, "-o", tmp_path / "e.npz"]
    assert "holds NaN or infinite numbers" in fails(argv, capsys)
    assert not (tmp_path / "e.npz").exists()


def test_a_missing_pyarrow_is_met_before_any_work(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    argv = ["embed", photos, "--preset", "no_such_preset", "-o", tmp_path / "e.parquet"]
    assert 'pip install "keras-cr[recipes]", or write FILE.npz' in fails(argv, capsys)
