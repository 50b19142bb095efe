"""Presets: a model as a verified folder, loaded by name, by path or from the Hub."""

from keras_cr.presets.errors import (
    CardError,
    CorruptPresetError,
    ForeignPresetError,
    HubAccessError,
    HubError,
    HubOfflineError,
    HubRepoNotFoundError,
    HubRevisionNotFoundError,
    IncompatiblePresetError,
    NewerPresetError,
    OccupiedFolderError,
    PresetError,
    UnknownPresetError,
    UnpublishedPresetError,
    WrongClassError,
)
from keras_cr.presets.load import load_preset
from keras_cr.presets.registry import Card, PresetInfo, card, cards, list_presets
from keras_cr.presets.save import save_preset
from keras_cr.presets.schema import validate_card
from keras_cr.presets.store import home, store_path, stored_presets

__all__ = [
    "Card",
    "CardError",
    "CorruptPresetError",
    "ForeignPresetError",
    "HubAccessError",
    "HubError",
    "HubOfflineError",
    "HubRepoNotFoundError",
    "HubRevisionNotFoundError",
    "IncompatiblePresetError",
    "NewerPresetError",
    "OccupiedFolderError",
    "PresetError",
    "PresetInfo",
    "UnknownPresetError",
    "UnpublishedPresetError",
    "WrongClassError",
    "card",
    "cards",
    "home",
    "list_presets",
    "load_preset",
    "save_preset",
    "store_path",
    "stored_presets",
    "validate_card",
]
