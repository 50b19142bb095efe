"""A small encoder learns a large one's embeddings and maps, without labels."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_cr import CommonRationaleEncoder
from keras_cr.data import Augmentation, FineGrainedDataset
from keras_cr.evaluation import evaluate
from keras_cr.pretraining import Distill, distill
from keras_cr.pretraining.student import student_of
from tests.case import images, tiny_backbone, tiny_encoder

SIDE, LENGTHS, ANGLES = 32, (5, 9), (0, 45, 90, 135)
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]


def wave(angle, length, phase, rows=ROWS, columns=COLUMNS):
    along = rows * np.sin(np.radians(angle)) + columns * np.cos(np.radians(angle))
    return np.sin(2 * np.pi * along / length + phase)


def textures(number: int = 160) -> FineGrainedDataset:
    """Waves of eight kinds in any colour and contrast, half of an image noise."""
    rng = np.random.default_rng(0)
    kinds = [(angle, length) for angle in ANGLES for length in LENGTHS]
    labels, pictures = np.arange(number) % len(kinds), []
    for label in labels:
        colour = rng.uniform(30, 120, 3) * rng.choice([-1, 1], 3)
        picture = wave(*kinds[label], rng.uniform(0, 7))[..., None] * colour
        start = rng.integers(0, SIDE // 2)
        picture[:, start : start + SIDE // 2] = 0
        pictures.append(127 + picture + rng.normal(0, 10, (SIDE, SIDE, 3)))
    pictures = np.clip(pictures, 0, 255).astype("uint8")
    is_train = np.arange(number) < number * 3 // 5
    return FineGrainedDataset("textures", pictures, labels, [*"abcdefgh"], is_train)


def gabor_encoder() -> CommonRationaleEncoder:
    """A network that tells directions and lengths of waves apart, whatever their colour."""
    rows, columns = np.mgrid[-5:6, -5:6]
    window = np.exp(-(rows**2 + columns**2) / 18)
    filters = []
    for angle in ANGLES:
        for length in LENGTHS:
            for phase in np.pi / 2 * np.arange(4):
                kernel = wave(angle, length, phase, rows, columns) * window
                filters.append(kernel - window * kernel.sum() / window.sum())
    kernel = np.stack(filters, -1)[:, :, None].repeat(3, axis=2) / 30
    layers = [keras.Input((None, None, 3)), keras.layers.Rescaling(1 / 127, -1)]
    see = keras.layers.Conv2D(32, 11, 4, padding="same", activation="relu", use_bias=False)
    backbone = keras.Sequential([*layers, see], name="gabor")
    see.kernel.assign(kernel)
    encoder = CommonRationaleEncoder(backbone, num_detectors=1, image_size=SIDE, seed=0)
    encoder.branch.detectors.kernel.assign(np.ones_like(encoder.branch.detectors.kernel))
    see.trainable = False
    return encoder


def small_backbone():
    """Two convolutions to a map as large as the teacher's, with half of its channels."""
    layers = [keras.Input((None, None, 3)), keras.layers.Rescaling(1 / 127, -1)]
    for number, (width, kernel, stride) in enumerate(((12, 7, 4), (16, 3, 1))):
        start = keras.initializers.HeNormal(seed=number)
        layers.append(
            keras.layers.Conv2D(width, kernel, stride, padding="same", kernel_initializer=start)
        )
        layers += [keras.layers.BatchNormalization(momentum=0.8), keras.layers.ReLU()]
    return keras.Sequential(layers, name="small")


