"""Learns a common rationale from random weights, on birds it draws itself, as `train_demo.py` does.

    python recipes/train_demo_scratch.py

The 480 birds of `train_demo.py` train a small network that has seen nothing before, in a few
minutes. Expect less than from weights that know photographs: some maps mark background. The encoder
is stored as the preset demo_birds_scratch.
"""

from train_demo import AUGMENTATION, birds, print_change

from keras_cr import experiment
from keras_cr.models import ResNet

SETTINGS = {
    "dataset": "demo",
    "preset_name": "demo_birds_scratch",
    "epochs": 40,
    "batch_size": 32,
    "image_size": 96,
    "optimizer": "adamw",
    "learning_rate": 2e-3,
    "objective_options": {"temperature": 0.1},
}


def small_resnet():
    return ResNet((1, 1, 1), bottleneck=False, width=24, seed=0, name="resnet8")


if __name__ == "__main__":
    print_change(experiment.main(__doc__, birds, small_resnet, AUGMENTATION, **SETTINGS))
