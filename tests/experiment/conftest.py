"""What tests of runs share."""

import pytest

from keras_cr.data import synthetic_birds, write_cub_layout
from tests.experiment.helpers import leave_out_pictures


@pytest.fixture(scope="module")
def drawn():
    """3 classes, 24 training and 12 test images, in memory: quicker than files."""
    return synthetic_birds(
        num_classes=3, train_per_class=8, test_per_class=4, image_size=48, seed=1
    )


@pytest.fixture(scope="module")
def birds(drawn, tmp_path_factory):
    """The same in the official layout of CUB."""
    return write_cub_layout(drawn, tmp_path_factory.mktemp("birds") / "data")


@pytest.fixture
def without_pictures():
    with pytest.MonkeyPatch.context() as patch:
        leave_out_pictures(patch)
        yield
