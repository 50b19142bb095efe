"""Checkpoints are read as torch wrote them, and nothing in them is run.

`data/torch_*.pth.tar` were written by torch 2.13: tensors of many types, views that share storage,
an optimizer, an argparse.Namespace; `data/torch_tensors.npz` holds the same tensors from torch.
"""

import os
import pathlib
import pickle
import zipfile

import ml_dtypes
import numpy as np
import pytest

from keras_cr.conversion import read_checkpoint
from keras_cr.presets import CheckpointError

DATA = pathlib.Path(__file__).parent / "data"
ZIP, LEGACY = DATA / "torch_zip.pth.tar", DATA / "torch_legacy.pth.tar"


@pytest.mark.parametrize("path", [ZIP, LEGACY], ids=["zip", "legacy"])
def test_tensors_are_those_that_torch_saved(path):
    found = read_checkpoint(path)
    with np.load(DATA / "torch_tensors.npz") as expected:
        assert list(found) == expected.files
        for name in expected.files:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
            assert found[name].dtype == expected[name].dtype, name
    assert found["module.transposed"].flags.c_contiguous


def test_other_files(tmp_path):
    arrays = {"a.weight": np.arange(6.0).reshape(2, 3), "b": np.array(3)}
    np.savez(tmp_path / "arrays.npz", **arrays)
    found = read_checkpoint(tmp_path / "arrays.npz")
    np.testing.assert_array_equal(found["a.weight"], arrays["a.weight"])
    safetensors = pytest.importorskip("safetensors.numpy")
    safetensors.save_file(arrays, tmp_path / "model.safetensors")
    np.testing.assert_array_equal(read_checkpoint(tmp_path / "model.safetensors")["b"], 3)
    half = {"half": np.array([1.5, -2], ml_dtypes.bfloat16)}
    safetensors.save_file(half, tmp_path / "half.safetensors")
    found = read_checkpoint(tmp_path / "half.safetensors")["half"]
    assert (found.dtype, found.tolist()) == ("float32", [1.5, -2])


class Attack:
    """A pickle that runs a command in whoever loads it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_nothing_is_run(tmp_path, protocol):
    with zipfile.ZipFile(ZIP) as archive:
        names = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(name for name in names if name.endswith("data.pkl"))
    trace = tmp_path / "it_ran"
    names[pickled] = pickle.dumps({"state_dict": {"x": Attack(trace)}}, protocol)
    with zipfile.ZipFile(tmp_path / "attack.pth", "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    with pytest.raises(CheckpointError, match="no tensors in it"):
        read_checkpoint(tmp_path / "attack.pth")
    (tmp_path / "attack_legacy.pth").write_bytes(pickle.dumps(Attack(trace), 2))
    with pytest.raises(CheckpointError, match=r"not one of torch.save"):
        read_checkpoint(tmp_path / "attack_legacy.pth")
    assert not trace.exists()
    pickle.loads(pickle.dumps(Attack(trace), protocol))
    assert trace.exists(), "the attack is one"


def test_what_is_damaged_is_refused(tmp_path):
    whole = LEGACY.read_bytes()
    for name, content in (
        ("cut.pth", whole[:-3]),
        ("cut_early.pth", whole[:200]),
        ("cut_zip.pth", ZIP.read_bytes()[:-300]),
        ("text.pth", b"no checkpoint at all"),
        ("empty.pth", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=name) as error:
            read_checkpoint(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "nowhere.pth")


def test_a_tensor_cannot_reach_past_its_storage(tmp_path):
    """Sizes and strides are numbers in the file: they must not read foreign memory."""
    program = (
        b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n("
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04t"
        b"QK\x00(K\x05t(K\x01t\x89}tRs."
    )
    with zipfile.ZipFile(tmp_path / "far.pth", "w") as archive:
        archive.writestr("far/data.pkl", program)
        archive.writestr("far/data/0", np.arange(4, dtype="float32").tobytes())
    with pytest.raises(CheckpointError, match="reaches past its storage"):
        read_checkpoint(tmp_path / "far.pth")
    with zipfile.ZipFile(tmp_path / "near.pth", "w") as archive:
        archive.writestr("near/data.pkl", program.replace(b"(K\x05t", b"(K\x04t"))
        archive.writestr("near/data/0", np.arange(4, dtype="float32").tobytes())
    np.testing.assert_array_equal(read_checkpoint(tmp_path / "near.pth")["w"], range(4))
    repeated = program.replace(
        b"(K\x05t(K\x01t", b"(J\x00\xca\x9a\x3bt(K\x00t"
    )  # 10**9 numbers of 4
    with zipfile.ZipFile(tmp_path / "vast.pth", "w") as archive:
        archive.writestr("vast/data.pkl", repeated)
        archive.writestr("vast/data/0", np.arange(4, dtype="float32").tobytes())
    with pytest.raises(CheckpointError, match=r"\(1000000000,\) repeats a storage of 4 numbers"):
        read_checkpoint(tmp_path / "vast.pth")


def test_a_small_file_cannot_keep_the_reader_busy(tmp_path):
    nested = {"x": 1}
    for _ in range(7):  # 100 ** 7 paths through a file of some kilobytes
        nested = dict.fromkeys(range(100), nested)
    with zipfile.ZipFile(tmp_path / "nested.pth", "w") as archive:
        archive.writestr("nested/data.pkl", pickle.dumps(nested, 2))
    with pytest.raises(CheckpointError, match="no tensors in it"):
        read_checkpoint(tmp_path / "nested.pth")
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", bytes(1_000_000))
    with pytest.raises(CheckpointError, match="compressed"):
        read_checkpoint(tmp_path / "bomb.pth")
