"""preset.json vouches for itself: no byte of it changes unseen, and no entry of it is unknown."""

import json
import shutil

import pytest

from keras_cr.presets import (
    CorruptPresetError,
    PresetError,
    card,
    load_preset,
    save_preset,
    verify_preset,
)
from keras_cr.presets.manifest import Located, read_manifest, sealed
from tests.presets.tiny import tiny_encoder


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_preset(tiny_encoder(), tmp_path_factory.mktemp("seal") / "preset", name="vögel")


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "preset")


def content_of(folder):
    content = json.loads((folder / "preset.json").read_text())
    return {name: value for name, value in content.items() if name != "sha256"}


def refused(folder, data):
    (folder / "preset.json").write_bytes(data)
    with pytest.raises(PresetError) as caught:
        read_manifest(Located(folder, "Preset 'it'"))
    assert "\n" not in str(caught.value)
    return caught.value


def test_every_flipped_bit_is_refused(folder):
    data = (folder / "preset.json").read_bytes()
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            refused(folder, bytes(changed))


def test_every_other_digit_and_every_lost_or_added_byte_is_refused(folder):
    data = (folder / "preset.json").read_bytes()
    for place in range(len(data)):
        for put in (b"", b"1", b" ", b"\n", bytes([data[place]]) * 2):
            changed = data[:place] + put + data[place + 1 :]
            if changed != data:
                refused(folder, changed)


def test_what_is_altered_is_told(folder):
    data = (folder / "preset.json").read_bytes()
    error = refused(folder, data.replace("vögel".encode(), b"birds"))
    assert isinstance(error, CorruptPresetError)
    assert "preset.json is altered: its sha256" in str(error)
    assert "save the preset again or get a fresh copy" in str(error)


def test_the_same_entries_in_another_layout_are_refused(folder):
    content = json.loads((folder / "preset.json").read_text())
    refused(folder, json.dumps(content).encode())
    refused(folder, json.dumps(content, indent=2).encode())


@pytest.mark.parametrize("seal", [None, 5, "", "0" * 64, ["a"]])
def test_a_preset_of_the_new_format_without_a_seal_is_refused(folder, seal):
    content = content_of(folder) | ({} if seal is None else {"sha256": seal})
    assert "is altered" in str(refused(folder, json.dumps(content).encode()))


def test_a_seal_in_the_old_format_is_refused(folder):
    data = (folder / "preset.json").read_bytes().replace(b'"format": 2', b'"format": 1')
    assert "'sha256', an entry that format 1 has not" in str(refused(folder, data))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"x": 1}, "'x', an entry"),
        ({"format": True}, "a format's number"),
        ({"format": 0}, "a format from 1 to 5"),
        ({"format": 2.0}, "a format's number"),
        ({"class": ["a"]}, "text as 'class'"),
        ({"name": 3}, "text or null as 'name'"),
        ({"keras": "3\n"}, "a version"),
        ({"parameters": -1}, "a count"),
        ({"parameters": True}, "a count"),
        ({"metrics": [1]}, "a dict as 'metrics'"),
        ({"files": {}}, "the sha256 and size"),
        ({"files": {"config.json": {"sha256": "0" * 64, "size": 1}}}, "the sha256 and size"),
    ],
)
def test_entries_that_are_unknown_or_wrong(folder, change, told):
    """Refused in the old format, which has no seal, and not written in the new one."""
    content = content_of(folder)
    found = str(refused(folder, json.dumps(content | {"format": 1} | change).encode()))
    assert told in found or "is altered" in found
    with pytest.raises(PresetError, match="preset.json"):
        sealed(content | change)


@pytest.mark.parametrize(
    "text",
    [
        '{"format": 1, "format": 1}',
        '{"format": NaN}',
        '{"format": -Infinity}',
        '{"format": 1e999}',
        f'{{"format": 1{"0" * 30}}}',
        f'{{"format": {"9" * 5000}}}',
        "[" * 100_000,
        '{"a":' * 150 + "1" + "}" * 150,
        '{"a": "\\ud800"}',
        '\ufeff{"format": 1}',
    ],
)
def test_json_that_is_ambiguous_or_outsized(folder, text):
    assert "preset.json cannot be read" in str(refused(folder, text.encode()))


def test_presets_of_the_old_format_load(folder):
    content = content_of(folder) | {"format": 1}
    (folder / "preset.json").write_text(json.dumps(content))
    assert load_preset(folder).built
    few = {name: content[name] for name in ("format", "class", "files")}
    (folder / "preset.json").write_text(json.dumps(few))
    assert load_preset(folder).built


def test_the_packaged_preset_is_sealed(tmp_path):
    folder = shutil.copytree(card("demo_squeezenet").folder, tmp_path / "copy")
    assert verify_preset(folder)[1]["format"] == 2
    data = (folder / "preset.json").read_bytes()
    refused(folder, data.replace(b"0.94", b"0.95", 1))


def test_zeros_in_an_entry_do_not_confuse_the_seal(folder):
    content = content_of(folder) | {"extra": {"zeros": "0" * 64}}
    (folder / "preset.json").write_bytes(sealed(content))
    assert read_manifest(Located(folder, "it")) == content
