"""Backbones' weights from ImageNet, of files pinned by their sha256."""

import os
import tempfile
from pathlib import Path

import keras

from keras_cr.models.resnet import ResNet
from keras_cr.models.squeezenet import SqueezeNet
from keras_cr.models.torchvision import load_torchvision_weights
from keras_cr.presets.checkpoint import read_checkpoint
from keras_cr.presets.load import load_preset
from keras_cr.presets.manifest import fingerprint
from keras_cr.presets.registry import PACKAGED
from keras_cr.presets.store import home

_SOURCE = "https://download.pytorch.org/models/"
# torchvision's IMAGENET1K_V1. It names the first eight digits of each sha256 in the file's name.
_SHA256 = {
    "resnet18": "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
    "resnet34": "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f",
    "resnet50": "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
}


def load_imagenet_weights(backbone: ResNet | SqueezeNet) -> None:
    """Loads weights that were trained on ImageNet.

    A ResNet gets torchvision's first weights (IMAGENET1K_V1, BSD-3-Clause), downloaded once to
    `home()`/weights and checked by the sha256 of the whole file; a SqueezeNet those of the packaged
    preset demo_squeezenet, without a network.

    Args:
        backbone: one named `resnet18`, `resnet34`, `resnet50` or `squeezenet`.

    Raises:
        OSError: they can't be downloaded.
        ValueError: there are none for this backbone, or what was downloaded is damaged.
    """
    if isinstance(backbone, SqueezeNet):
        backbone.set_weights(load_preset(PACKAGED / "demo_squeezenet").backbone.get_weights())
        return
    if backbone.name not in _SHA256:
        raise ValueError(
            f"backbone: there are ImageNet weights for {', '.join(_SHA256)} and squeezenet; "
            f"received {backbone.name!r}."
        )
    load_torchvision_weights(backbone, read_checkpoint(_fetched(backbone.name)))


def _fetched(name: str) -> Path:
    """The pinned file in `home()`/weights, downloaded unless it is there and intact."""
    sha256 = _SHA256[name]
    file = f"{name}-{sha256[:8]}.pth"
    path = home() / "weights" / file
    if path.is_file() and fingerprint(path)["sha256"] == sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # A folder of its own: two runs may fetch the file at once, and Keras writes it in place.
    with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as part:
        try:
            fetched = keras.utils.get_file(
                file,
                _SOURCE + file,
                cache_dir=part,
                cache_subdir="",
                file_hash=sha256,
                hash_algorithm="sha256",
            )
        except ValueError as error:
            raise ValueError(
                f"{_SOURCE}{file}: what was downloaded does not have the sha256 {sha256}; try "
                "again."
            ) from error
        except Exception as error:  # urllib's, wrapped by Keras in a plain one
            raise OSError(
                f"ImageNet weights could not be fetched from {_SOURCE}{file} "
                f"({type(error).__name__}). Without a network, take backbone='squeezenet', "
                "whose weights come with the package, or a .keras file or checkpoint of your own; "
                "or random weights (in a recipe, init='none')."
            ) from error
        os.replace(fetched, path)
    return path
