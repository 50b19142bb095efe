"""Auxiliary tasks, one file each; `AUXILIARY` finds them by the file's name.

They stand beside any objective: `MoCo(encoder, auxiliary=[Rotation(weight=0.1)])`.
"""

from keras_cr._registration import classes_in
from keras_cr.pretraining.auxiliary.dcl import DCL
from keras_cr.pretraining.auxiliary.inpainting import Inpainting
from keras_cr.pretraining.auxiliary.pirl import PIRL
from keras_cr.pretraining.auxiliary.puzzling import Puzzling
from keras_cr.pretraining.auxiliary.rotation import Rotation
from keras_cr.pretraining.auxiliary.task import AuxiliaryTask

AUXILIARY: dict[str, type[AuxiliaryTask]] = classes_in(__name__)

__all__ = [
    "AUXILIARY",
    "DCL",
    "PIRL",
    "AuxiliaryTask",
    "Inpainting",
    "Puzzling",
    "Rotation",
]
