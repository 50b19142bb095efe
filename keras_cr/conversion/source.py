"""Where a checkpoint comes from: a file, a folder or the Hub, and what stands beside it."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from keras_cr._numbers import as_whole
from keras_cr.conversion.layout import Facts
from keras_cr.presets import hub
from keras_cr.presets.checkpoint import read_checkpoint
from keras_cr.presets.errors import CheckpointError
from keras_cr.presets.manifest import fingerprint

_SAFETENSORS = "model.safetensors"
_CONFIGS = ("config.json", "preprocessor_config.json")  # timm's and transformers'; transformers'
_LARGEST = 1_000_000  # bytes of a config


def read_source(
    source: str | os.PathLike, revision: str | None, token: str | bool | None
) -> tuple[dict[str, np.ndarray], dict[str, Any], Facts, str | None]:
    """Reads a checkpoint and what is known of it.

    Args:
        source: a file, a folder with a model.safetensors, or `hf://org/name[@revision]`.
        revision, token: for `hf://`.

    Returns:
        Arrays by name; what identifies them (name or handle with commit, sha256, size); what the
        configs beside them say; what the file or repository is called.

    Raises:
        CheckpointError: it can't be read, or a config beside it is damaged.
        FileNotFoundError: there is no such file.
        HubError: it can't be fetched.
    """
    text = os.fspath(source)
    if text.startswith(hub.SCHEME):
        repo, revision = hub.parse_handle(text, revision)
        folder = hub.fetch(repo, revision, (_SAFETENSORS, *_CONFIGS), token=token)
        path, name = folder / _SAFETENSORS, f"{hub.SCHEME}{repo}@{folder.name}"
        if not path.is_file():
            raise CheckpointError(f"{text} has no {_SAFETENSORS}; download its file and name that.")
        called = repo.rsplit("/", 1)[-1]
    else:
        path = Path(text).expanduser()
        called = name = path.name
        if (path / _SAFETENSORS).is_file():
            path = path / _SAFETENSORS
        elif not path.is_file():
            what = f"a folder without {_SAFETENSORS}" if path.is_dir() else "No such file"
            raise FileNotFoundError(
                f"source: {what}: {text!r}. Name a checkpoint's file, or hf://org/name."
            )
    beside = _facts(path.parent) if path.name == _SAFETENSORS else Facts()
    return read_checkpoint(path), {"converted_from": name, **fingerprint(path)}, beside, called


def _facts(folder: Path) -> Facts:
    """What the configs in a folder say of a network."""
    timm, images = (_config(folder / name) for name in _CONFIGS)
    pretrained = timm.get("pretrained_cfg")
    normalization = pretrained if isinstance(pretrained, dict) else timm  # older files of timm's
    architecture = timm.get("architecture")
    tower = timm.get("vision_config")  # of a model of images and texts
    heads = (tower if isinstance(tower, dict) else timm).get("num_attention_heads")
    return Facts(
        architecture if isinstance(architecture, str) else None,
        _three(normalization.get("mean") or images.get("image_mean")),
        _three(normalization.get("std") or images.get("image_std")),
        heads=as_whole(heads),
    )


def _config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("too large")
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError too
        raise CheckpointError(f"{path}: damaged, or no JSON ({error}).") from error
    return content if isinstance(content, dict) else {}


def _three(values: Any) -> tuple[float, ...] | None:
    shares = isinstance(values, list) and all(
        isinstance(value, int | float) and 0 <= value <= 1 for value in values
    )
    return tuple(map(float, values)) if shares and len(values) == 3 else None
