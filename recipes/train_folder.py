"""Learns a common rationale from the images in a folder, with or without classes.

    python recipes/train_folder.py --data-dir photos --preset-name my_parts

`photos` holds one folder a class, or `train` and `test` folders of such folders. Without a `test`
folder a fifth of each class is held out for the evaluation. Labels are used for nothing else: a
folder that holds images and no folder is pretrained on as well, and what needs labels is skipped.
The network is a ResNet-50 with ImageNet's weights (a download of 98 MB, once), unless --backbone
and --init say otherwise; all other settings are the package's defaults, which --help shows.

Expected metrics: they depend on your images; see OUTPUT/report.html.
"""

from keras_cr import experiment
from keras_cr.data import read_image_folder

SETTINGS = {"dataset": "folder", "init": "imagenet"}


def read(data_dir):
    if data_dir is None:
        raise ValueError("--data-dir: name the folder of images, or of one folder a class.")
    dataset = read_image_folder(data_dir, test_fraction=None, unlabelled=True)
    if dataset.labels is None:
        print(f"{dataset.name}: no class folders; pretrains, and skips all that needs labels.")
    return dataset


if __name__ == "__main__":
    experiment.main(__doc__, read, **SETTINGS)
