"""Runs that are judged by held-out training images, and by options of the rationale."""

import json
import sys

import pytest

from keras_cr.data import read_cub, synthetic_birds, write_cub_layout
from keras_cr.experiment import Run, Settings
from tests.case import tiny_backbone


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """3 classes, 24 training and 12 test images, of which one is broken."""
    birds = synthetic_birds(3, train_per_class=8, test_per_class=4, image_size=48, seed=1)
    folder = write_cub_layout(birds, tmp_path_factory.mktemp("birds") / "data")
    broken = read_cub(folder).split("test").images[0]
    with open(broken, "wb") as file:
        file.write(b"no image")
    return folder


def prepare(birds, output, **changes):
    values = {"epochs": 1, "batch_size": 8, "image_size": 32, "protocols": ("retrieval",)}
    values |= {"data_dir": str(birds), "output": str(output)} | changes
    return Run.prepare(Settings(**values), read_cub, tiny_backbone, store=False)


def test_test_images_are_not_opened(birds, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="skip_bad=True"):
        prepare(birds, tmp_path / "out")
    monkeypatch.setattr(sys.modules[Run.__module__], "write_pictures", lambda *_: None)  # slow
    unfitted = {"epochs": 0, "rationale": "paper"}
    run = prepare(birds, tmp_path / "out", validation_fraction=0.4, **unfitted)
    train = read_cub(birds).split("train").images
    assert run.dataset.images == train
    protocol = run.execute()["protocol"]
    assert protocol["dataset"] == f"{read_cub(birds).name} (training images, 40 % held out)"
    assert protocol["images"] == {"train": 15, "test": 9}


def test_all_seeds_share_the_held_out_images(birds, tmp_path):
    runs = [
        prepare(birds, tmp_path / str(seed), validation_fraction=0.4, seed=seed) for seed in (0, 1)
    ]
    assert runs[0].dataset.is_train.tolist() == runs[1].dataset.is_train.tolist()


def test_options_must_be_the_same_to_go_on(birds, tmp_path):
    options = {"validation_fraction": 0.4, "rationale_options": {"extra_passes": ("query",)}}
    paper = {"rationale": "paper"} | options
    prepare(birds, tmp_path / "out", **paper)
    prepare(birds, tmp_path / "out", **paper, resume=True)
    others = {"validation_fraction": 0.3}, {"rationale_options": {"weight": 3.0}}
    for name, other in zip(options, others, strict=True):
        with pytest.raises(ValueError, match=f"other settings: {name} was"):
            prepare(birds, tmp_path / "out", **(paper | other), resume=True)


def test_runs_of_before_there_were_such_settings_go_on(birds, tmp_path):
    settings = {"validation_fraction": None, "skip_bad": True}
    prepare(birds, tmp_path / "out", **settings)
    config = tmp_path / "out" / "config.json"
    earlier = json.loads(config.read_text())
    for name in ("validation_fraction", "rationale_options"):
        assert earlier["settings"].pop(name) is None
    config.write_text(json.dumps(earlier))
    prepare(birds, tmp_path / "out", **settings, resume=True)


def test_options_that_the_data_do_not_allow_are_told_before_anything_runs(birds, tmp_path):
    with pytest.raises(ValueError, match="k must be below half.*15. Received: k=8"):
        prepare(birds, tmp_path / "out", validation_fraction=0.4, rationale_options={"k": 8})
    assert not (tmp_path / "out").exists()
