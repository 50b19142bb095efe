"""Learns a common rationale from the images of FGVC-Aircraft, without their labels.

    python recipes/train_aircraft.py --data-dir fgvc-aircraft-2013b

Without --data-dir, TensorFlow Datasets' downloader fetches and checks the official archive of
2.8 GB. `keras-cr data verify fgvc-aircraft-2013b --dataset aircraft` tells whether a folder is
whole. The result is stored as the preset aircraft_resnet50 (DATASET_BACKBONE). Labels are the 100
variants; the banner at the bottom of each image is cut off.

The settings are those of train_cub.py. The last epoch is evaluated.

Expected metrics on FGVC-Aircraft: not measured yet.
"""

import train_cub

from keras_cr import experiment
from keras_cr.data import download_aircraft, read_aircraft

SETTINGS = {**train_cub.SETTINGS, "dataset": "aircraft"}


def read(data_dir):
    return read_aircraft(data_dir) if data_dir else download_aircraft()


if __name__ == "__main__":
    experiment.main(__doc__, read, **SETTINGS)
