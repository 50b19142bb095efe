"""The k-NN monitor against scikit-learn, its draw, and its care with test images."""

import numpy as np
import pytest
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from keras_cr.callbacks import KNNMonitor
from keras_cr.callbacks.knn_monitor import stratified_subset
from keras_cr.data import FineGrainedDataset
from tests.callbacks.helpers import ColorEncoder, begin, read_events


def colors(number=40, classes=4, size=8, seed=0):
    """Noisy images with a colour of their class, three quarters of them for training."""
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % classes
    base = rng.uniform(60, 200, (classes, 1, 1, 3))[labels]
    images = np.clip(base + rng.normal(0, 60, (number, size, size, 3)), 0, 255)
    names = [f"class {label}" for label in range(classes)]
    is_train = np.arange(number) < 3 * number // 4
    return FineGrainedDataset("colors", images.astype("uint8"), labels, names, is_train)


def leave_one_out(features, labels, k):
    model = KNeighborsClassifier(k, metric="cosine")
    return cross_val_score(model, features, labels, cv=LeaveOneOut()).mean()


@pytest.mark.parametrize(("split", "k"), [("train", 1), ("test", 1), ("train", 3)])
def test_it_is_leave_one_out_knn_of_the_split(split, k):
    # two classes and an odd k: scikit-learn breaks ties in its own way
    dataset = colors(classes=4 if k == 1 else 2)
    part = dataset.split(split)
    if split == "test":
        with pytest.warns(UserWarning, match="no test result any more"):
            monitor = KNNMonitor(dataset, 8, split=split, k=k, batch_size=7)
    else:
        monitor = KNNMonitor(dataset, 8, split=split, k=k, batch_size=7)
    logs = {"loss": 1.0}
    begin(monitor, ColorEncoder()).on_epoch_end(0, logs)
    images = part.images.astype("float64")
    assert logs == {
        "loss": 1.0,
        f"knn_{split}_top1": leave_one_out(images.mean(axis=(1, 2)), part.labels, k),
        f"knn_{split}_top1_average": leave_one_out(images[:, 0, 0], part.labels, k),
    }
    assert logs[f"knn_{split}_top1"] > logs[f"knn_{split}_top1_average"]


def test_epochs_between_are_nan_and_the_last_is_measured(tmp_path):
    monitor = begin(KNNMonitor(colors(), 8, every=3, tensorboard=tmp_path), ColorEncoder(), 8)
    measured = []
    for epoch in range(8):
        logs = {}
        monitor.on_epoch_end(epoch, logs)
        assert np.isnan(logs["knn_train_top1"]) == np.isnan(logs["knn_train_top1_average"])
        if np.isfinite(logs["knn_train_top1"]):
            measured.append(epoch)
    monitor.on_train_end()
    assert measured == [2, 5, 7]
    events = read_events(tmp_path)
    assert set(events) == {"knn/train_top1", "knn/train_top1_average"}
    assert [step for step, _ in events["knn/train_top1"]] == measured
    assert events["knn/train_top1"][-1][1] == pytest.approx(logs["knn_train_top1"])


def test_a_large_split_is_drawn_once_and_with_a_seed():
    drawn = [KNNMonitor(colors(200), 8, max_images=40, seed=seed).dataset for seed in (0, 0, 1)]
    assert [len(dataset) for dataset in drawn] == [40] * 3
    assert all(dataset.is_train.all() for dataset in drawn)
    np.testing.assert_array_equal(drawn[0].images, drawn[1].images)
    assert (drawn[0].images != drawn[2].images).any()


def test_a_draw_is_stratified_and_finds_pairs():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [600, 300, 100]))
    rows = stratified_subset(labels, 200, seed=0)
    assert len(set(rows)) == 200
    np.testing.assert_allclose(np.bincount(labels[rows]), [120, 60, 20], atol=2)
    many = np.arange(300) // 3  # more classes than half of what is drawn
    _, counts = np.unique(many[stratified_subset(many, 60, seed=0)], return_counts=True)
    assert counts.tolist() == [2] * 30
    np.testing.assert_array_equal(stratified_subset(many, 300, seed=0), np.arange(300))


def test_the_size_of_images_is_the_encoders_unless_told():
    begin(KNNMonitor(colors()), ColorEncoder((8, 8))).on_epoch_end(0, {})
    for own in (None, (8, 16)):
        with pytest.raises(ValueError, match="`image_size` must be given"):
            KNNMonitor(colors()).set_model(ColorEncoder(own))
        KNNMonitor(colors(), 8).set_model(ColorEncoder(own))


def test_a_diverged_encoder_is_not_a_number():
    class Diverged(ColorEncoder):
        def encode(self, images):
            outputs = super().encode(images)
            return outputs | {"embedding": outputs["embedding"] / 0.0}

    logs = {}
    begin(KNNMonitor(colors(), 8), Diverged()).on_epoch_end(0, logs)
    assert np.isnan(logs["knn_train_top1"])
    assert 0 <= logs["knn_train_top1_average"] <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "validation"}, "`split` must be 'train' or 'test'.*'validation'"),
        ({"every": 0}, "`every` must be a positive integer. Received: every=0"),
        ({"k": 1.5}, "`k` must be a positive integer"),
        ({"k": 30}, "`k` must be below the number of images, 30. Received: k=30"),
        ({"image_size": -8}, "`image_size` must be a positive integer"),
        ({"max_images": 1}, "two images of one of them"),
    ],
)
def test_bad_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        KNNMonitor(**{"dataset": colors(), "image_size": 8} | change)


def test_data_that_knn_says_nothing_of():
    images = colors().images
    with pytest.raises(ValueError, match="must have labels.*'colors' has none"):
        KNNMonitor(FineGrainedDataset("colors", images, None, [], np.ones(40, bool)))
    for labels in (np.zeros(40, int), np.arange(40)):
        names = [str(label) for label in range(40)]
        with pytest.raises(ValueError, match="two classes and two images of one"):
            KNNMonitor(FineGrainedDataset("colors", images, labels, names, np.ones(40, bool)))
    train = colors().split("train")
    with pytest.raises(ValueError, match="the test split of 'colors' is empty"):
        KNNMonitor(train, split="test")
