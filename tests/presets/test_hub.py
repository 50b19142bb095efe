"""What the Hub's client raises, told in our errors; and what its cache holds, verified."""

import httpx2
import pytest
from huggingface_hub import errors

from keras_cr.presets import (
    CorruptPresetError,
    HubAccessError,
    HubError,
    HubOfflineError,
    HubRepoNotFoundError,
    HubRevisionNotFoundError,
    load_preset,
    registry,
    save_preset,
)
from keras_cr.presets.manifest import FILES, fingerprint
from tests.presets.tiny import tiny_encoder


def http(cls, status):
    request = httpx2.Request("GET", "https://hub.test/org/name")
    return cls("refused", response=httpx2.Response(status, request=request))


def unreachable(cause):
    error = errors.LocalEntryNotFoundError("not cached")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (http(errors.GatedRepoError, 403), HubAccessError, "is gated: ask for access"),
        (http(errors.RepositoryNotFoundError, 404), HubRepoNotFoundError, "'org/name', or it is"),
        (http(errors.RevisionNotFoundError, 404), HubRevisionNotFoundError, "or commit 'v1'"),
        (http(errors.HfHubHTTPError, 401), HubAccessError, "refused the token .HTTP 401"),
        (unreachable(http(errors.HfHubHTTPError, 403)), HubAccessError, "HTTP 403"),
        (unreachable(httpx2.ConnectError("no route")), HubOfflineError, "reached .*no route"),
        (unreachable(http(errors.HfHubHTTPError, 503)), HubOfflineError, "cannot be reached"),
        (OSError(28, "No space left on device"), HubError, "could not be downloaded .*No space"),
    ],
)
def test_errors_are_told_apart(monkeypatch, raised, expected, message):
    def fail(*args, **kwargs):
        raise raised

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(expected, match=message) as caught:
        load_preset("hf://org/name@v1")
    assert type(caught.value) is expected
    assert "hf://org/name@v1" in str(caught.value)


@pytest.fixture
def commit(monkeypatch, tmp_path):
    """A cached snapshot, found without network, and a card that pins it."""
    commit = "0123456789abcdef" * 2 + "01234567"
    folder = tmp_path / "cache" / "models--org--name" / "snapshots" / commit
    save_preset(tiny_encoder(), folder)
    pins = {name: fingerprint(folder / name) for name in FILES}
    fields = registry.card("cub_resnet50").__dict__
    pinned = registry.Card(**fields | {"repo": "org/name", "commit": commit, "files": pins})
    monkeypatch.setattr("keras_cr.presets.locate.card", lambda name: pinned)
    return folder


def test_from_the_cache(commit, tmp_path):
    offline = {"cache_dir": tmp_path / "cache", "local_files_only": True}
    assert load_preset(f"hf://org/name@{commit.name}", **offline).built
    assert load_preset("hf://org/name", revision=commit.name, **offline).built
    assert load_preset("cub_resnet50", **offline).built


def test_cached_files_are_verified_against_the_card(commit, tmp_path):
    save_preset(tiny_encoder(seed=1), commit)  # sound in itself, but not what the card pins
    offline = {"cache_dir": tmp_path / "cache", "local_files_only": True}
    assert load_preset(f"hf://org/name@{commit.name}", **offline).built
    with pytest.raises(CorruptPresetError, match=r"preset.json is .*altered.*copy in the cache"):
        load_preset("cub_resnet50", **offline)
