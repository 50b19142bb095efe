"""The objectives, one file each; `OBJECTIVES` finds them by the file's name.

`keras_cr/_registration.py` lists every class of the package, and so the objectives.
"""

from keras_cr._registration import classes_in
from keras_cr.pretraining.objectives.barlow_twins import BarlowTwins
from keras_cr.pretraining.objectives.byol import BYOL
from keras_cr.pretraining.objectives.densecl import DenseCL
from keras_cr.pretraining.objectives.dino import DINO
from keras_cr.pretraining.objectives.lejepa import LeJEPA
from keras_cr.pretraining.objectives.moco import MoCo
from keras_cr.pretraining.objectives.patch_wise import PatchWise
from keras_cr.pretraining.objectives.pretext import Pretext
from keras_cr.pretraining.objectives.simclr import SimCLR
from keras_cr.pretraining.objectives.simsiam import SimSiam
from keras_cr.pretraining.objectives.supervised import Supervised
from keras_cr.pretraining.objectives.vicreg import VICReg
from keras_cr.pretraining.pretrainer import Pretrainer

OBJECTIVES: dict[str, type[Pretrainer]] = classes_in(__name__)

__all__ = [
    "BYOL",
    "DINO",
    "OBJECTIVES",
    "BarlowTwins",
    "DenseCL",
    "LeJEPA",
    "MoCo",
    "PatchWise",
    "Pretext",
    "SimCLR",
    "SimSiam",
    "Supervised",
    "VICReg",
]
