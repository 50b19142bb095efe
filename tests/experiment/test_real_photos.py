"""A run on real photographs with a pretrained backbone, where they lie beside the checkout."""

import pathlib
import tarfile

import numpy as np
import pytest

from keras_cr.data import read_cub
from keras_cr.experiment import Settings, run

SHARED = pathlib.Path(__file__).parents[3] / "shared"
PHOTOS = SHARED / "data" / "mini_flowers.tar.gz"
BACKBONE = SHARED / "weights" / "squeezenet_v1_1_imagenet.keras"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (PHOTOS.is_file() and BACKBONE.is_file()),
        reason="needs ../shared/data/mini_flowers.tar.gz and ../shared/weights",
    ),
]


@pytest.mark.usefixtures("without_pictures")
def test_an_epoch_on_photographs(tmp_path):
    with tarfile.open(PHOTOS) as archive:
        archive.extractall(tmp_path, filter="data")
    dataset = read_cub(tmp_path / "CUB_200_2011")
    assert (len(dataset), dataset.num_classes, int(dataset.is_train.sum())) == (1750, 35, 1050)
    dataset = dataset.take(np.flatnonzero(dataset.labels < 6))
    settings = Settings(
        dataset="flowers",
        output=str(tmp_path / "out"),
        init=str(BACKBONE),
        epochs=1,
        image_size=96,
        protocols=("retrieval", "localization"),
    )
    metrics = run(settings, lambda _: dataset)
    start = metrics["initialization"]
    # A pretrained backbone finds most neighbours; an untrained branch spoils them.
    assert start["average_pooling"]["retrieval"]["rank1"] > 0.6
    assert start["retrieval"]["rank1"] < start["average_pooling"]["retrieval"]["rank1"]
    assert metrics["localization"]["energy_ratio"] > start["localization"]["energy_ratio"]
    assert metrics["localization"]["images"] == 120
