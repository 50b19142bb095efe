"""Small models whose every weight matters, moving statistics too."""

import keras
import numpy as np

from keras_cr.models import CommonRationaleClassifier, CommonRationaleEncoder, ResNet


def small_encoder(pooling="rationale", backbone=None, image_size=None):
    """An encoder on a ResNet of two stages, a map of stride 8, as if it had been trained."""
    backbone = backbone or ResNet((1, 1), bottleneck=False, width=8, seed=0)
    encoder = CommonRationaleEncoder(
        backbone, num_detectors=3, pooling=pooling, image_size=image_size, seed=0
    )
    rng = np.random.default_rng(0)
    for weight in encoder.weights:
        if "kernel" not in weight.path:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return encoder


def small_classifier(**kwargs):
    """A classifier of three classes on `small_encoder` with both of its poolings."""
    keras.utils.set_random_seed(0)
    return CommonRationaleClassifier(small_encoder("concat", **kwargs), 3)
