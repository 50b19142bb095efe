"""The sheet of detectors: shares, order and pictures worked out by hand."""

import numpy as np
import pytest
from PIL import Image

from keras_cr.visualization import Picture, detector_grid, overlay
from tests.data.helpers import save_image

HEAD, NAME, CELL, STEP = 66, 38, 144, 150  # pixels: legend, a row's name, a picture, the next


def plain_images(n):
    """Images of one colour each, by which they are known again."""
    return np.broadcast_to(10 * np.arange(n)[:, None, None, None], (n, 8, 8, 3)).astype("uint8")


def seen(sheet, y, count):
    """The grey values in the middle of a row's pictures."""
    middle = y + NAME + CELL // 2
    return [int(sheet[middle, 16 + c * STEP + CELL // 2, 0]) for c in range(count)]


def responses():
    """Four images of 1 x 2 places under four detectors."""
    detections = np.full((4, 1, 2, 4), -1.0)
    detections[0, 0, 0] = [1, 2, -1, 0]  # 1 is the strongest
    detections[0, 0, 1] = [-1, 3, -1, 0]  # 1
    detections[1, 0, 0] = [4, 4, -1, 0]  # both 0 and 1
    detections[2, 0, 1] = [5, 1, 2, 0]  # 0
    detections[3, 0, 1] = [2, 1, 1, 0]  # 0
    detections[1, 0, 1] = [6, 1, 1, 0]  # 0
    return detections  # 4/8 for detector 0, 3/8 for 1, none for 2; 3 never is above 0


def test_detectors_are_ranked_by_share_and_images_by_peak(written):
    sheet = detector_grid(plain_images(4), responses(), alpha=0)
    assert [line for line in written if line.startswith("detector")] == [
        "detector 0: strongest at 50 % of places",
        "detector 1: strongest at 38 % of places",
        "detector 2: strongest at 0 % of places",
        "detector 3: never fires",
    ]
    row = NAME + CELL + 16
    assert sheet.shape == (HEAD + 3 * row + NAME + 16, 640, 3)
    assert seen(sheet, HEAD, 4) == [10, 20, 30, 0]  # peaks 6, 5, 2, 1
    assert seen(sheet, HEAD + row, 4) == [10, 0, 20, 30]  # peaks 4, 3, 1, 1
    assert seen(sheet, HEAD + 2 * row, 3) == [20, 10, 30]  # peaks 2, 1, 1; image 0 has none
    assert (sheet[HEAD + 2 * row + NAME :][:CELL, 16 + 2 * STEP + CELL :] == 255).all()
    assert (sheet[HEAD + 3 * row + NAME :] == 255).all()


def test_maps_are_rectified_and_scaled_by_the_detectors_largest():
    images = np.full((2, CELL, CELL, 3), 90, "uint8")
    detections = np.array([[[[-3.0], [2.0]]], [[[8.0], [4.0]]]])
    sheet = detector_grid(images, detections)
    expected = overlay(images, np.array([[[1.0, 0.5]], [[0.0, 0.25]]]))
    for column, picture in enumerate(expected):
        shown = sheet[HEAD + NAME :, 16 + column * STEP :][:CELL, :CELL]
        np.testing.assert_allclose(shown, picture, atol=1)


def test_which_and_how_many_are_drawn(written, tmp_path):
    path = tmp_path / "new" / "detectors.png"
    titles = ["a", "b", "c", "d"]
    sheet = detector_grid(
        plain_images(4), responses(), path, top=2, detectors=[2, 0], titles=titles, alpha=0
    )
    assert written[2:] == [  # after the legend
        "detector 0: strongest at 50 % of places",
        *("b", "c"),
        "detector 2: strongest at 0 % of places",
        *("c", "b"),
    ]
    assert isinstance(sheet, Picture)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), sheet)
    written.clear()
    detector_grid(plain_images(1), np.arange(40.0).reshape(1, 1, 1, 40), top=1)
    names = [line.split(":")[0] for line in written if line.startswith("detector")]
    assert names == [f"detector {k}" for k in range(39, 7, -1)]  # equal shares: higher peaks first


def test_small_shares_are_not_called_none(written):
    detections = np.full((1, 20, 20, 2), -1.0)
    detections[0, 0, 0, 0], detections[0, 1:, 0, 1] = 1, 1
    detector_grid(plain_images(1), detections)
    assert "detector 0: strongest at less than 1 % of places" in written
    assert "detector 1: strongest at 5 % of places" in written


def test_only_files_that_are_shown_are_read(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path, image in zip(paths, plain_images(4), strict=True):
        save_image(path, image)
    whole = detector_grid(plain_images(4), responses(), top=2, detectors=[0], alpha=0)
    paths[3].unlink()  # its peak is the third
    sheet = detector_grid(paths, responses(), top=2, detectors=[0], alpha=0, image_size=8)
    np.testing.assert_array_equal(sheet, whole)
    with pytest.raises(ValueError, match=r"3\.png' does not exist"):
        detector_grid(paths, responses(), top=3)


def test_detectors_that_never_fire_leave_no_pictures(written):
    sheet = detector_grid(plain_images(2), np.zeros((2, 3, 3, 2)))
    assert written[2:] == ["detector 0: never fires", "detector 1: never fires"]
    assert len(sheet) == HEAD + 2 * (NAME + 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((3, 8, 8, 3), "uint8")}, "each of the 3 images; received shape"),
        ({"detections": np.zeros((4, 2, 2))}, r"`detections` must have shape \(N, h, w, K\)"),
        ({"detections": np.full((4, 1, 2, 4), np.nan)}, "`detections` must be finite"),
        ({"top": 0}, "`top` must be at least 1; received 0"),
        ({"detectors": [4]}, "`detectors` must be from 0 to 3; received values from 4 to 4"),
        ({"detectors": [-1, 0]}, "`detectors` must be from 0 to 3"),
        ({"detectors": []}, "`detectors` must be at least one integer"),
        ({"detectors": [0.5]}, "`detectors` must be at least one integer"),
        ({"titles": ["a"]}, "one line for each of the 4 images"),
        ({"alpha": 2}, "`alpha`"),
    ],
)
def test_detector_grid_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        detector_grid(**({"images": plain_images(4), "detections": responses()} | change))
