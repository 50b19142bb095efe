"""Self-supervised training of an encoder and its rationale branch."""

from keras_cr._backend import require_tensorflow

require_tensorflow("keras_cr.pretraining trains through tf.GradientTape and needs", ImportError)

from keras_cr._replicas import gather, uniform  # noqa: E402
from keras_cr.pretraining.auxiliary import (  # noqa: E402
    AUXILIARY,
    DCL,
    PIRL,
    AuxiliaryTask,
    Inpainting,
    Puzzling,
    Rotation,
)
from keras_cr.pretraining.loop import pretrain  # noqa: E402
from keras_cr.pretraining.objectives import (  # noqa: E402
    BYOL,
    DINO,
    OBJECTIVES,
    BarlowTwins,
    DenseCL,
    LeJEPA,
    MoCo,
    PatchWise,
    Pretext,
    SimCLR,
    SimSiam,
    Supervised,
    VICReg,
)
from keras_cr.pretraining.outcome import Outcome, View  # noqa: E402
from keras_cr.pretraining.pretrainer import Pretrainer  # noqa: E402
from keras_cr.pretraining.student import Distill, distill  # noqa: E402
from keras_cr.rationale import (  # noqa: E402
    Foregrounds,
    Neighbours,
    Rationale,
    Views,
    fit_rationale,
    fit_vocabulary,
    foreground_maps,
)

__all__ = [
    "AUXILIARY",
    "BYOL",
    "DCL",
    "DINO",
    "OBJECTIVES",
    "PIRL",
    "AuxiliaryTask",
    "BarlowTwins",
    "DenseCL",
    "Distill",
    "Foregrounds",
    "Inpainting",
    "LeJEPA",
    "MoCo",
    "Neighbours",
    "Outcome",
    "PatchWise",
    "Pretext",
    "Pretrainer",
    "Puzzling",
    "Rationale",
    "Rotation",
    "SimCLR",
    "SimSiam",
    "Supervised",
    "VICReg",
    "View",
    "Views",
    "distill",
    "fit_rationale",
    "fit_vocabulary",
    "foreground_maps",
    "gather",
    "pretrain",
    "uniform",
]
