"""Writing a preset: a folder with the architecture, the weights and what vouches for both."""

import contextlib
import os
import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from keras_cr._text import printable
from keras_cr.presets.atomic import absolute, is_litter, replace, staging
from keras_cr.presets.config import describe
from keras_cr.presets.errors import OccupiedFolderError, PresetError, shown
from keras_cr.presets.finite import check_finite
from keras_cr.presets.load import load_folder
from keras_cr.presets.manifest import (
    CONFIG,
    FILES,
    FORMAT,
    MANIFEST,
    WEIGHTS,
    Located,
    fingerprint,
    sealed,
)
from keras_cr.presets.plain import to_json
from keras_cr.version import __version__

_UNSOUND = "nothing was saved, because it could not be loaded again as it is"


def save_preset(
    model: keras.Model,
    folder: str | os.PathLike,
    *,
    name: str | None = None,
    source: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    licence: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a model as a preset folder: `config.json`, `model.weights.h5`, `preset.json`.

    The preset appears whole or not at all: a failure or a crash at any moment leaves the one that
    was there before. A folder that exists stays the same folder, be it a mount point, a link's
    target or the current directory. Optimizer, losses and metrics of a compiled model are left out.
    Before it appears, it is loaded once, as `load_preset` would.

    Args:
        model: a built keras_cr model.
        folder: where to; `store_path(name)` is where short names are looked up. A preset that is
            there already is replaced.
        name: the preset's name. Defaults to the folder's.
        source: where the weights come from, such as {"command": ..., "seed": ..., "date": ...}.
        metrics: measured values, in the layout of the recipes' metrics.json.
        licence: the weights' licence, such as "Apache-2.0".
        extra: anything else worth keeping.

    Returns:
        The folder, as an absolute path.

    Raises:
        OccupiedFolderError: if `folder` holds anything but a preset, hidden files, and what
            operating systems put into folders.
        OSError: if it can't be written to, or the disk is full.
        ForeignPresetError: if the model, or a part of it, is of a class that presets don't hold.
        IncompatiblePresetError: if it could not be loaded again as it is: a layer's `get_config`
            tells something else than its `from_config` takes.
        PresetError: if the model is not built, its weights hold NaN or infinity, or a value cannot
            be written as JSON.

    Example:
    ```python
    encoder = keras_cr.CommonRationaleEncoder("resnet50")
    save_preset(encoder, store_path("my_birds"), source={"seed": 0})
    ```
    """
    if not isinstance(folder, str | os.PathLike):
        raise PresetError(f"folder must be a path; received {shown(folder)}.")
    if "://" in os.fspath(folder):
        raise PresetError(f"folder must be a path on this machine; received {os.fspath(folder)!r}.")
    folder = absolute(folder)
    config = describe(model)
    if not model.built:
        raise PresetError(f"model {model.name!r} has no weights yet; call it on images first.")
    check_finite(model, f"model {model.name!r}", "a preset of it would give NaN for every image")
    check_replaceable(folder)
    with staging(folder) as new:
        (new / CONFIG).write_bytes(to_json(config, CONFIG))
        _write_weights(model, new / WEIGHTS, folder)
        manifest = {
            "format": FORMAT,
            "keras_cr": __version__,
            "keras": keras.__version__,
            "class": config["registered_name"],
            "name": printable(folder.name) if name is None else name,
            "parameters": model.count_params(),
            "source": source or {},
            "metrics": metrics or {},
            "licence": licence,
            "extra": extra or {},
            "files": {file: fingerprint(new / file) for file in (CONFIG, WEIGHTS)},
        }
        (new / MANIFEST).write_bytes(sealed(manifest))
        with _drawing_nothing():
            load_folder(Located(new, f"Model {model.name!r} as a preset", _UNSOUND))
        replace(new, folder, check_replaceable)
    return folder


def _write_weights(model: keras.Model, path: Path, folder: Path) -> None:
    """Writes the weights; what HDF5 says of a full disk, in many lines, is told in one."""
    try:
        keras.saving.save_weights(model, path, objects_to_skip=list(_optimizers(model)))
    except (OSError, RuntimeError) as error:
        number = re.search(r"errno = (\d+)", str(error))
        if number is None:
            raise
        told = f"the weights can't be written ({os.strerror(int(number[1]))})"
        raise OSError(int(number[1]), told, str(folder)) from error


@contextlib.contextmanager
def _drawing_nothing() -> Iterator[None]:
    """Leaves Python's generator as it is: initializers without a seed draw one from it."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def _optimizers(model: keras.Model) -> Iterator[Any]:
    """The optimizers of a model and of the models inside it: training state, not weights."""
    if getattr(model, "optimizer", None) is not None:
        yield model.optimizer
    for layer in getattr(model, "layers", ()):
        yield from _optimizers(layer)


def check_replaceable(folder: Path) -> None:
    """Refuses to touch anything that is not a preset or an empty folder.

    Hidden files and those of operating systems are passed over: saving leaves them where they are.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OccupiedFolderError(f"folder must not be a file; received {str(folder)!r}.")
    names = {path.name for path in folder.iterdir() if not is_litter(path.name)}
    strange = sorted(names if MANIFEST not in names else names - set(FILES))
    strange += [name for name in FILES if (folder / name).is_dir()]
    if strange:
        raise OccupiedFolderError(
            f"folder {str(folder)!r} holds {strange[0]!r}, which is not part of a preset; move it "
            "away or choose another folder."
        )