@pytest.fixture(scope="module")
def taught():
    """Teacher, student at its start and after some seconds, and the images."""
    dataset, teacher = textures(), gabor_encoder()
    start, student = (student_of(teacher, small_backbone(), seed=0) for _ in range(2))
    unlabelled = dataclasses.replace(dataset.split("train"), labels=None, class_names=[])
    before = [np.asarray(weight) for weight in teacher.weights]
    mild = Augmentation(scale=(0.6, 1.0), jitter=0, grayscale=0, blur=0)
    found = distill(teacher, student, unlabelled, SIDE, 16, 40, 3e-3, 0.3, mild, verbose=0)
    assert found is student
    for weight, value in zip(teacher.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    return teacher, start, student, dataset


def judged(encoder, dataset):
    found = evaluate(encoder, dataset, ("retrieval", "knn"), SIDE, verbose=0)
    return found["knn"]["top1"], found["retrieval"]["map"]


def seen(encoder, dataset):
    return {name: np.asarray(each) for name, each in encoder.encode(dataset.images).items()}


def test_a_student_comes_close_to_its_teacher(taught):
    teacher, start, student, dataset = taught
    taught, first, last = (judged(each, dataset) for each in (teacher, start, student))
    for before, after, best in zip(first, last, taught, strict=True):
        assert after > before + 0.5 * (best - before)
        assert best > before + 0.2


def test_it_learns_embeddings_and_maps_of_images_that_it_has_not_seen(taught):
    *encoders, dataset = taught
    test = dataset.split("test")
    teacher, start, student = (seen(each, test) for each in encoders)
    cosines = [(teacher["embedding"] * each["embedding"]).sum(-1) for each in (start, student)]
    assert cosines[1].mean() > cosines[0].mean() + 0.5
    agreements = [
        np.mean([np.corrcoef(t.ravel(), m.ravel())[0, 1] for t, m in zip(maps, each, strict=True)])
        for maps, each in ((teacher["rationale"], s["rationale"]) for s in (start, student))
    ]
    assert agreements[1] > agreements[0] + 0.2


def test_what_becomes_of_teacher_and_student(taught, tmp_path):
    teacher, _, student, dataset = taught
    assert teacher.trainable
    assert not teacher.backbone.layers[-1].trainable  # as before
    assert teacher.branch.detectors.trainable
    assert student.image_size == (SIDE, SIDE)
    student.save_to_preset(tmp_path / "student")
    again = CommonRationaleEncoder.from_preset(tmp_path / "student")
    np.testing.assert_array_equal(again(dataset.images[:4]), student(dataset.images[:4]))


def test_it_is_saved_and_goes_on(tmp_path):
    distillation = Distill(tiny_encoder(num_detectors=1, channels=12), tiny_backbone(), 0.2, seed=1)
    distillation.compile(run_eagerly=True)
    shown = images(8)
    logs = distillation.train_on_batch(shown, return_dict=True)
    assert set(logs) == {"loss", "distillation_loss"}
    distillation.save(tmp_path / "distillation.keras")
    with pytest.warns(UserWarning, match="compile"):
        again = keras.saving.load_model(tmp_path / "distillation.keras")
    assert again.map_weight == 0.2
    np.testing.assert_array_equal(again.encoder(shown), distillation.encoder(shown))
    again.compile(run_eagerly=True)
    assert np.isfinite(again.train_on_batch(shown)).all()
    further = Distill(again.teacher.encoder, again.encoder)
    assert further.encoder is again.encoder


def test_a_teacher_that_averages_has_no_map_to_learn():
    teacher = tiny_encoder(pooling="average", channels=12)
    distillation = Distill(teacher, tiny_backbone())
    assert len(distillation.distillation_losses) == 1
    assert distillation.encoder.pooling == "average"
    same = student_of(tiny_encoder(pooling="rationale"), tiny_backbone())
    assert same.backbone.name == "tiny", "as many channels need no projection"
    assert student_of(tiny_encoder(pooling="concat"), tiny_backbone()).channels == 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher": "demo_squeezenet"}, "`teacher` must be a CommonRationaleEncoder"),
        ({"student": tiny_encoder(channels=4)}, "as long as the teacher's, 12. .*with 4"),
        ({"student": "resnet20"}, "`backbone` must be a Keras model or one of"),
        ({"map_weight": -1}, "`map_weight` must be a positive number"),
    ],
    ids=["teacher", "length", "name", "weight"],
)
def test_mistakes(change, message):
    options = {"teacher": tiny_encoder(channels=12), "student": tiny_backbone()}
    with pytest.raises(ValueError, match=message):
        Distill(**options | change)
