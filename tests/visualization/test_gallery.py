"""The gallery of retrieved images: what stands where, and how right and wrong are told apart."""

import numpy as np
import pytest
from PIL import Image

from keras_cr.visualization import Picture, overlay, retrieval_gallery
from keras_cr.visualization._sheet import Sheet
from tests.data.helpers import save_image

HEAD, ROW, CELL, STEP, START = 72, 186, 144, 152, 200  # pixels; START: the first found image
BLUE, ORANGE, INK = [0, 114, 178], [213, 94, 0], [34, 34, 34]


def plain_images(n=4):
    """Images of one colour each, by which they are known again."""
    return np.broadcast_to(20 * np.arange(n)[:, None, None, None], (n, 8, 8, 3)).astype("uint8")


def arguments(**change):
    values = {
        "images": plain_images(),
        "labels": [0, 1, 0, 1],
        "neighbors": np.array([[2, 1], [0, 3], [1, 0], [1, 2]]),
    }
    return values | change


def seen(sheet, row, x):
    """A picture's grey value and the colour of its frame."""
    y = HEAD + row * ROW
    return int(sheet[y + CELL // 2, x + CELL // 2, 0]), sheet[y + CELL - 2, x + 70].tolist()


def test_queries_and_what_was_found_for_them(written):
    sheet = retrieval_gallery(**arguments(), class_names=["wren", "robin"])
    assert sheet.shape == (HEAD + 4 * ROW, 640, 3)
    expected = [(2, BLUE), (1, ORANGE)], [(0, ORANGE), (3, BLUE)]
    for row, found in enumerate(expected):
        assert seen(sheet, row, 16) == (20 * row, INK)
        for column, (image, color) in enumerate(found):
            assert seen(sheet, row, START + column * STEP) == (20 * image, color)
    assert written[:3] == ["query", "same class", "another class"]
    assert written[3:9] == ["wren", "wren", "robin", "robin", "wren", "robin"]


def test_right_and_wrong_differ_in_shape_too():
    grey = []
    for right in (True, False):
        sheet = Sheet(40, 40)
        sheet.sign(right, (0, 0), 40)
        grey.append(np.asarray(Image.fromarray(sheet.finish(None)).convert("L")) > 200)
    tick, cross = grey
    assert tick[3, 3]
    assert not cross[3, 3]  # a disc and a square
    middle = np.s_[8:32, 8:32]
    for sign in grey:
        assert 0.1 < sign[middle].mean() < 0.6
    both = (tick & cross)[middle].sum()
    assert both < 0.5 * (tick | cross)[middle].sum()  # a tick and a cross
    np.testing.assert_array_equal(cross[middle], cross[middle].T)
    assert not np.array_equal(tick[middle], tick[middle].T)


def test_the_sheet_has_the_signs_of_its_frames():
    sheet = retrieval_gallery(**arguments(), queries=[0, 1, 2, 3])
    for right, x in ((True, START), (False, START + STEP)):
        page = Sheet(CELL, CELL)
        page.paste(np.full((8, 8, 3), 40 if right else 20, "uint8"), (0, 0), (CELL, CELL))
        page.frame((0, 0), (CELL, CELL), "#0072B2" if right else "#D55E00", 5)
        page.sign(right, (0, 0), 40)
        np.testing.assert_array_equal(sheet[HEAD:, x:][:CELL, :CELL], page.finish(None))


def test_some_queries_in_another_gallery(written, tmp_path):
    path = tmp_path / "new" / "retrieval.png"
    gallery = np.full((2, 10, 20, 3), 200, "uint8")
    sheet = retrieval_gallery(
        **arguments(labels=list("abcd"), neighbors=[[1], [0]]),
        path=path,
        queries=[3, 0],
        gallery_images=gallery,
        gallery_labels=np.array(["d", "z"], dtype=object),
    )
    assert [seen(sheet, row, 16)[0] for row in (0, 1)] == [60, 0]
    half = sheet[HEAD:, START:]  # twice as wide as high
    assert half[CELL // 2 - 2, 70].tolist() == ORANGE
    assert half[CELL // 4, 70].tolist() == [200, 200, 200]
    assert (half[CELL // 2 : CELL, :] == 255).all()
    assert written[3:] == ["d", "z", "a", "d"]
    assert isinstance(sheet, Picture)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), sheet)


def test_a_query_found_for_itself_is_no_success(written):
    sheet = retrieval_gallery(**arguments(neighbors=[[0, 2]]), queries=[0])
    assert seen(sheet, 0, START)[1] == INK
    assert seen(sheet, 0, START + STEP)[1] == BLUE
    assert written[3:] == ["class 0", "the query itself", "class 0"]


def test_without_labels_nothing_is_right_or_wrong(written, monkeypatch):
    monkeypatch.setattr(Sheet, "sign", lambda *_: pytest.fail("there is nothing to judge by"))
    sheet = retrieval_gallery(plain_images(), None, np.array([[2, 1], [0, 3]]), queries=[0, 1])
    assert written == ["query", "nearest first"]
    row = CELL + 16  # no line for names
    assert sheet.shape == (HEAD + 2 * row, 640, 3)
    for column, image in enumerate((2, 1)):
        x = START + column * STEP
        assert int(sheet[HEAD + CELL // 2, x + CELL // 2, 0]) == 20 * image
        assert sheet[HEAD + CELL - 2, x + 70].tolist() == INK
    retrieval_gallery(plain_images(), None, [[1, 0]], queries=[1])
    assert written[2:] == ["query", "nearest first", "the query itself"]


def test_a_gallery_without_labels_or_with_its_own_alone(written):
    other = plain_images(3)
    shown = {"images": plain_images(), "neighbors": [[2, 0]], "queries": [1]}
    sheet = retrieval_gallery(**shown, labels=None, gallery_images=other)
    assert written == ["query", "nearest first"]
    named = retrieval_gallery(
        **shown, labels=None, gallery_images=other, gallery_labels=["wren", "robin", "finch"]
    )
    assert written[4:] == ["finch", "wren"]
    np.testing.assert_array_equal(sheet[HEAD : HEAD + CELL], named[HEAD : HEAD + CELL])
    maps = np.zeros((4, 2, 2))
    wide = retrieval_gallery(**shown, labels=None, gallery_images=other, maps=maps)
    assert wide.shape[0] == sheet.shape[0]


def test_maps_stand_beside_the_queries():
    images = np.random.default_rng(0).integers(0, 256, (4, CELL, CELL, 3), dtype="uint8")
    maps = np.random.default_rng(1).random((4, 3, 3))
    sheet = retrieval_gallery(**arguments(images=images, neighbors=[[1]]), queries=[2], maps=maps)
    inner = np.s_[HEAD + 5 : HEAD + CELL - 5]
    laid = overlay(images[2:3], maps[2:3])[0]
    np.testing.assert_array_equal(sheet[inner, 21 : 16 + CELL - 5], images[2, 5:-5, 5:-5])
    shown = sheet[inner, 16 + STEP + 5 : 16 + STEP + CELL - 5]
    np.testing.assert_array_equal(shown, laid[5:-5, 5:-5])
    assert seen(sheet, 0, START + STEP)[1] == ORANGE


def test_only_files_that_are_shown_are_read(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(4)]
    for path, image in zip(paths, plain_images(), strict=True):
        save_image(path, image)
    paths[3].unlink()
    shown = {"neighbors": [[2, 1], [0, 2]], "queries": [0, 1]}
    sheet = retrieval_gallery(**arguments(images=paths, **shown), image_size=8)
    np.testing.assert_array_equal(sheet, retrieval_gallery(**arguments(**shown)))
    with pytest.raises(ValueError, match=r"3\.png' does not exist"):
        retrieval_gallery(**arguments(images=paths))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((4, 8, 8))}, r"`images` must have shape \(N, H, W, 3\)"),
        ({"labels": [0, 1]}, r"`labels` must have one label an image, shape \(4,\)"),
        ({"labels": [0.5] * 4}, "`labels` must be integers or strings; received float64"),
        ({"class_names": ["wren"]}, "positions in the 1 `class_names`; .* from 0 to 1"),
        ({"labels": list("abcd"), "class_names": ["wren"]}, "`class_names` are for integer"),
        ({"neighbors": [[4]] * 4}, "`neighbors` must be from 0 to 3; received values from 4"),
        ({"neighbors": [[-1]] * 4}, "`neighbors` must be from 0 to 3"),
        ({"neighbors": [1, 2, 3, 0]}, "`neighbors` must be at least one integer, in 2 dimension"),
        ({"neighbors": np.zeros((4, 0), int)}, "`neighbors` must be at least one integer"),
        ({"neighbors": [[0.0]] * 4}, "`neighbors` .* received float64"),
        ({"queries": [0]}, r"for each of the 1 queries; received 4 rows.* neighbors\[queries\]"),
        ({"queries": [0, 1, 2, 4]}, "`queries` must be from 0 to 3"),
        ({"maps": np.zeros((1, 2, 2))}, "`maps` .* one map for each of the 4 images"),
        ({"maps": np.full((4, 2, 2), 3.0)}, "`maps` must lie in 0..1"),
        ({"labels": None, "class_names": ["wren"]}, "`class_names` .* `labels` is None"),
        ({"labels": None, "gallery_labels": [0]}, "received `gallery_labels` alone"),
        ({"gallery_labels": [0]}, "come together; received `gallery_labels` alone"),
        ({"gallery_images": plain_images()}, "received `gallery_images` alone"),
        (
            {"gallery_images": np.zeros((4, 8, 8)), "gallery_labels": [0, 1, 0, 1]},
            "`gallery_images` must have shape",
        ),
        (
            {"gallery_images": plain_images(), "gallery_labels": list("abab")},
            "must both be integers or both be strings",
        ),
    ],
)
def test_retrieval_gallery_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        retrieval_gallery(**arguments(**change))


def test_more_queries_than_a_sheet_holds_are_refused():
    many = {"images": plain_images(301), "labels": np.zeros(301, int)}
    with pytest.raises(ValueError, match="`queries` must be at most 300 .* received 301"):
        retrieval_gallery(**many, neighbors=np.zeros((301, 1), int))
