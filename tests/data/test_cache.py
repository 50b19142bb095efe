"""The cache: a file is decoded once, nothing stale is read, and views are those without it."""

import gc
import os
import time

import numpy as np
import pytest
import tensorflow as tf

from keras_cr.data import cache as cache_module
from keras_cr.data import random_views, two_views
from keras_cr.data.cache import check_cache
from keras_cr.data.images import image_reader
from tests.data.helpers import STILL, dataset, ordinary_user, pixels, save_image


def files(folder, count=6, seed=0):
    """A dataset of image files, each of a size of its own."""
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        save_image(path, pixels(1, 40 + 8 * number, 48, seed + number)[0])
    return dataset(count, images=paths)


def spoil(data):
    """Makes the files undecodable behind the cache's back: size and time of change stay."""
    for path in data.images:
        status = os.stat(path)
        with open(path, "wb") as file:
            file.write(b"?" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def read(data, cache):
    """Every image, by a reader of its own."""
    reader = image_reader(data, cache)
    rows = tf.data.Dataset.range(len(data)).map(reader)
    return [image.numpy() for image in rows]


def test_a_file_is_decoded_once_and_views_stay_the_same(tmp_path):
    data = files(tmp_path / "images")
    plain, *with_cache = (
        two_views(data, 24, 3, epochs=2, seed=1, cache=cache).as_numpy_iterator()
        for cache in (None, "memory", tmp_path / "new" / "cache")
    )
    expected = list(plain)
    started = [[next(batches), next(batches)] for batches in with_cache]  # the first epoch
    spoil(data)
    with pytest.raises(tf.errors.InvalidArgumentError):
        read(data, None)
    for first, rest in zip(started, with_cache, strict=True):
        for batch, without in zip([*first, *rest], expected, strict=True):
            for name, values in without.items():
                np.testing.assert_array_equal(batch[name], values)
    ((_, index),) = random_views(data, 24, 6, STILL, cache="memory")  # the same memory
    assert sorted(index.numpy()) == list(range(6))


def test_a_folder_serves_other_processes_but_never_another_image(tmp_path):
    data, cache = files(tmp_path / "images"), tmp_path / "cache"
    whole = read(data, cache)
    assert len(list(cache.iterdir())) == 6
    cut = type(data)(**{**vars(data), "crop_bottom": 8})
    for image, without in zip(whole, read(cut, cache), strict=True):
        np.testing.assert_array_equal(image[:-8], without)
    other = files(tmp_path / "others", seed=50)
    for image, file in zip(read(other, cache), read(other, None), strict=True):
        np.testing.assert_array_equal(image, file)
    assert len(list(cache.iterdir())) == 18
    save_image(tmp_path / "images" / "2.png", 255 - whole[2])
    spoil(other)
    again = read(data.take([5, 2]), cache)  # in another order, one of them changed
    np.testing.assert_array_equal(again[0], whole[5])
    np.testing.assert_array_equal(again[1], 255 - whole[2])
    os.remove(data.images[0])
    with pytest.raises(FileNotFoundError, match=r"images.0\.png"):
        image_reader(data, cache)


def test_pixels_need_no_cache(tmp_path):
    data = dataset(6)
    for cache in ("memory", tmp_path / "cache"):
        check_cache(data, cache)
        np.testing.assert_array_equal(image_reader(data, cache)(2), data.images[2])
    assert list((tmp_path / "cache").iterdir()) == []
    assert data not in cache_module._TABLES


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    data, cache = files(tmp_path / "images", count=1), tmp_path / "cache"
    reader = image_reader(data, cache)

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(tf.errors.OpError, match="can't be written .No space left on device.*free"):
        list(tf.data.Dataset.range(1).map(reader))
    assert list(cache.iterdir()) == []
    monkeypatch.undo()
    np.testing.assert_array_equal(read(data, cache)[0], read(data, None)[0])


def test_what_a_killed_run_left_unfinished_is_neither_read_nor_kept(tmp_path):
    data, cache = files(tmp_path / "images", count=1), tmp_path / "cache"
    (whole,) = read(data, cache)
    (kept,) = cache.iterdir()
    left, written = cache / f"{kept.name}.1.2.part", cache / f"{kept.name}.3.4.part"
    left.write_bytes(kept.read_bytes()[:100])
    written.write_bytes(b"")
    kept.unlink()
    os.utime(left, (0, time.time() - 7200))
    np.testing.assert_array_equal(read(data, cache)[0], whole)
    assert sorted(cache.iterdir()) == sorted([kept, written]), "another process may be writing"


def test_memory_is_given_back_with_the_dataset_and_its_views(tmp_path):
    data = files(tmp_path)
    before = len(cache_module._TABLES)
    rows = tf.data.Dataset.range(6).map(image_reader(data, "memory"))
    first = [image.numpy() for image in rows]
    spoil(data)
    del data
    gc.collect()
    for image, again in zip(first, rows, strict=True):
        np.testing.assert_array_equal(image, again)
    assert len(cache_module._TABLES) == before + 1
    del rows
    gc.collect()
    assert len(cache_module._TABLES) == before


def test_images_larger_than_the_machine_are_refused(tmp_path, monkeypatch):
    data = files(tmp_path / "images")
    size = sum(image.nbytes for image in read(data, None))
    assert cache_module._decoded_bytes(data.images, 0) == size
    monkeypatch.setattr(cache_module, "_memory", lambda: size - 1)
    with pytest.raises(ValueError, match=r"cache: 6 images of 'blocks' .*name a folder.*'memory'"):
        check_cache(data, "memory")
    monkeypatch.setattr(cache_module, "_memory", lambda: size)
    check_cache(data, "memory")

    folder = tmp_path / "cache"
    read(data.take([0, 1, 2]), folder)  # what is there already needs no room
    left = sum(image.nbytes for image in read(data.take([3, 4, 5]), None))
    usage = cache_module.shutil.disk_usage(tmp_path)
    for free, message in ((left - 1, "cache: 3 images .*another disk"), (left, None)):
        monkeypatch.setattr(
            cache_module.shutil, "disk_usage", lambda _, free=free: usage._replace(free=free)
        )
        if message is None:
            check_cache(data, folder)
        else:
            with pytest.raises(ValueError, match=message):
                check_cache(data, folder)


def test_the_machines_memory_is_known():
    assert cache_module._memory() > 2**28


def test_a_folder_that_cant_be_written_is_refused(tmp_path):
    data = files(tmp_path / "images", count=1)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"cache: the folder '.*file' can't be written .File ex"):
        two_views(data, 24, 1, cache=tmp_path / "file")
    with ordinary_user() as folder:
        (folder / "cache").mkdir()
        (folder / "cache").chmod(0o500)
        with pytest.raises(ValueError, match="can't be written .Permission denied.; name another"):
            check_cache(data, folder / "cache")


@pytest.mark.parametrize("cache", ["", 3, True])
def test_other_values_are_refused(cache):
    with pytest.raises(ValueError, match=f"cache: must be 'memory', a folder .*received {cache!r}"):
        check_cache(dataset(2), cache)
