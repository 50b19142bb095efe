"""CUB, Stanford Cars and FGVC-Aircraft as TFDS data sets; importing this package registers them.

    import tensorflow_datasets as tfds
    import keras_cr.data.builders

    train = tfds.load("keras_cr_cub", split="train")

An example holds `image` (the file's bytes, untouched), `label`, `filename` and, as its config says,
`bbox` (fractions of the image, clipped to it) and `mask`. What the official archives hold is looked
for in `manual_dir` first, packed or not, and downloaded where it is not there.
"""

from keras_cr.data.builders.aircraft import KerasCrAircraft
from keras_cr.data.builders.cars import KerasCrCars
from keras_cr.data.builders.cub import KerasCrCub

__all__ = ["KerasCrAircraft", "KerasCrCars", "KerasCrCub"]
