"""Small runs on a miniature of CUB."""

import sys

import keras

from keras_cr.data import FineGrainedDataset, read_cub
from keras_cr.experiment import Run, Settings, callbacks, run
from keras_cr.experiment.training import train_encoder
from tests.case import tiny_backbone

QUICK = {  # where the rest plays no part
    "protocols": ("retrieval",),
    "refit": "off",
    "rationale_options": {"foregrounds": "off"},
}


def settings(birds, output, **changes):
    values = {
        "dataset": "birds",
        "data_dir": None if isinstance(birds, FineGrainedDataset) else str(birds),
        "output": str(output),
        "epochs": 2,
        "batch_size": 8,
        "image_size": 32,
        "protocols": ("retrieval", "linear_probe", "knn", "localization"),
    }
    return Settings(**(values | changes))


def start(birds, output, **changes):
    """A run on a folder in CUB's layout, or, which is quicker, on images in memory."""
    read = (lambda _: birds) if isinstance(birds, FineGrainedDataset) else read_cub
    return run(settings(birds, output, **changes), read, build_backbone=tiny_backbone)


def leave_out_pictures(patch):
    """Pictures and reports take half of a small run, and have tests of their own."""
    patch.setattr(sys.modules[Run.__module__], "write_pictures", lambda *_: None)
    patch.setattr(callbacks, "RationaleImages", lambda *_: keras.callbacks.Callback())


def train(run):
    """The training of a prepared run alone."""
    images = run.dataset.split("train")
    return train_encoder(run.settings, run.encoder, images, run.output, run.watching)
