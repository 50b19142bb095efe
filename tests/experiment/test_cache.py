"""`--cache`: a run keeps its decoded training images, and is the same run without."""

import pytest

from keras_cr.experiment import Run, Settings, parse_settings
from keras_cr.experiment.flags import read_setting
from tests.case import tiny_backbone
from tests.data.helpers import dataset, pixels, save_image
from tests.experiment.helpers import train


@pytest.fixture
def photos(tmp_path):
    paths = [tmp_path / "images" / f"{number}.png" for number in range(16)]
    for path, image in zip(paths, pixels(16), strict=True):
        save_image(path, image)
    return dataset(16, images=paths)  # 12 of them for training


def prepare(data, output, **changes):
    values = {"epochs": 1, "batch_size": 4, "image_size": 32, "rationale": "off"} | changes
    settings = Settings(dataset="blocks", output=str(output), **values)
    return Run.prepare(settings, lambda _: data, tiny_backbone)


def test_the_flag():
    assert parse_settings("doc", []).cache is None
    assert parse_settings("doc", ["--cache", "memory"]).cache == "memory"
    assert read_setting("cache", "there") == "there"
    assert Settings(cache="memory").of_the_run() == Settings().of_the_run()


def test_a_run_keeps_its_training_images_and_goes_on_without(photos, tmp_path):
    cache, output = tmp_path / "cache", tmp_path / "out"
    train(prepare(photos, output, cache=str(cache)))
    assert len(list(cache.iterdir())) == 12
    resumed = prepare(photos, output, cache="memory", resume=True)
    assert resumed.settings.cache == "memory"


def test_a_cache_that_cant_be_used_is_told_before_the_output_is_made(photos, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"cache: the folder '.*file' can't be written"):
        prepare(photos, tmp_path / "out", cache=str(tmp_path / "file"))
    assert not (tmp_path / "out").exists()
    prepare(photos, tmp_path / "out", cache=str(tmp_path / "file"), epochs=0)  # trains nothing
