"""Whether there is room for what a run is going to write."""

import math
import os
import shutil
from collections import Counter
from pathlib import Path

from keras_cr._files import nearest_folder
from keras_cr.data import FineGrainedDataset
from keras_cr.experiment.build import build_rationale
from keras_cr.experiment.checkpoints import KEPT
from keras_cr.experiment.settings import Settings
from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining import OBJECTIVES

_BESIDE = 16 * 2**20  # pictures, the report and tables
_SLOTS = {"sgd": 1, "lars": 1, "adamw": 2}  # the optimizer's own numbers for each weight
_MAPS = 3  # those of two fits, and of the one that is written


def check_space(
    settings: Settings,
    encoder: CommonRationaleEncoder,
    train: FineGrainedDataset,
    output: Path,
    store: Path | None,
) -> None:
    """Refuses a disk without room for a run's states, maps and presets, as far as known before.

    Args:
        settings: of the run.
        encoder: as it is before the training.
        train: the training images.
        output: the run's folder, which may hold a part of it already.
        store: where the preset goes beside it, or None.

    Raises:
        OSError: there is less space than needed.
    """
    weights = 4 * encoder.count_params()
    needed, places = Counter(), {}
    written = _training_bytes(settings, encoder, train) + weights + _BESIDE - _held(output)
    for place, size in ((output, written), (store, weights)):
        if place is not None:
            near = nearest_folder(place)
            device = os.stat(near).st_dev
            places.setdefault(device, (place, near))
            needed[device] += max(size, 0)
    for device, (place, near) in places.items():
        free = shutil.disk_usage(near).free
        if free < needed[device]:
            raise OSError(
                f"`output`: the run needs some {_megabytes(needed[device])} for its last states, "
                f"maps and preset, and where {str(place)!r} is, {_megabytes(free)} are free. Make "
                "room, or name another place."
            )


def _training_bytes(
    settings: Settings, encoder: CommonRationaleEncoder, train: FineGrainedDataset
) -> int:
    """The size of the states that are kept, of the one that is written, and of the maps."""
    if settings.epochs == 0:
        return 0
    rationale, bank, places = build_rationale(settings, len(train)), 0, 0
    if rationale and not rationale.explains_objective:
        positives = rationale.positives
        bank = positives.bank_size * encoder.channels * (1 + positives.by_background)
    if rationale and rationale.foregrounds:
        size = settings.image_size
        own = encoder.map_size.of(size, size) or (0, 0)
        places = math.prod(rationale.foregrounds.map_size(size, own))
    networks = 1 + _SLOTS[settings.optimizer] + bool(OBJECTIVES[settings.objective].taught)
    states = (KEPT + 1) * 4 * (networks * encoder.count_params() + bank)
    return states + _MAPS * 2 * len(train) * places


def _held(output: Path) -> int:
    return sum(path.stat().st_size for path in output.rglob("*") if path.is_file())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
