"""Our models as Keras itself builds, saves, loads and trains models."""

import keras
import numpy as np

from tests.case import images
from tests.interoperability.models import small_classifier, small_encoder


def test_an_encoder_inside_a_functional_model(tmp_path):
    encoder, batch, labels = small_encoder(), images(6), np.array([0, 1, 2, 0, 1, 2])
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(encoder(inputs)))
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
    before = encoder.get_weights()
    model.fit(batch, labels, verbose=0)
    same = [np.array_equal(old, new) for old, new in zip(before, encoder.weights, strict=True)]
    assert not any(same), "a step trains every weight and moves every statistic"

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.predict(batch, verbose=0)
    np.testing.assert_allclose(loaded.predict(batch, verbose=0), expected, atol=1e-4)
    for trained in (model, loaded):
        trained.fit(batch, labels, verbose=0)
    after = model.predict(batch, verbose=0)
    assert np.abs(after - expected).max() > 1e-2
    np.testing.assert_allclose(loaded.predict(batch, verbose=0), after, atol=1e-4)


def test_what_encode_gives_is_a_functional_model():
    encoder, batch = small_encoder(), images(3)
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, encoder.encode(inputs))
    outputs = model.predict(batch, verbose=0)
    for name, expected in encoder.encode(batch).items():
        np.testing.assert_allclose(outputs[name], expected, atol=1e-4, err_msg=name)


def test_keras_loads_a_presets_folder(tmp_path):
    classifier, batch = small_classifier(), images(3)
    classifier.save_to_preset(tmp_path / "preset")
    loaded = keras.saving.load_model(tmp_path / "preset")
    assert type(loaded) is type(classifier)
    np.testing.assert_allclose(loaded(batch), classifier(batch), atol=1e-4)


def test_keras_loads_a_preset_from_the_hub(tmp_path, monkeypatch):
    encoder, batch = small_encoder(), images(3)
    folder = encoder.save_to_preset(tmp_path / "preset")
    for name in ("README.md", ".gitattributes"):  # what a published repository holds besides
        (folder / name).write_text("---\n")
    asked = []

    def download(repo_id, **options):
        asked.append(repo_id)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    loaded = keras.saving.load_model("hf://org/birds")
    assert asked == ["org/birds"]
    for name, expected in encoder.encode(batch).items():
        np.testing.assert_allclose(loaded.encode(batch)[name], expected, atol=1e-4, err_msg=name)
