"""Presets: a model as a verified folder, loaded by name, by path or from the Hub.

What lists, describes, publishes and registers presets needs no Keras to be imported; what builds
a model is imported when it is first used.
"""

import importlib

from keras_cr.presets.backbone_source import BackboneSource
from keras_cr.presets.errors import (
    BackboneError,
    CardError,
    CheckpointError,
    CorruptPresetError,
    ForeignPresetError,
    HubAccessError,
    HubBusyError,
    HubError,
    HubOfflineError,
    HubRepoNotFoundError,
    HubRevisionNotFoundError,
    IncompatiblePresetError,
    NewerPresetError,
    OccupiedFolderError,
    PresetError,
    PublishConflictError,
    PublishVerificationError,
    UnknownPresetError,
    UnpublishedPresetError,
    WrongClassError,
)
from keras_cr.presets.model_card import model_card
from keras_cr.presets.publish import Published, publish
from keras_cr.presets.register import register
from keras_cr.presets.registry import Card, PresetInfo, card, cards, list_presets
from keras_cr.presets.schema import validate_card
from keras_cr.presets.store import home, store_path, stored_presets

_LATER = {  # what needs Keras or reads large files, and the module it is in
    "digest": "backbone_weights",
    "load_preset": "load",
    "save_preset": "save",
    "verify_preset": "verify",
}

__all__ = [
    "BackboneError",
    "BackboneSource",
    "Card",
    "CardError",
    "CheckpointError",
    "CorruptPresetError",
    "ForeignPresetError",
    "HubAccessError",
    "HubBusyError",
    "HubError",
    "HubOfflineError",
    "HubRepoNotFoundError",
    "HubRevisionNotFoundError",
    "IncompatiblePresetError",
    "NewerPresetError",
    "OccupiedFolderError",
    "PresetError",
    "PresetInfo",
    "PublishConflictError",
    "PublishVerificationError",
    "Published",
    "UnknownPresetError",
    "UnpublishedPresetError",
    "WrongClassError",
    "card",
    "cards",
    "digest",
    "home",
    "list_presets",
    "load_preset",
    "model_card",
    "publish",
    "register",
    "save_preset",
    "store_path",
    "stored_presets",
    "validate_card",
    "verify_preset",
]


def __getattr__(name: str):
    if name in _LATER:
        value = getattr(importlib.import_module(f"keras_cr.presets.{_LATER[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'keras_cr.presets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
