"""Compares the plain objective with the rationale, over seeds, on any recipe's data.

    python recipes/compare.py --dataset cub --data-dir CUB_200_2011 --seeds 0 1 2

Every arm (the initialisation, a rationale fitted to it, the plain objective, the default, the
paper's and the reference rationale) is trained with every seed in OUTPUT/ARM/seed-N; then
OUTPUT/comparison.md holds the mean and spread of each number, and the paired differences to the
plain objective under average pooling. Stopped, it goes on where it was with the same command; more
seeds or arms are added by naming them. The other flags are those of `recipes/train_DATASET.py`,
with its defaults, and hold for all arms.

Without data, in minutes:

    python recipes/compare.py --dataset demo --seeds 0 1 --epochs 2

Expected result: not measured yet on CUB.
"""

import train_cub
import train_demo
import train_folder

from keras_cr.experiment.compare import main

RECIPES = {
    "cub": {"read": train_cub.read, **train_cub.SETTINGS},
    "folder": {"read": train_folder.read, "dataset": "folder"},
    "demo": {
        "read": train_demo.birds,
        "build_backbone": train_demo.small_resnet,
        "augmentation": train_demo.AUGMENTATION,
        **train_demo.SETTINGS,
    },
}

if __name__ == "__main__":
    main(__doc__, RECIPES)
