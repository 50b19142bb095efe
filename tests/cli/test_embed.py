"""keras-cr embed: the embeddings are the encoder's, in both formats, written whole or not."""

import shutil
import sys

import numpy as np
import pytest

import keras_cr
from keras_cr import CommonRationaleEncoder
from keras_cr.cli import embed, main
from keras_cr.evaluation import read_embeddings
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
    run(photos, preset, tmp_path / "new" / "e.npz", "--strategy", "mirrored")
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
    monkeypatch.setattr(save, "load_folder", lambda *_, **__: None)
    folder = encoder.save_to_preset(tmp_path / "preset")
    argv = ["embed", photos, "--preset", folder, "-o", tmp_path / "e.npz"]
    assert "holds NaN or infinite numbers" in fails(argv, capsys)
    assert not (tmp_path / "e.npz").exists()


def test_a_missing_pyarrow_is_met_before_any_work(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    argv = ["embed", photos, "--preset", "no_such_preset", "-o", tmp_path / "e.parquet"]
    assert 'needs pyarrow: pip install "keras-cr[parquet]"' in fails(argv, capsys)


@pytest.fixture
def parts(preset, photos, tmp_path, capsys):
    """Makes a share of the parts of the photos, two images each; what it says."""
    pytest.importorskip("pyarrow")

    def make(shard, *more, images=photos, encoder=preset):
        argv = ["embed", images, "--preset", encoder, "-o", tmp_path / "parts", "--shard", shard]
        assert main([str(part) for part in [*argv, "--part-size", 2, *more]]) == 0
        return capsys.readouterr().out

    return make


def test_parts_are_joined(parts, photos, encoded, tmp_path, monkeypatch):
    folder = tmp_path / "parts"
    assert "Wrote 2 of 2 parts" in (said := parts("1/2"))
    assert "1 of 3 are missing yet" in said
    with pytest.raises(ValueError, match="1 of 3 parts are missing .*part-00001-of-00003.parquet"):
        read_embeddings(folder)
    (folder / ".part-00001-of-00003.parquet.0123abcd.part").write_bytes(b"half, and killed")
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("part-*")}
    assert "Wrote 1 of 3 parts" in (said := parts("1/1"))  # with another number of workers
    assert "all 3 are there" in said
    assert before.items() <= {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}.items()
    assert sorted(path.name for path in folder.iterdir()) == [
        f"part-0000{part}-of-00003.parquet" for part in range(3)
    ]
    paths, embedding = read_embeddings(folder)
    assert paths == [str(photos / name) for name in NAMES]
    assert embedding.dtype == np.float32
    np.testing.assert_allclose(embedding, encoded["embedding"], atol=1e-5)
    monkeypatch.setattr("keras_cr.cli.embed._embed", None)  # nothing is embedded twice
    assert "Wrote 0 of 3 parts" in parts("1/1")

    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("pyarrow.parquet.read_table", forbidden)
        with pytest.raises(PermissionError):  # it may be whole
            read_embeddings(folder)

    last = folder / "part-00002-of-00003.parquet"
    flipped = bytearray(last.read_bytes())
    flipped[flipped.index(embedding[-1].tobytes())] ^= 1
    for content in (bytes(flipped), b"PAR1 cut off"):
        last.write_bytes(content)
        with pytest.raises(ValueError, match="part-00002-of-00003.parquet' is damaged, .*remove"):
            read_embeddings(folder)


def test_parts_of_something_else_are_refused(parts, photos, tmp_path, capsys):
    parts("1/3")
    other = CommonRationaleEncoder(tiny_backbone(), num_detectors=2, image_size=32, seed=1)
    other.save_to_preset(tmp_path / "other")
    argv = ["embed", photos, "--preset", tmp_path / "other", "-o", tmp_path / "parts"]
    argv += ["--shard", "2/3", "--part-size", 2]
    for changed, told in ((argv, "encoder"), ([*argv, "--pooling", "average"], "pooling")):
        said = fails(changed, capsys)
        assert "is of other images or another encoder: " in said
        assert f"{told} '" in said
    argv[1] = photos / "a"
    assert "images '6', not '2'" in fails(argv, capsys)


def test_folders_with_the_same_names_are_told_apart(preset, photos, tmp_path, capsys):
    pytest.importorskip("pyarrow")
    for folder, image in (("one", NAMES[0]), ("other", NAMES[-1])):
        (tmp_path / folder).mkdir()
        shutil.copy(photos / image, tmp_path / folder / "image.png")
    rest = ["--preset", preset, "-o", tmp_path / "parts", "--part-size", 1, "--shard"]
    assert main([*map(str, ["embed", tmp_path / "one", tmp_path / "other", *rest, "1/2"])]) == 0
    capsys.readouterr()
    swapped = ["embed", tmp_path / "other", tmp_path / "one", *rest, "2/2"]
    assert "is of other images or another encoder: sizes" in fails(swapped, capsys)


def test_a_part_without_an_unreadable_image(preset, photos, broken, tmp_path, capsys):
    pytest.importorskip("pyarrow")
    argv = ["embed", photos, broken, "--preset", preset, "-o", tmp_path / "parts"]
    argv += ["--shard", "1/1", "--part-size", 4]
    assert "1 of 3 images" in fails(argv, capsys)
    assert main([*map(str, argv), "--skip-bad"]) == 0
    paths, embedding = read_embeddings(tmp_path / "parts")
    assert len(paths) == len(embedding) == 6


def test_a_part_of_unreadable_images_is_empty(preset, photos, broken, tmp_path):
    pytest.importorskip("pyarrow")
    argv = ["embed", photos, broken, "--preset", preset, "-o", tmp_path / "parts", "--skip-bad"]
    assert main([*map(str, [*argv, "--shard", "1/1", "--part-size", 6])]) == 0
    paths, embedding = read_embeddings(tmp_path / "parts")
    assert len(paths) == 6
    assert embedding.shape == (6, 8)
