"""keras-cr explain: the pictures show the encoder's maps; nothing is lost or left half done."""

import numpy as np
import pytest
from PIL import Image

from keras_cr import CommonRationaleEncoder, visualization
from keras_cr.cli import main
from keras_cr.visualization import detector_grid, overlay, rationale_grid
from tests.case import tiny_encoder
from tests.cli.conftest import NAMES, as_evaluated
from tests.cli.test_main import fails
from tests.data.helpers import pixels, save_image

FILES = {"maps.npz", "overlays", "rationales.png"}


def arguments(images, preset, output, *more):
    images = images if isinstance(images, list) else [images]
    parts = ["explain", *images, "--preset", preset, "-o", output, "--batch-size", 4, *more]
    return [str(part) for part in parts]


def contents(folder):
    return {path.name for path in folder.iterdir()}


def test_pictures_are_of_the_encoders_maps(preset, photos, tmp_path, capsys):
    output = tmp_path / "new" / "out"
    assert main(arguments(photos, preset, output, "--detectors", "--alpha", "0.3")) == 0
    assert contents(output) == FILES | {"detectors.png"}
    paths = [str(photos / name) for name in NAMES]
    images = as_evaluated(photos)
    encoded = CommonRationaleEncoder.from_preset(preset).encode(images)
    maps, detections = (np.asarray(encoded[name]) for name in ("rationale", "detections"))

    pictures = ["a/1.png", "a/2.png", "b/1.png", "b/deep/3.png", "c.png", "d.png"]
    with np.load(output / "maps.npz") as file:
        assert file["paths"].tolist() == paths
        assert file["overlays"].tolist() == pictures
        assert file["maps"].dtype == np.float32
        np.testing.assert_allclose(file["maps"], maps, atol=1e-5)
    for name, laid in zip(pictures, overlay(images, maps, 0.3), strict=True):
        drawn = np.asarray(Image.open(output / "overlays" / name))
        assert drawn.shape == (32, 32, 3)
        np.testing.assert_allclose(drawn.astype(int), laid, atol=2)
    titles = [path.name for path in map(photos.joinpath, NAMES)]
    for name, expected in (
        ("rationales.png", rationale_grid(images, maps, titles=titles, alpha=0.3)),
        ("detectors.png", detector_grid(images, detections, titles=titles, alpha=0.3)),
    ):
        drawn = np.asarray(Image.open(output / name)).astype(int)
        np.testing.assert_allclose(drawn, expected, atol=2)
    assert capsys.readouterr().out.startswith("Wrote 6 overlays to ")


def test_equal_names_do_not_meet_and_the_sheet_is_spread_over_all(
    preset, photos, tmp_path, monkeypatch
):
    sheets = []
    monkeypatch.setattr("keras_cr.cli.explain.SHOWN", 3)
    monkeypatch.setattr(
        visualization, "rationale_grid", lambda *args, titles, **_: sheets.append((args, titles))
    )
    held = []

    def counted(images, *args):
        held.append(len(images))
        return overlay(images, *args)

    monkeypatch.setattr(visualization, "overlay", counted)
    assert main(arguments(photos / "*" / "*.*", preset, tmp_path, "--batch-size", 2)) == 0
    assert contents(tmp_path / "overlays") == {"1.png", "2.png", "1-2.png"}
    assert held == [2, 1]
    (((images, maps, _), titles),) = sheets
    assert titles == ["1.png", "2.jpg", "1.png"]
    assert len(images) == len(maps) == 3


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_the_sheet_shows_first_and_last_and_what_lies_evenly_between(
    preset, photos, tmp_path, monkeypatch, batch_size
):
    sheets = []
    monkeypatch.setattr("keras_cr.cli.explain.SHOWN", 3)
    monkeypatch.setattr(
        visualization, "rationale_grid", lambda *args, titles, **_: sheets.append((args, titles))
    )
    assert main(arguments(photos, preset, tmp_path / "out", "--batch-size", batch_size)) == 0
    (((images, maps, _), titles),) = sheets
    rows = [0, 2, 5]
    assert titles == [NAMES[row].rpartition("/")[-1] for row in rows]
    np.testing.assert_array_equal(images, np.rint(as_evaluated(photos)[rows]))
    with np.load(tmp_path / "out" / "maps.npz") as file:
        np.testing.assert_array_equal(maps, file["maps"][rows])


def test_an_earlier_call_is_replaced_only_if_asked(preset, photos, tmp_path, capsys):
    save_image(tmp_path / "1.png", pixels(1)[0])
    output = tmp_path / "out"  # where its pictures could be taken for photos
    assert main(arguments(photos, preset, output, "--detectors")) == 0
    assert "lies in IMAGES" not in capsys.readouterr().err
    (output / "mine.txt").write_text("kept")
    capsys.readouterr()
    said = fails(arguments(tmp_path, "no_such_preset", output), capsys)  # before loading
    assert "overlays, " in said
    assert "would be replaced; add --overwrite" in said
    assert main(arguments(tmp_path, preset, output, "--overwrite")) == 0
    assert contents(output) == FILES | {"mine.txt"}  # no detectors of the earlier call
    assert contents(output / "overlays") == {"1.png"}
    assert "out' lies in IMAGES: other commands will take its pictures" in capsys.readouterr().err


def test_maps_that_the_encoder_does_not_use_are_called_so(photos, tmp_path, capsys):
    folder = tiny_encoder(pooling="average").save_to_preset(tmp_path / "preset")
    argv = arguments(photos / "c.png", folder, tmp_path / "out", "--image-size", 32)
    assert main(argv) == 0
    assert "Note: the encoder pools by plain average." in capsys.readouterr().err


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_error_in_the_middle_leaves_all_as_it_was(
    preset, photos, tmp_path, monkeypatch, capsys, error
):
    def failing(*args, **kwargs):
        raise error

    monkeypatch.setattr(visualization, "rationale_grid", failing)
    argv = arguments(photos / "c.png", preset, tmp_path / "out")
    status = 130 if isinstance(error, KeyboardInterrupt) else 1
    assert main(argv) == status
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "rationales.png").write_text("earlier")
    assert main([*argv, "--overwrite"]) == status
    assert contents(tmp_path / "out") == {"rationales.png"}
    assert (tmp_path / "out" / "rationales.png").read_text() == "earlier"
    assert ("disk full" in capsys.readouterr().err) == (status == 1)


def test_unreadable_images_and_wrong_places(preset, photos, broken, tmp_path, capsys):
    said = fails(arguments([broken, photos], preset, tmp_path / "out"), capsys)
    assert str(broken) in said
    assert not (tmp_path / "out").exists()
    assert main(arguments([broken, photos], preset, tmp_path / "out", "--skip-bad")) == 0
    assert "Left out 1 unreadable images" in capsys.readouterr().err
    with np.load(tmp_path / "out" / "maps.npz") as file:
        assert len(file["maps"]) == len(NAMES)
    assert "is a file; name a folder" in fails(arguments(photos, preset, broken), capsys)
    assert "IMAGES: 'absent'" in fails(arguments("absent", preset, tmp_path / "o"), capsys)
