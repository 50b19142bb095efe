"""Each way in which a preset can be wrong has its own clear error."""

import json

import h5py
import pytest

from keras_cr.models import CommonRationaleEncoder
from keras_cr.presets import (
    CorruptPresetError,
    ForeignPresetError,
    HubOfflineError,
    IncompatiblePresetError,
    NewerPresetError,
    PresetError,
    UnknownPresetError,
    UnpublishedPresetError,
    WrongClassError,
    load_preset,
    save_preset,
    store_path,
)
from keras_cr.presets.manifest import FORMAT, fingerprint, sealed
from tests.presets.tiny import OtherModel, TinyEncoder, tiny_encoder


@pytest.fixture
def folder(tmp_path):
    return save_preset(tiny_encoder(), tmp_path / "preset")


def edit_json(folder, name, change):
    """Changes a JSON file, and the sums of it that are written down."""
    content = json.loads((folder / name).read_text())
    content.pop("sha256", None)
    change(content)
    if name == "preset.json":
        (folder / name).write_bytes(sealed(content))
    else:
        (folder / name).write_text(json.dumps(content))
        sign(folder, name)


def sign(folder, name):
    edit_json(
        folder, "preset.json", lambda c: c["files"].update({name: fingerprint(folder / name)})
    )


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_flipped_byte(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(CorruptPresetError, match=rf"{name} is altered: its sha256.*fresh copy"):
        load_preset(folder)


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_truncated(folder, name):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:-1])
    message = rf"{name} is truncated or altered: {len(data) - 1} bytes instead of {len(data)}"
    with pytest.raises(CorruptPresetError, match=message):
        load_preset(folder)


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_missing_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(CorruptPresetError, match=rf"{name} is missing"):
        load_preset(folder)


