"""keras_cr: common rationales for fine-grained images, as pretrained Keras 3 encoders.

Sub-packages are imported when they are first used, so `import keras_cr` costs next to nothing; all
the same `keras.models.load_model` finds the package's classes from then on.
"""

import importlib

from keras_cr._registration import register_stand_ins
from keras_cr.version import __version__

_SUBPACKAGES = (
    "attribution",
    "callbacks",
    "comparison",
    "conversion",
    "data",
    "evaluation",
    "experiment",
    "layers",
    "losses",
    "models",
    "optimizers",
    "presets",
    "pretraining",
    "rationale",
    "search",
    "visualization",
)
_FROM = {  # what is at the top, and the sub-package it is in
    "CommonRationaleClassifier": "models",
    "CommonRationaleEncoder": "models",
    "list_presets": "presets",
}

__all__ = ["__version__", *_FROM, *_SUBPACKAGES]

register_stand_ins()


def __getattr__(name: str):
    if name in _SUBPACKAGES:
        return importlib.import_module(f"keras_cr.{name}")
    if name in _FROM:
        return getattr(importlib.import_module(f"keras_cr.{_FROM[name]}"), name)
    raise AttributeError(f"module 'keras_cr' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
