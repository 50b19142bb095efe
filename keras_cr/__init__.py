"""keras_cr: common rationales for fine-grained images, as pretrained Keras 3 encoders.

Sub-packages are imported when they are first used, so `import keras_cr` costs little more than
`import keras`.
"""

import importlib

from keras_cr.version import __version__

_SUBPACKAGES = (
    "attribution",
    "callbacks",
    "data",
    "evaluation",
    "experiment",
    "layers",
    "losses",
    "models",
    "presets",
    "pretraining",
    "visualization",
)
_MODELS = ("CommonRationaleClassifier", "CommonRationaleEncoder")

__all__ = ["__version__", *_MODELS, *_SUBPACKAGES]


def __getattr__(name: str):
    if name in _SUBPACKAGES:
        return importlib.import_module(f"keras_cr.{name}")
    if name in _MODELS:
        return getattr(importlib.import_module("keras_cr.models"), name)
    raise AttributeError(f"module 'keras_cr' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
