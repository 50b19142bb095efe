"""Makes Keras know the package's classes by name before anything of them is imported.

`keras.models.load_model` looks a class up among those that are registered, and registering one
means importing its module, and TensorFlow with it. So Keras is given stand-ins: small classes that
import the real one when Keras asks them to build something. The real class takes its stand-in's
place when its module is imported, for whatever reason.

If Keras is not imported yet, the stand-ins wait until it is: `import keras_cr` costs nothing. So
neither this module nor `_imports` imports `typing` or `contextlib`, half of that cost, to run.
"""

from __future__ import annotations

import importlib
import sys

from keras_cr._imports import around_import

TYPE_CHECKING = False  # as type checkers know it without `typing`
if TYPE_CHECKING:
    from typing import Any

PACKAGE = "keras_cr"
CLASSES = {  # every registered class and the module that registers it
    "AdamW": "keras_cr.optimizers.adamw",
    "AdaptedBackbone": "keras_cr.models.adapted_backbone",
    "BYOL": "keras_cr.pretraining.objectives.byol",
    "BarlowTwins": "keras_cr.pretraining.objectives.barlow_twins",
    "ChannelRescaling": "keras_cr.layers.channel_rescaling",
    "CommonRationaleClassifier": "keras_cr.models.classifier",
    "CommonRationaleEncoder": "keras_cr.models.encoder",
    "ConvNeXt": "keras_cr.models.convnext",
    "DCL": "keras_cr.pretraining.auxiliary.dcl",
    "DINO": "keras_cr.pretraining.objectives.dino",
    "DenseCL": "keras_cr.pretraining.objectives.densecl",
    "Distill": "keras_cr.pretraining.student",
    "EfficientNet": "keras_cr.models.efficientnet",
    "EmbeddingStandardization": "keras_cr.layers.standardization",
    "FeatureQueue": "keras_cr.layers.feature_queue",
    "GlobalResponseNormalization": "keras_cr.layers.response_normalization",
    "Inpainting": "keras_cr.pretraining.auxiliary.inpainting",
    "LARS": "keras_cr.optimizers.lars",
    "LayerScale": "keras_cr.layers.layer_scale",
    "LeJEPA": "keras_cr.pretraining.objectives.lejepa",
    "MoCo": "keras_cr.pretraining.objectives.moco",
    "NeighbourBank": "keras_cr.rationale.neighbours",
    "PIRL": "keras_cr.pretraining.auxiliary.pirl",
    "PatchPositions": "keras_cr.layers.tokens",
    "PatchWise": "keras_cr.pretraining.objectives.patch_wise",
    "PrefixTokens": "keras_cr.layers.tokens",
    "Pretext": "keras_cr.pretraining.objectives.pretext",
    "ProjectionHead": "keras_cr.layers.projection_head",
    "Puzzling": "keras_cr.pretraining.auxiliary.puzzling",
    "RationaleBranch": "keras_cr.layers.rationale_branch",
    "RationaleFit": "keras_cr.losses.rationale_fit",
    "RationalePooling": "keras_cr.layers.rationale_pooling",
    "ResNet": "keras_cr.models.resnet",
    "Rotation": "keras_cr.pretraining.auxiliary.rotation",
    "SimCLR": "keras_cr.pretraining.objectives.simclr",
    "SimSiam": "keras_cr.pretraining.objectives.simsiam",
    "SqueezeNet": "keras_cr.models.squeezenet",
    "Supervised": "keras_cr.pretraining.objectives.supervised",
    "TokensToMap": "keras_cr.layers.tokens_to_map",
    "UnbiasedBatchNormalization": "keras_cr.layers.batch_normalization",
    "VICReg": "keras_cr.pretraining.objectives.vicreg",
    "VLADPooling": "keras_cr.layers.vlad_pooling",
    "VisionTransformer": "keras_cr.models.vision_transformer",
}


def classes_in(package: str) -> dict[str, type]:
    """The registered classes whose modules lie in a package, by the module's name; imports them."""
    return {
        module.removeprefix(f"{package}."): getattr(importlib.import_module(module), name)
        for name, module in sorted(CLASSES.items(), key=lambda item: item[1])
        if module.startswith(f"{package}.")
    }


def register_stand_ins() -> None:
    """Registers a stand-in for every class, now or as soon as Keras is imported."""
    if "keras" in sys.modules:
        _register()
    else:
        around_import("keras", _Registering)


class _Registering:
    """Registers when what is done inside has succeeded."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, error: type | None, *_: object) -> None:
        if error is None:
            _register()


def _register() -> None:
    import keras

    registered = keras.saving.get_custom_objects()
    for name, module in CLASSES.items():  # a real class that is there already stays
        registered.setdefault(f"{PACKAGE}>{name}", _stand_in(name, module))


def _stand_in(name: str, module: str) -> type:
    """A class that builds objects of the class `name` in `module`, and imports it for that."""

    def real() -> Any:
        return getattr(importlib.import_module(module), name)

    def build(cls: type, *args: Any, **kwargs: Any) -> Any:
        return real()(*args, **kwargs)

    def from_config(cls: type, config: dict[str, Any], **kwargs: Any) -> Any:
        return real().from_config(config, **kwargs)

    body = {"__new__": build, "from_config": classmethod(from_config), "__module__": module}
    return type(name, (), body)
