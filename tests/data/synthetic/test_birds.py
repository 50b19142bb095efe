import itertools
import sys

import numpy as np
import pytest
from PIL import Image

from keras_cr.data import FineGrainedDataset, read_cub
from keras_cr.data.synthetic import parts
from keras_cr.data.synthetic.birds import synthetic_birds, write_cub_layout


@pytest.fixture(scope="module")
def birds():
    return synthetic_birds(num_classes=6, train_per_class=3, test_per_class=2, image_size=64)


def nearest_neighbour(features, dataset):
    """Test accuracy of the class of the nearest training image."""
    features, train = np.asarray(features), dataset.is_train
    distance = ((features[~train][:, None] - features[train]) ** 2).sum(-1)
    return (dataset.labels[train][distance.argmin(1)] == dataset.labels[~train]).mean()


def test_fields(birds):
    assert birds.name == "synthetic_birds"
    assert birds.images.shape == (30, 64, 64, 3)
    assert birds.masks.shape == (30, 64, 64)
    assert birds.masks.dtype == bool
    assert len(set(birds.class_names)) == birds.num_classes == 6
    np.testing.assert_array_equal(birds.labels, np.repeat(np.arange(6), 5))
    np.testing.assert_array_equal(birds.is_train, np.tile([1, 1, 1, 0, 0], 6).astype(bool))


def test_same_seed_same_images(birds):
    again = synthetic_birds(num_classes=6, train_per_class=3, test_per_class=2, image_size=64)
    np.testing.assert_array_equal(again.images, birds.images)
    np.testing.assert_array_equal(again.masks, birds.masks)
    assert len(np.unique(birds.images.reshape(30, -1), axis=0)) == 30


def test_another_seed_draws_other_images_of_the_same_species(birds):
    other = synthetic_birds(6, train_per_class=3, test_per_class=2, image_size=64, seed=1)
    assert other.class_names == birds.class_names
    for image, same in zip(other.images, birds.images, strict=True):
        assert (image != same).any(-1).mean() > 0.9


def test_an_image_does_not_depend_on_how_many_are_drawn(birds):
    few = synthetic_birds(num_classes=3, train_per_class=1, test_per_class=1, image_size=64)
    rows = [0, 3, 5, 8, 10, 13]
    np.testing.assert_array_equal(few.images, birds.images[rows])
    assert few.class_names == birds.class_names[:3]


def test_boxes_bound_the_masks(birds):
    for (x, y, width, height), mask in zip(birds.boxes.astype(int), birds.masks, strict=True):
        inside = mask[y : y + height, x : x + width]
        assert inside.sum() == mask.sum()
        assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
        assert min(x, y) > 0
        assert max(x + width, y + height) < 64


def test_birds_fill_a_seventh_to_a_third_of_the_image_in_changing_places(birds):
    area = birds.masks.mean((1, 2))
    assert area.min() > 0.1
    assert area.max() < 0.37
    assert area.std() > 0.02
    assert (birds.boxes[:, :2] + birds.boxes[:, 2:] / 2).std(axis=0).min() > 2


def test_the_mask_is_the_bird():
    """With its own pixels alone the species is plain; with the mask shifted, less so."""
    birds = synthetic_birds(num_classes=4, train_per_class=20, test_per_class=10, image_size=48)
    assert nearest_neighbour(histograms(birds, birds.masks), birds) > 0.5
    elsewhere = birds.masks[:, ::-1] & ~birds.masks
    assert nearest_neighbour(histograms(birds, elsewhere), birds) < 0.5


