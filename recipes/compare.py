"""Compares the plain objective with the rationale, over seeds, on any recipe's data.

    python recipes/compare.py --dataset cub --data-dir CUB_200_2011 --seeds 0 1 2

Every arm (the initialisation, a rationale fitted to it, the plain objective, the default, the
paper's and the reference rationale) is trained with every seed in OUTPUT/ARM/seed-N; then
OUTPUT/comparison.md holds the mean and spread of each number, and the paired differences to the
plain objective under average pooling. Stopped, it goes on where it was with the same command; more
seeds or arms are added by naming them beside those before: the tables hold what is named. The
other flags are those of `recipes/train_DATASET.py`, with its defaults, and hold for all arms, but
for `--pooling`, of which the plain objective, which trains no branch, takes none.

An arm with something changed is named after a colon: choices of `keras_cr.pretraining.Rationale`,
or settings. On one shared backbone, so that only the branch differs, and judged by training images
that are held out, so that the test images stay unseen:

    python recipes/compare.py --dataset cub --data-dir CUB_200_2011 --validation-fraction 0.4 \\
        --init RUN/preset --arms posthoc posthoc:prior=none posthoc:k=5,num_detectors=4

Without data, in minutes:

    python recipes/compare.py --dataset demo --seeds 0 1 --epochs 2

Expected result: not measured yet on CUB.
"""

import functools

import train_aircraft
import train_cars
import train_cub
import train_demo
import train_demo_scratch
import train_folder

from keras_cr.comparison.compare import main
from keras_cr.data import bent_cut_outs, synthetic_birds


def birds(data_dir, background="independent"):
    """12 species, 720 training and 360 test images; drawn, whatever the folder."""
    return synthetic_birds(12, 60, 30, image_size=160, background=background)


def bent(data_dir):
    """The objects of a folder in CUB's layout, cut out by their masks and made harder."""
    if data_dir is None:
        raise ValueError("--data-dir: name a CUB_200_2011 folder with segmentations/ beside it.")
    dataset = train_cub.read(data_dir)
    if dataset.masks is None:
        raise ValueError(f"--data-dir: {data_dir} has no masks (segmentations/) to cut out by.")
    return bent_cut_outs(dataset, train_cub.SETTINGS["image_size"])


BIRDS = {"backbone": "resnet18", "image_size": 160}
RECIPES = {
    "cub": {"read": train_cub.read, **train_cub.SETTINGS},
    "cars": {"read": train_cars.read, **train_cars.SETTINGS},
    "aircraft": {"read": train_aircraft.read, **train_aircraft.SETTINGS},
    "folder": {"read": train_folder.read, **train_folder.SETTINGS},
    "demo": {
        "read": train_demo.birds,
        "build_backbone": train_demo_scratch.small_resnet,
        "augmentation": train_demo.AUGMENTATION,
        **train_demo_scratch.SETTINGS,
    },
    "demo-resnet18": {
        "read": train_demo.birds,
        "augmentation": train_demo.AUGMENTATION,
        **train_demo_scratch.SETTINGS,
        "dataset": "demo_resnet18",
        "backbone": "resnet18",
    },
    "birds": {"read": birds, "dataset": "birds", **BIRDS},
    "birds-correlated": {
        "read": functools.partial(birds, background="correlated"),
        "dataset": "birds_correlated",
        **BIRDS,
    },
    "bent": {"read": bent, **train_cub.SETTINGS, "dataset": "bent"},
}

if __name__ == "__main__":
    main(__doc__, RECIPES)
