"""fit_rationale where the feature maps are more than memory is to hold."""

import warnings

import numpy as np
import pytest

from keras_cr.models.map_file import MapFile
from keras_cr.rationale import Neighbours, Rationale, fit_rationale
from keras_cr.rationale.branch_fit import fit_branch
from tests.case import images, tiny_encoder
from tests.rationale.test_branch_fit import branch, data


def fitted(**options):
    encoder, rationale = tiny_encoder(), Rationale(Neighbours(k=3, mirror=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        history = fit_rationale(
            encoder, images(20), rationale, rounds=2, epochs=3, batch_size=8, **options
        )
    return history, np.asarray(encoder.encode(images(20))["rationale"])


def test_the_same_on_disk_and_in_small_chunks(monkeypatch):
    in_memory = fitted()
    monkeypatch.setattr("keras_cr.models.feature_maps._NUMBERS", 1)  # an image a chunk
    history, maps = fitted(max_memory=1e-9)
    np.testing.assert_allclose(maps, in_memory[1], atol=1e-5)
    for measured, expected in zip(history, in_memory[0], strict=True):
        assert measured == pytest.approx(expected, abs=1e-5)


def test_no_file_is_left_by_a_fit_that_fails(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def stop(number, measured):
        assert not list(tmp_path.iterdir())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(max_memory=1e-9, on_round=stop)
    assert not list(tmp_path.iterdir())


def test_steps_on_batches_are_those_of_the_compiled_execution():
    """Under TensorFlow the branch can go either way; under other backends it goes this one."""
    maps, targets = data()
    file = MapFile()
    file.write(maps)
    options = {"epochs": 3, "batch_size": 15, "learning_rate": 0.05, "train_affine": True}
    compiled, uncopied, stepped = branch(), branch(), branch()
    loss = fit_branch(compiled, maps, targets, **options)
    same = fit_branch(uncopied, maps, targets, **options, max_memory=1e-9)
    assert same == pytest.approx(loss, abs=1e-6)
    assert fit_branch(stepped, file, targets, **options) == pytest.approx(loss, abs=1e-6)
    for others in (uncopied, stepped):
        for one, other in zip(compiled.get_weights(), others.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
