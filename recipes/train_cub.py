"""Learns a common rationale from the images of CUB-200-2011, without their labels.

    python recipes/train_cub.py --data-dir CUB_200_2011

Without --data-dir, TensorFlow Datasets' downloader fetches and checks the official archive. The
result is stored as the preset cub_resnet50 (DATASET_BACKBONE) and can be loaded by that name:

    keras_cr.CommonRationaleEncoder.from_preset("cub_resnet50")

The settings below follow MoCo v2 (Chen et al., 2020), with a learning rate of 0.03 for the heads
and for the backbone, which starts from ImageNet's weights (a download of 98 MB, once). One without
batch normalisation learns at a tenth of it. The last epoch is evaluated.

A first try on a laptop, in minutes and without a network:

    python recipes/train_cub.py --data-dir CUB_200_2011 \\
        --epochs 2 --backbone squeezenet --image-size 64

Expected metrics on CUB: not measured yet.
"""

from keras_cr import experiment
from keras_cr.data import download_cub, read_cub

SETTINGS = {
    "dataset": "cub",
    "backbone": "resnet50",
    "init": "imagenet",
    "epochs": 100,
    "batch_size": 64,
    "image_size": 224,
    "learning_rate": 0.03,
}


def read(data_dir):
    return read_cub(data_dir) if data_dir else download_cub()


if __name__ == "__main__":
    experiment.main(__doc__, read, **SETTINGS)
