"""Branches whose backbone lies on the Hub: moved, damaged, changed, published themselves."""

import json
from pathlib import Path

import pytest
import yaml
from huggingface_hub import HfApi

from keras_cr import CommonRationaleEncoder
from keras_cr.cli import main
from keras_cr.models import load_backbone
from keras_cr.presets import (
    BackboneError,
    HubOfflineError,
    HubRepoNotFoundError,
    card,
    load_preset,
    pinned_backbone,
    publish,
    register,
    registry,
    verify_preset,
)
from keras_cr.presets.zoo import row
from tests.presets.with_backbone import assert_same, encoder_over, size, small_backbone

WRITER = {"token": "hf_writer"}


@pytest.fixture
def backbone(hub):
    """A whole preset on the Hub, tagged."""
    encoder = CommonRationaleEncoder(small_backbone(), image_size=64, seed=9)
    return publish(encoder, "hf://org/backbone", tag="v1", **WRITER)


@pytest.fixture
def branch(backbone, tmp_path):
    """A branch over it, and its preset."""
    encoder = encoder_over("hf://org/backbone@v1")
    return encoder, encoder.save_to_preset(tmp_path / "branch", backbone="reference")


def test_it_pins_the_commit_behind_the_tag(branch, backbone, tmp_path):
    encoder, folder = branch
    assert encoder.backbone_source.commit == backbone.commit
    assert encoder.backbone_source.pinned_handle == f"hf://org/backbone@{backbone.commit}"
    assert encoder.backbone_source.files == backbone.files
    assert_same(load_preset(folder), load_preset(encoder.save_to_preset(tmp_path / "whole")))
    assert_same(load_preset(folder, cache_dir=tmp_path / "empty"), encoder)
    assert size(folder) < 0.5 * size(tmp_path / "whole") + 20_000


def test_a_moved_tag_and_a_changed_backbone(branch, tmp_path):
    encoder, folder = branch
    other = CommonRationaleEncoder(small_backbone(seed=1), image_size=64)
    moved = publish(other, "hf://org/backbone", **WRITER)
    api = HfApi(**WRITER)
    api.delete_tag("org/backbone", tag="v1")
    api.create_tag("org/backbone", tag="v1", revision=moved.commit)
    assert_same(load_preset(folder, cache_dir=tmp_path / "empty"), encoder)
    with pytest.raises(BackboneError, match="It is not the backbone"):
        load_preset(folder, backbone="hf://org/backbone@v1")
    with pytest.raises(BackboneError, match="It is not the backbone"):
        load_preset(folder, backbone=other.save_to_preset(tmp_path / "other"))


def test_a_damaged_copy_is_fetched_again_and_damage_that_stays_is_refused(hub, branch):
    encoder, folder = branch
    hub.fault("GET", "/_cdn/", corrupt=True)
    cache = {"cache_dir": folder.parent / "empty"}
    assert_same(load_preset(folder, **cache), encoder)
    assert hub.faults[0]["times"] == 0
    hub.fault("GET", "/_cdn/", corrupt=True, times=2)
    cache = {"cache_dir": folder.parent / "another"}
    with pytest.raises(BackboneError, match=r"model.weights.h5 is altered.*copy in the cache"):
        load_preset(folder, **cache)
    with pytest.raises(BackboneError, match="is altered"):
        load_preset(folder, local_files_only=True, **cache)
    with pytest.raises(BackboneError, match="is altered"):
        verify_preset(folder, local_files_only=True, **cache)


def test_damage_is_not_pinned(hub, backbone):
    hub.fault("GET", "/_cdn/", corrupt=True)
    _, source = load_backbone("hf://org/backbone")
    assert source.files == backbone.files


def test_offline(hub, branch, tmp_path):
    encoder, folder = branch
    assert_same(load_preset(folder, local_files_only=True), encoder)
    with pytest.raises(HubOfflineError, match="local_files_only=True forbids"):
        load_preset(folder, local_files_only=True, cache_dir=tmp_path / "empty")


def test_published_registered_and_shown(branch, backbone, tmp_path, monkeypatch, capsys):
    encoder, folder = branch
    done = publish(folder, "hf://org/branch", tag="v1", **WRITER)
    assert_same(load_preset("hf://org/branch@v1", cache_dir=tmp_path / "empty"), encoder)
    assert publish(encoder, "hf://org/branch", backbone="reference", **WRITER).changed
    page = HfApi().hf_hub_download("org/branch", "README.md", revision="v1")
    assert f"hf://org/backbone@{backbone.commit}" in Path(page).read_text()
    cards = tmp_path / "cards"
    path = register(done.handle, "tiny_branch", cards_folder=cards)
    monkeypatch.setattr(registry, "cards_folder", lambda: cards)
    pinned = yaml.safe_load(path.read_text())["backbone_source"]
    total = sum(pin["size"] for pin in backbone.files.values())
    assert (pinned["commit"], pinned["size"]) == (backbone.commit, total)
    assert row(card("tiny_branch"))["size"].endswith(f"+ {total / 1e3:.0f} kB backbone")
    assert_same(load_preset("tiny_branch"), encoder)
    assert main(["presets", "verify", "tiny_branch", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["backbone"]["commit"] == backbone.commit


def test_a_branch_whose_backbone_is_gone_is_not_published(hub, branch):
    """Though it is in this machine's cache."""
    HfApi(**WRITER).delete_repo("org/backbone")
    with pytest.raises(HubRepoNotFoundError, match="no model repository 'org/backbone'"):
        publish(branch[0], "hf://org/branch", tag="v1", backbone="reference", **WRITER)
    assert not HfApi(**WRITER).repo_exists("org/branch")


def test_a_keras_file_in_a_repository_with_a_licence(hub, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(pinned_backbone, "_told", set())
    small_backbone().save(tmp_path / "backbone.keras")
    page = "---\nlicense: other\nlicense_name: dinov3-license\n---\n# A backbone\n"
    (tmp_path / "README.md").write_text(page)
    api = HfApi(**WRITER)
    api.create_repo("org/files")
    for name in ("backbone.keras", "README.md"):
        api.upload_file(path_or_fileobj=tmp_path / name, path_in_repo=name, repo_id="org/files")
    encoder = encoder_over("hf://org/files/backbone.keras")
    source = encoder.backbone_source
    assert source.handle == "hf://org/files/backbone.keras"
    assert source.files.keys() == {"backbone.keras"}
    assert source.licence == "dinov3-license"
    folder = encoder.save_to_preset(tmp_path / "branch", backbone="reference")
    assert_same(load_preset(folder, cache_dir=tmp_path / "empty"), encoder)
    assert "under the licence dinov3-license" in capsys.readouterr().err
    with pytest.raises(BackboneError, match="has no file 'other.keras'"):
        load_backbone("hf://org/files/other.keras")
    with pytest.raises(BackboneError, match=r"hf://org/name/FILE.keras"):
        load_backbone("hf://org/files")
