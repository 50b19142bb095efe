"""Publishing to a Hub, with the Hub's own client."""

import threading

import keras
import numpy as np
import pytest
from huggingface_hub import HfApi, ModelCard

from keras_cr.presets import (
    CorruptPresetError,
    HubAccessError,
    HubOfflineError,
    HubRepoNotFoundError,
    PresetError,
    PublishConflictError,
    PublishVerificationError,
    load_preset,
    publish,
    registry,
    save_preset,
    store_path,
)
from keras_cr.presets.manifest import FILES, fingerprint
from tests.presets.tiny import images, tiny_encoder

WRITER = {"token": "hf_writer"}


def commits(name="org/birds"):
    return [each.commit_id for each in HfApi(**WRITER).list_repo_commits(name)]


@pytest.mark.parametrize("hub", ["lfs", "xet"], indirect=True)
def test_what_was_published_is_what_is_loaded(hub, tmp_path):
    model = tiny_encoder()
    published = publish(model, "hf://org/birds", tag="v1", message="First", **WRITER)
    assert published.changed
    assert published.handle == "hf://org/birds@v1"
    assert commits()[0] == published.commit
    assert len(commits()) == 2, "the repository's first commit and one more"
    np.testing.assert_array_equal(load_preset("hf://org/birds@v1")(images()), model(images()))
    twin = load_preset("hf://org/birds", revision=published.commit)
    np.testing.assert_array_equal(twin(images()), model(images()))
    assert any("/xet-write-token/" in request["path"] for request in hub.log) == hub.xet


def test_the_same_files_make_no_new_commit(hub):
    model = tiny_encoder()
    first = publish(model, "hf://org/birds", tag="v1", **WRITER)
    again = publish(model, "hf://org/birds", tag="v1", **WRITER)
    assert (again.commit, again.changed) == (first.commit, False)
    other = publish(tiny_encoder(seed=1), "hf://org/birds", **WRITER)
    assert other.changed
    assert other.tag is None
    assert len(commits()) == 3


def test_a_tag_is_never_moved(hub):
    publish(tiny_encoder(), "hf://org/birds", tag="v1", **WRITER)
    before = commits()
    with pytest.raises(PublishConflictError, match="the tag 'v1' names commit .* choose a new tag"):
        publish(tiny_encoder(seed=1), "hf://org/birds", tag="v1", **WRITER)
    assert commits() == before


def test_a_folder_and_a_stored_name_with_their_page(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_CR_HOME", str(tmp_path / "home"))
    metrics = {"retrieval": {"rank1": 0.75}, "protocol": {"dataset": "birds | <b>", "seed": 0}}
    folder = save_preset(tiny_encoder(), store_path("my_birds"), metrics=metrics, licence="MIT")
    published = publish("my_birds", "hf://org/birds", **WRITER)
    assert published.files == {name: fingerprint(folder / name) for name in FILES}
    assert not publish(folder, "hf://org/birds", **WRITER).changed
    page = ModelCard.load("org/birds")
    assert page.data.license == "mit"
    assert page.data.eval_results[0].metric_value == 0.75
    assert "birds \\| &lt;b>" in page.text


def test_the_packaged_preset_by_its_name(hub):
    published = publish("demo_squeezenet", "hf://org/demo", tag="v1", **WRITER)
    card = registry.card("demo_squeezenet")
    assert published.files == card.files
    assert (
        f"{card.metrics['retrieval']['rank1']:.1%}".replace("%", " %")
        in ModelCard.load("org/demo").text
    )


def test_a_damaged_folder_is_refused_before_anything_is_sent(hub, tmp_path):
    folder = save_preset(tiny_encoder(), tmp_path / "preset")
    content = bytearray((folder / "model.weights.h5").read_bytes())
    content[-1] ^= 1
    (folder / "model.weights.h5").write_bytes(content)
    with pytest.raises(CorruptPresetError, match=r"model.weights.h5 is altered"):
        publish(folder, "hf://org/birds", **WRITER)
    assert hub.log == []


def test_private(hub):
    publish(tiny_encoder(), "hf://org/secret", private=True, **WRITER)
    with pytest.raises(HubRepoNotFoundError, match="or it is private"):
        load_preset("hf://org/secret")
    assert load_preset("hf://org/secret", token="hf_writer").built


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (None, "there is no token; pass token="),
        ("hf_reader", "the token of 'reader' may only read"),
        ("hf_other", "this token writes for other alone"),
        ("hf_bad", "the Hub refused the token .HTTP 401"),
    ],
)
def test_who_may_not_write(hub, token, message):
    with pytest.raises(HubAccessError, match=f"hf://org/birds: {message}"):
        publish(tiny_encoder(), "hf://org/birds", token=token)
    with pytest.raises(HubRepoNotFoundError):
        load_preset("hf://org/birds", token="hf_writer")


