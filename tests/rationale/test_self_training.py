"""What the last step of `fit_rationale` is for: maps, and what is pooled by them, get better."""

import numpy as np

from keras_cr import CommonRationaleEncoder
from keras_cr.data import image_batches, synthetic_birds
from keras_cr.evaluation import add_controls, embed, extract, retrieval
from keras_cr.evaluation.localization import energy, foreground_cells
from keras_cr.pretraining import Rationale, fit_rationale
from keras_cr.rationale.start import encoder_on

SIDE = 96


def mean_average_precision(encoder, test, pooling: str) -> float:
    encoder.pooling = pooling
    found = embed(encoder, image_batches(test, SIDE, 64), verbose=0)
    return retrieval(found.embedding, test.labels)["map"]


def test_maps_of_drawn_birds_get_better_and_tell_them_apart():
    """On test images: the packaged network, which the birds' colours teach where they end."""
    birds = synthetic_birds(6, 40, 20, image_size=SIDE)
    train, test = birds.split("train"), birds.split("test")
    errors, ratios = [], []
    for self_training, detectors in ((False, 1), (True, 1), (True, 4)):
        encoder = CommonRationaleEncoder.from_preset("demo_squeezenet")
        encoder = encoder_on(encoder, detectors, pooling="rationale_vlad", image_size=SIDE)
        encoder.pooling = "rationale_vlad"
        rationale = Rationale(self_training=self_training)
        fit_rationale(encoder, image_batches(train, SIDE, 64), rationale, verbose=0)
        maps = embed(encoder, image_batches(test, SIDE, 64), verbose=0).rationale
        cells = foreground_cells(test, SIDE, 64, maps.shape[1:])
        errors.append(float(np.mean(np.square(maps - cells))))
        ratios.append(energy(maps, cells)["energy_ratio"])
    assert errors[1] < 0.85 * errors[0], errors
    assert errors[2] < 0.95 * errors[0], errors  # fitted to one detector's maps at first
    assert ratios[1] > ratios[0] + 0.03, ratios
    names = ("rationale_vlad", "rationale", "average")
    own, weighted, average = (mean_average_precision(encoder, test, name) for name in names)
    assert own > weighted + 0.01, (own, weighted)
    assert own > average + 0.06, (own, average)


def test_the_control_that_learns_from_the_middle_gets_better_likewise():
    """Who doubts that the neighbours matter gets a control with all that comes after them."""
    birds = synthetic_birds(4, 30, 15, image_size=SIDE)
    encoder = CommonRationaleEncoder.from_preset("demo_squeezenet")
    names = ("center_branch", "center_self_trained")
    found = add_controls(extract(encoder, birds, SIDE, verbose=0), names, verbose=0).controls
    test = ~birds.is_train
    cells = foreground_cells(birds.split("test"), SIDE, 64, found[names[0]].maps.shape[1:])
    errors = [float(np.mean(np.square(found[name].maps[test] - cells))) for name in names]
    assert errors[1] < 0.95 * errors[0], errors
