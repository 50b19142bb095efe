"""Loading from a Hub that moves, refuses, breaks off and damages."""

import re
import time
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import HfApi

from keras_cr.presets import (
    CorruptPresetError,
    HubAccessError,
    HubBusyError,
    HubError,
    HubOfflineError,
    HubRepoNotFoundError,
    HubRevisionNotFoundError,
    load_preset,
    publish,
)
from tests.presets.tiny import images, tiny_encoder

WRITER = {"token": "hf_writer"}
OTHER_CACHE = "another"


@pytest.fixture
def birds(hub, tmp_path):
    """A published preset; the cache that it is loaded into is empty."""
    return publish(tiny_encoder(), "hf://org/birds", tag="v1", **WRITER)


def same(model, seed=0):
    expected = tiny_encoder(seed=seed)(images())
    return np.array_equal(np.asarray(model(images())), np.asarray(expected))


def test_all_files_are_of_the_commit_that_the_tag_named(hub, birds):
    hub.log.clear()
    assert same(load_preset("hf://org/birds@v1"))
    asked = [re.search("/resolve/([^/]+)/", request["path"]) for request in hub.log]
    assert {match[1] for match in asked if match} == {birds.commit}


def test_a_moved_tag(hub, birds):
    newer = publish(tiny_encoder(seed=1), "hf://org/birds", **WRITER)
    assert same(load_preset("hf://org/birds@v1"))
    api = HfApi(**WRITER)
    api.delete_tag("org/birds", tag="v1")
    api.create_tag("org/birds", tag="v1", revision=newer.commit)
    assert same(load_preset("hf://org/birds@v1"), seed=1)
    assert same(load_preset(f"hf://org/birds@{birds.commit}"))


def test_nothing_there(hub, birds):
    with pytest.raises(HubRepoNotFoundError, match="no model repository 'org/cars'"):
        load_preset("hf://org/cars")
    with pytest.raises(HubRevisionNotFoundError, match="no branch, tag or commit 'v2'"):
        load_preset("hf://org/birds@v2")


def test_gated_and_refused(hub, birds, tmp_path):
    HfApi(**WRITER).update_repo_settings("org/birds", gated="manual")
    with pytest.raises(HubAccessError, match="is gated: ask for access"):
        load_preset("hf://org/birds")
    with pytest.raises(HubAccessError, match="is gated"):
        load_preset("hf://org/birds", token="hf_reader")
    hub.tokens["hf_reader"]["accepted"] = ["org/birds"]
    try:
        assert same(load_preset("hf://org/birds", token="hf_reader"))
    finally:
        del hub.tokens["hf_reader"]["accepted"]
    with pytest.raises(HubAccessError, match=r"refused the token .HTTP 401"):
        load_preset("hf://org/birds", token="hf_bad", cache_dir=tmp_path / OTHER_CACHE)


def test_offline_the_cache_answers_or_says_at_once_that_it_does_not(hub, birds, monkeypatch):
    start = time.monotonic()
    with pytest.raises(HubOfflineError, match="local_files_only=True forbids"):
        load_preset("hf://org/birds", local_files_only=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubOfflineError, match="HF_HUB_OFFLINE"):
        load_preset("hf://org/birds")
    assert time.monotonic() - start < 3, "no server was asked: it takes milliseconds"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert same(load_preset("hf://org/birds@v1"))
    hub.__exit__()
    assert same(load_preset("hf://org/birds@v1", local_files_only=True))
    assert same(load_preset(f"hf://org/birds@{birds.commit}"))


def test_a_busy_server_is_asked_again(hub, birds):
    hub.fault("HEAD", r"config\.json", status=503)
    hub.fault("GET", "/_cdn/", status=503)
    assert same(load_preset("hf://org/birds@v1"))
    assert all(fault["times"] == 0 for fault in hub.faults)


def test_a_server_that_stays_busy(hub, birds, monkeypatch):
    monkeypatch.setattr("keras_cr.presets.hub._PAUSES", (0.01, 0.01))
    hub.fault("GET", "/_cdn/", status=503, times=3)
    with pytest.raises(HubBusyError, match=r"out of order .HTTP 503"):
        load_preset("hf://org/birds@v1")
    assert same(load_preset("hf://org/birds@v1"))


@pytest.mark.parametrize("fault", [{"truncate": 1000}, {"drop": True}])
def test_a_connection_that_is_cut_off(hub, birds, fault):
    hub.fault("GET", "/_cdn/", **fault)
    try:
        model = load_preset("hf://org/birds@v1")
    except HubError:  # the client gave up; nothing half is taken for whole
        model = load_preset("hf://org/birds@v1")
    assert same(model)


def test_a_large_download_goes_on_where_it_was_cut_off(hub):
    """The client keeps what arrived in parts of 10 MiB."""
    model = tiny_encoder(units=450_000)
    publish(model, "hf://org/large", **WRITER)
    hub.fault("GET", "/_cdn/", truncate=10 * 2**20)
    loaded = load_preset("hf://org/large")
    np.testing.assert_array_equal(loaded.head.kernel, model.head.kernel)
    ranges = [request["headers"].get("Range", "") for request in hub.log]
    assert any(each.startswith("bytes=10485760-") for each in ranges), set(ranges)


def test_damage_of_the_same_length_is_repaired_once(hub, birds):
    hub.fault("GET", "/_cdn/", corrupt=True)
    assert same(load_preset("hf://org/birds@v1"))
    assert hub.faults[0]["times"] == 0


def test_damage_that_stays_is_named(hub, birds):
    hub.fault("GET", "/_cdn/", corrupt=True, times=2)
    with pytest.raises(CorruptPresetError, match=r"model.weights.h5 is altered.*copy in the cache"):
        load_preset("hf://org/birds@v1")
    with pytest.raises(CorruptPresetError):
        load_preset("hf://org/birds@v1", local_files_only=True)
    assert same(load_preset("hf://org/birds@v1"))


def test_a_cache_of_its_own(hub, birds, tmp_path):
    assert same(load_preset("hf://org/birds@v1", cache_dir=tmp_path / OTHER_CACHE))
    assert Path(tmp_path / OTHER_CACHE / "models--org--birds").is_dir()
    with pytest.raises(HubOfflineError):
        load_preset("hf://org/birds@v1", local_files_only=True)
