"""Learns a common rationale from the images of Stanford Cars, without their labels.

    python recipes/train_cars.py --data-dir stanford_cars

The original source is gone, so nothing is downloaded. The folder holds the original files
(cars_train/, cars_test/, devkit/, cars_test_annos_withlabels.mat), or car_ims/ and cars_annos.mat,
or class folders in train/ and test/; docs/data.md says more. `keras-cr data verify stanford_cars
--dataset cars` tells whether it is whole. The result is stored as the preset cars_resnet50
(DATASET_BACKBONE).

The settings are those of train_cub.py. The last epoch is evaluated.

Expected metrics on Stanford Cars: not measured yet.
"""

import train_cub

from keras_cr import experiment
from keras_cr.data import read_cars

SETTINGS = {**train_cub.SETTINGS, "dataset": "cars"}

read = read_cars


if __name__ == "__main__":
    experiment.main(__doc__, read, **SETTINGS)