def test_not_a_preset(folder):
    (folder / "preset.json").unlink()
    with pytest.raises(ForeignPresetError, match=r"not a keras_cr preset: it holds no preset.json"):
        load_preset(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": "1"}', "\x00\xff"])
def test_damaged_preset_json(folder, text):
    (folder / "preset.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CorruptPresetError, match=r"preset.json (cannot be read|must hold)"):
        load_preset(folder)


def test_newer_format(folder):
    content = json.loads((folder / "preset.json").read_text())
    content |= {"format": FORMAT + 1, "keras_cr": "9.0.0", "an": "entry"}
    (folder / "preset.json").write_text(json.dumps(content))
    with pytest.raises(NewerPresetError, match=r"format 6 by keras_cr 9.0.0.*--upgrade keras-cr"):
        load_preset(folder)


@pytest.mark.parametrize("name", ["evil>Model", "keras_cr>NoSuchModel", None])
def test_foreign_class(folder, name):
    edit_json(folder, "config.json", lambda c: c.update(registered_name=name, class_name="Evil"))
    with pytest.raises(ForeignPresetError, match=f"foreign class {name or 'Evil'!r}"):
        load_preset(folder)


def test_foreign_class_inside(folder):
    def change(config):
        config["config"]["backbone"] = {
            "module": "os",
            "class_name": "system",
            "config": {"command": "true"},
            "registered_name": None,
        }

    edit_json(folder, "config.json", change)
    with pytest.raises(ForeignPresetError, match="foreign class 'system'"):
        load_preset(folder)


def test_lambda_inside(folder):
    code = {"class_name": "__lambda__", "config": {"value": ""}}
    edit_json(folder, "config.json", lambda c: c["config"].update(backbone=code))
    with pytest.raises(ForeignPresetError, match="Python code is not loaded"):
        load_preset(folder)


def test_class_in_preset_json_differs(folder):
    edit_json(folder, "preset.json", lambda c: c.update({"class": "keras_cr>OtherModel"}))
    with pytest.raises(CorruptPresetError, match=r"speaks of 'keras_cr>OtherModel'"):
        load_preset(folder)


def test_wrong_expected_class(folder):
    with pytest.raises(WrongClassError, match=r"a TinyEncoder, not a OtherModel"):
        load_preset(folder, expected=OtherModel)
    with pytest.raises(WrongClassError, match="not a OtherModel or CommonRationaleEncoder"):
        load_preset(folder, expected=(OtherModel, CommonRationaleEncoder))
    with pytest.raises(WrongClassError, match=r"TinyEncoder.from_preset"):
        CommonRationaleEncoder.from_preset(folder)
    assert load_preset(folder, expected=(OtherModel, TinyEncoder)).built


def test_config_that_builds_nothing(folder):
    edit_json(folder, "config.json", lambda c: c["config"].update(wings=2))
    with pytest.raises(IncompatiblePresetError, match=r"no model can be built.*wings"):
        load_preset(folder)


def test_weights_that_do_not_fit(folder):
    edit_json(folder, "config.json", lambda c: c["config"].update(units=5))
    with pytest.raises(IncompatiblePresetError, match=r"does not fit the model in config.json"):
        load_preset(folder)


@pytest.mark.parametrize("damage", ["group", "garbage"])
def test_weights_that_are_not_there(folder, damage):
    path = folder / "model.weights.h5"
    if damage == "group":
        with h5py.File(path, "a") as file:
            del file["head"]
    else:
        path.write_bytes(b"no HDF5")
    sign(folder, path.name)
    with pytest.raises(IncompatiblePresetError, match=r"does not fit the model in config.json"):
        load_preset(folder)


def test_unknown_name_with_close_matches():
    with pytest.raises(UnknownPresetError, match=r"'cub_resnet5'; did you mean 'cub_resnet50'"):
        load_preset("cub_resnet5")
    save_preset(tiny_encoder(), store_path("my_birds"))
    with pytest.raises(UnknownPresetError, match="did you mean 'my_birds'"):
        load_preset("my_bird")
    with pytest.raises(UnknownPresetError, match=r"'zzz'; known names: .*'my_birds'"):
        load_preset("zzz")
    with pytest.raises(UnknownPresetError, match="'Cub ResNet'"):
        load_preset("Cub ResNet")


def test_unpublished_card():
    with pytest.raises(UnpublishedPresetError) as caught:
        load_preset("cub_resnet50")
    message = str(caught.value)
    for part in (
        "no weights are published yet",
        "`python recipes/train_cub.py --backbone resnet50`",
        str(store_path("cub_resnet50")),
        "hf://org/name",
    ):
        assert part in message
    assert "\n" not in message


def test_no_such_folder(tmp_path):
    with pytest.raises(UnknownPresetError, match="No preset folder at"):
        load_preset(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("text", "handle"),
    [
        ("org/name", "hf://org/name"),
        ("org/name@v1", "hf://org/name@v1"),
        ("https://huggingface.co/org/name", "hf://org/name"),
        ("hf:org/name", "hf://org/name"),
    ],
)
def test_what_looks_like_a_handle_is_told_how_to_be_one(text, handle):
    with pytest.raises(PresetError, match=f"'{handle}'"):
        load_preset(text)
    with pytest.raises(PresetError, match=f"Use '{handle.split('@')[0]}@v2'"):
        load_preset(text, revision="v2")


@pytest.mark.parametrize("text", ["./org/name", "a/b/c", "/org/name", "~/name", "../name"])
def test_what_is_a_path_is_not(text):
    with pytest.raises(UnknownPresetError, match=r"check the path\.$"):
        load_preset(text)


def test_arguments(folder):
    with pytest.raises(TypeError, match="revison"):
        load_preset(folder, revison="main")
    with pytest.raises(PresetError, match=r"revision applies only to hf:// handles.*'v1'"):
        load_preset(folder, revision="v1")
    with pytest.raises(PresetError, match="revision applies only to hf:// handles"):
        load_preset("cub_resnet50", revision="v1")
    for nothing in (None, "", 3):
        with pytest.raises(PresetError, match=f"name_or_handle must be.*{nothing!r}"):
            load_preset(nothing)
    for name in ("a/b", "../a", "A", "", ".hidden", "a\n", None):
        with pytest.raises(PresetError, match="name must be lower-case letters"):
            store_path(name)
    assert load_preset(folder, token=False, cache_dir=None, local_files_only=True).built


@pytest.mark.parametrize("handle", ["hf://org", "hf://a/b/c", "hf://org/name@", "hf://org/na me"])
def test_invalid_handle(handle):
    with pytest.raises(PresetError, match=r"'hf://org/name\[@revision\]'; received"):
        load_preset(handle)


def test_handles_that_contradict_or_are_unknown():
    with pytest.raises(PresetError, match=r"'v1' in the handle, revision='v2'"):
        load_preset("hf://org/name@v1", revision="v2")
    with pytest.raises(PresetError, match="only 'hf://' handles are known"):
        load_preset("kaggle://org/name")


def test_hub_is_not_asked_with_local_files_only(tmp_path):
    with pytest.raises(HubOfflineError, match=r"hf://org/name@v1 is not in the cache.*once"):
        load_preset("hf://org/name@v1", cache_dir=tmp_path, local_files_only=True)


LOOP = {}
LOOP["again"] = LOOP


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (LOOP, "extra: again: .* has more than 100 levels, or holds itself"),
        ({"k": "\ud800"}, "extra: k holds half of a character"),
        ({"\ud800": 1}, "extra has a key that holds half of a character"),
        ({"k": 10**5000}, "extra: k has more than 64 bits"),
    ],
)
def test_what_json_can_not_hold_is_named(tmp_path, extra, message):
    with pytest.raises(PresetError, match=message) as error:
        save_preset(tiny_encoder(), tmp_path / "preset", extra=extra)
    assert len(str(error.value)) < 300
    assert not (tmp_path / "preset").exists()


@pytest.mark.parametrize(
    "name", ["x" * 5000, "x" * 250, "./" + "x" * 300, "a\nb", "hf://" + "x" * 4090]
)
def test_odd_names_are_told_in_a_short_line(name):
    with pytest.raises(PresetError) as error:
        load_preset(name)
    assert len(str(error.value)) < 400
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("folder", "message"),
    [(None, "must be a path; received None"), ("x" * 300, "can't be found: ")],
)
def test_where_nothing_can_be_saved(folder, message):
    with pytest.raises(PresetError, match=f"folder {message}") as error:
        save_preset(tiny_encoder(), folder)
    assert len(str(error.value)) < 200


def test_files_that_no_save_has_left_are_told(folder):
    moving = folder / ".keras-cr.moving"
    moving.mkdir()
    (moving / "notes.txt").touch()
    with pytest.raises(PresetError, match="keras-cr.moving', which no save .* remove it"):
        load_preset(folder)
    with pytest.raises(OSError, match="remove it: .*keras-cr.moving'"):
        save_preset(tiny_encoder(), folder)
    assert (moving / "notes.txt").exists()