def histograms(dataset, masks):
    """Square roots of coarse colour histograms `(N, 216)` within masks."""
    bins = (dataset.images // 43).astype(int) @ (36, 6, 1)
    counts = np.stack([np.bincount(b[m], minlength=216) for b, m in zip(bins, masks, strict=True)])
    return np.sqrt(counts / counts.sum(1, keepdims=True))


def test_no_shortcut_through_the_colours_of_the_image():
    birds = synthetic_birds(num_classes=8, train_per_class=30, test_per_class=15)
    mean_colour = nearest_neighbour(birds.images.mean((1, 2)), birds)
    corner = nearest_neighbour(birds.images[:, 0, 0].astype(float), birds)
    foreground = nearest_neighbour(histograms(birds, birds.masks), birds)
    background = nearest_neighbour(histograms(birds, ~birds.masks), birds)
    assert max(mean_colour, corner, background) < 0.3  # chance: 0.125
    assert foreground > max(mean_colour, background) + 0.2


def test_any_two_species_differ_in_two_parts_or_more():
    codes = np.array([parts.variants(label) for label in range(parts.MAX_CLASSES)])
    assert len(np.unique(codes, axis=0)) == 2500
    for code in codes:
        assert np.sort((codes != code).sum(1))[1] >= 2


def test_a_genus_shares_crest_tail_and_body():
    for first in range(0, 200, parts.GENUS):
        genus = [parts.species(label) for label in range(first, first + parts.GENUS)]
        for one, two in itertools.combinations(genus, 2):
            assert (one.crest, one.tail, one.body) == (two.crest, two.tail, two.body)
            assert (one.beak, one.eye, one.wing) != (two.beak, two.eye, two.wing)
    assert len({parts.species(label).name for label in range(2500)}) == 2500


def test_correlated_backgrounds_change_scenes_and_leave_the_birds():
    options = {"num_classes": 3, "train_per_class": 8, "test_per_class": 0, "image_size": 48}
    free = synthetic_birds(**options)
    tied = synthetic_birds(**options, background="correlated")
    np.testing.assert_array_equal(free.masks, tied.masks)
    changed = (free.images != tied.images).any((1, 2, 3))
    assert 0.3 < changed.mean() < 0.9  # .7 of them prefer, 5 of 6 of those had another family


@pytest.mark.parametrize("image_format", ["png", "jpg"])
def test_cub_layout_round_trip(birds, tmp_path, image_format):
    folder = tmp_path / "deep" / "birds"
    root = write_cub_layout(birds, folder, image_format)
    assert root == folder / "CUB_200_2011"
    assert [path.name for path in folder.parent.iterdir()] == ["birds"]
    assert len(list((root / "images").rglob(f"*.{image_format}"))) == 30
    assert len(list((folder / "segmentations").rglob("*.png"))) == 30

    name = birds.class_names[0]
    lines = {path.stem: path.read_text().splitlines() for path in root.glob("*.txt")}
    assert lines["images"][0] == f"1 001.{name}/{name}_0001.{image_format}"
    assert lines["image_class_labels"][-1] == "30 6"
    assert lines["train_test_split"][2:4] == ["3 1", "4 0"]
    assert lines["classes"][0] == f"1 001.{name}"
    assert lines["bounding_boxes"][0] == "1 " + " ".join(f"{x:.1f}" for x in birds.boxes[0])

    read = read_cub(folder)
    np.testing.assert_array_equal(read.labels, birds.labels)
    np.testing.assert_array_equal(read.is_train, birds.is_train)
    np.testing.assert_array_equal(read.boxes, birds.boxes)
    for row in (0, 13, 29):
        with Image.open(read.images[row]) as image, Image.open(read.masks[row]) as mask:
            np.testing.assert_array_equal(np.asarray(mask) > 127, birds.masks[row])
            error = np.abs(np.asarray(image, int) - birds.images[row])
        assert error.mean() < (8 if image_format == "jpg" else 1e-9)


def test_cub_layout_without_masks_and_boxes(tmp_path):
    names = ["007.Great tit", "b/../c"]
    images = np.zeros((2, 8, 8, 3), np.uint8)
    dataset = FineGrainedDataset("small", images, np.array([0, 1]), names, np.array([True, False]))
    tmp_path.joinpath("empty").mkdir()
    root = write_cub_layout(dataset, tmp_path / "empty")
    assert not (tmp_path / "empty" / "segmentations").exists()
    assert not (root / "bounding_boxes.txt").exists()
    assert read_cub(root).class_names == ["001.Great_tit", "002.b_c"]


def test_cub_layout_never_overwrites(birds, tmp_path):
    kept = tmp_path / "kept.txt"
    kept.write_text("mine")
    for folder in (tmp_path, kept):
        with pytest.raises(FileExistsError, match="new or empty"):
            write_cub_layout(birds, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_cub_layout_leaves_nothing_behind_when_it_fails(birds, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="disk full"):
        write_cub_layout(birds, tmp_path / "birds")
    assert not list(tmp_path.iterdir())


def test_cub_layout_refuses_what_it_cannot_write(birds, tmp_path):
    with pytest.raises(ValueError, match="image_format.*gif"):
        write_cub_layout(birds, tmp_path / "birds", "gif")
    unlabelled = FineGrainedDataset("u", birds.images, None, [], birds.is_train)
    with pytest.raises(ValueError, match="labels must be an array; received None"):
        write_cub_layout(unlabelled, tmp_path / "birds")
    paths = FineGrainedDataset("p", ["a.jpg"], np.array([0]), ["a"], np.array([True]))
    with pytest.raises(ValueError, match="images must be an array; received paths"):
        write_cub_layout(paths, tmp_path / "birds")


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("num_classes", 1, "from 2 to 2500; received 1"),
        ("num_classes", 2501, "from 2 to 2500; received 2501"),
        ("train_per_class", 0, "of 1 or more"),
        ("test_per_class", -1, "of 0 or more"),
        ("image_size", 31, "of 32 or more"),
        ("image_size", 96.0, "must be an integer"),
        ("seed", -1, "of 0 or more"),
        ("background", "plain", "independent"),
    ],
)
def test_bad_arguments(argument, value, message):
    with pytest.raises(ValueError, match=f"{argument}: .*{message}"):
        synthetic_birds(**{argument: value})


def test_without_pillow_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r'pip install "keras-cr\[recipes\]"'):
        synthetic_birds()
