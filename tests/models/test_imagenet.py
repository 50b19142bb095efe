"""ImageNet weights: from the pinned file, checked, or not at all."""

import hashlib
import http.server
import threading

import numpy as np
import pytest

from keras_cr.conversion.convert import torchvision_names
from keras_cr.models import ResNet, imagenet, resnet18
from keras_cr.models.imagenet import load_imagenet_weights
from keras_cr.presets.store import home


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A server on the loopback interface in the place of torchvision's; its folder."""
    folder = tmp_path / "source"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=str(folder), **kwargs)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(imagenet, "_SOURCE", f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()


def publish(folder, backbone, monkeypatch):
    """Puts a file of random weights where `load_imagenet_weights` looks, and pins it."""
    rng = np.random.default_rng(0)
    weights = {}
    for name, variable in torchvision_names(backbone).items():
        shape = tuple(variable.shape)
        shape = (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape
        weights[name] = rng.random(shape, "float32")
    np.savez(folder / "weights.npz", **weights)
    content = (folder / "weights.npz").read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(imagenet._SHA256, backbone.name, sha256)
    path = folder / f"{backbone.name}-{sha256[:8]}.pth"
    path.write_bytes(content)
    return path, weights


def test_they_are_fetched_once_and_loaded(source, monkeypatch):
    backbone = ResNet((1, 1), bottleneck=False, width=4, name="resnet34")
    path, weights = publish(source, backbone, monkeypatch)
    load_imagenet_weights(backbone)
    kernel = np.asarray(backbone.get_layer("conv1").kernel)
    np.testing.assert_array_equal(kernel, weights["conv1.weight"].transpose(2, 3, 1, 0))
    path.unlink()
    load_imagenet_weights(ResNet((1, 1), bottleneck=False, width=4, name="resnet34"))


def test_what_a_killed_download_left_is_replaced(source, monkeypatch):
    backbone = ResNet((1, 1), bottleneck=False, width=4, name="resnet34")
    path, _ = publish(source, backbone, monkeypatch)
    cached = home() / "weights" / path.name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(path.read_bytes()[:-100])
    load_imagenet_weights(backbone)
    assert cached.read_bytes() == path.read_bytes()
    assert list(cached.parent.iterdir()) == [cached]


def test_another_file_is_refused(source, monkeypatch, tmp_path):
    backbone = ResNet((1, 1), bottleneck=False, width=4, name="resnet34")
    path, _ = publish(source, backbone, monkeypatch)
    before = backbone.get_weights()
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="does not have the sha256"):
        load_imagenet_weights(backbone)
    assert list((home() / "weights").iterdir()) == []
    for old, new in zip(before, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_without_a_network_there_are_ways_out(source):
    with pytest.raises(OSError, match=r"resnet18-f37072fd.pth .*backbone='squeezenet'"):
        load_imagenet_weights(resnet18())


def test_there_are_none_for_other_networks():
    with pytest.raises(ValueError, match="resnet18, resnet34, resnet50 and squeezenet"):
        load_imagenet_weights(ResNet((1,), width=4, name="other"))
