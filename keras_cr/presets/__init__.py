"""Presets: a model as a verified folder, loaded by name, by path or from the Hub."""

from keras_cr.presets.checkpoint import read_checkpoint
from keras_cr.presets.errors import (
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
from keras_cr.presets.load import load_preset
from keras_cr.presets.model_card import model_card
from keras_cr.presets.publish import Published, publish
from keras_cr.presets.register import register
from keras_cr.presets.registry import Card, PresetInfo, card, cards, list_presets
from keras_cr.presets.save import save_preset
from keras_cr.presets.schema import validate_card
from keras_cr.presets.store import home, store_path, stored_presets
from keras_cr.presets.verify import verify_preset

__all__ = [
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
    "home",
    "list_presets",
    "load_preset",
    "model_card",
    "publish",
    "read_checkpoint",
    "register",
    "save_preset",
    "store_path",
    "stored_presets",
    "validate_card",
    "verify_preset",
]