def test_no_network(hub):
    hub.__exit__()
    with pytest.raises(HubOfflineError, match="could not be published: the Hub cannot be reached"):
        publish(tiny_encoder(), "hf://org/birds", **WRITER)


@pytest.mark.parametrize(
    ("handle", "tag", "message"),
    [
        ("hf://org/birds@v1", None, "pass tag='v1'"),
        ("org/birds", None, "A Hub handle is"),
        ("hf://org/birds", "a b", "tag must be"),
    ],
)
def test_mistakes(hub, handle, tag, message):
    with pytest.raises(PresetError, match=message):
        publish(tiny_encoder(), handle, tag=tag, **WRITER)
    assert hub.log == []


def test_what_arrives_damaged_gets_no_tag(hub):
    hub.fault("GET", "/_cdn/", corrupt=True)
    with pytest.raises(PublishVerificationError, match="was uploaded, but .* altered"):
        publish(tiny_encoder(), "hf://org/birds", tag="v1", **WRITER)
    assert HfApi().list_repo_refs("org/birds").tags == []
    assert publish(tiny_encoder(), "hf://org/birds", tag="v1", **WRITER).tag == "v1"


def test_another_output_gets_no_tag(hub, monkeypatch):
    monkeypatch.setattr(
        "keras_cr.presets.load.load_preset", lambda folder, **_: tiny_encoder(seed=1)
    )
    with pytest.raises(PublishVerificationError, match="its output differs by"):
        publish(tiny_encoder(), "hf://org/birds", tag="v1", **WRITER)
    assert HfApi().list_repo_refs("org/birds").tags == []


def test_of_two_at_once_one_wins(hub, monkeypatch):
    """Both see the same state; then both commit."""
    both_have_seen = threading.Barrier(2)
    commit = HfApi.create_commit

    def wait_and_commit(self, *args, **kwargs):
        both_have_seen.wait(30)
        return commit(self, *args, **kwargs)

    monkeypatch.setattr(HfApi, "create_commit", wait_and_commit)
    HfApi(**WRITER).create_repo("org/birds")
    models, outcomes = [tiny_encoder(seed=seed) for seed in (0, 1)], [None, None]

    def publish_one(number):
        try:
            outcomes[number] = publish(models[number], "hf://org/birds", tag="v1", **WRITER)
        except PresetError as error:
            outcomes[number] = error

    threads = [threading.Thread(target=publish_one, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winner = next(number for number in (0, 1) if not isinstance(outcomes[number], PresetError))
    assert isinstance(outcomes[1 - winner], PublishConflictError)
    assert "somebody else published" in str(outcomes[1 - winner])
    assert len(commits()) == 2
    loaded = load_preset("hf://org/birds@v1")
    np.testing.assert_array_equal(loaded(images()), models[winner](images()))


def test_only_keras_cr_models(hub):
    with pytest.raises(PresetError, match="foreign class"):
        publish(keras.Sequential([keras.Input((2,))]), "hf://org/birds", **WRITER)
