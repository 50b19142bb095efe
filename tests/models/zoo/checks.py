"""What an adapted backbone has to do, for the tests and for the table in docs/backbones.md."""

import keras
import numpy as np

from keras_cr import CommonRationaleEncoder
from keras_cr.models.adapted_backbone import own_positions
from keras_cr.rationale import Neighbours, Rationale, fit_rationale
from tests.models.zoo.cases import Case

NUMBER = 8


def told(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def images_of(case: Case, number: int = NUMBER) -> np.ndarray:
    """Random blobs with a bright left half in every other image, RGB 0..255."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 127, (number, 5, 5, 3))
    fine = np.kron(coarse, np.ones((1, -(-case.size // 5), -(-case.size // 5), 1)))
    fine = fine[:, : case.size, : case.size].astype("float32")
    fine[::2, :, : case.size // 2] += 128
    return np.rint(fine)


def build(case: Case) -> keras.Model:
    """The backbone, seeded, with position embeddings that differ from place to place.

    Not DINOv2's: KerasHub loses changes of what it has interpolated, see `own_positions`.
    """
    keras.utils.set_random_seed(0)
    model = case.build()
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "position_embed" in weight.path and not own_positions(model):
            weight.assign(rng.normal(0, 0.5, weight.shape))
    return model


def loaded(case: Case, model: keras.Model, folder) -> CommonRationaleEncoder:
    """An encoder of the backbone, saved as its own package does and loaded by `from_backbone`."""
    options = {"num_detectors": 2, "seed": 0}
    if case.package == "keras_hub":
        model.save_to_preset(str(folder / "hub"))
        return CommonRationaleEncoder.from_backbone(folder / "hub", **options)
    model.save(folder / "backbone.keras")
    return CommonRationaleEncoder.from_backbone(folder / "backbone.keras", **options)


def check_map(case: Case, model: keras.Model, encoder: CommonRationaleEncoder) -> None:
    """The map is the model's own output for images that its own package preprocesses."""
    images = images_of(case, 2)
    expected = case.expected(model, images)
    found = keras.ops.convert_to_numpy(encoder.feature_map(images))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def check_places(case: Case, encoder: CommonRationaleEncoder) -> None:
    """A changed corner of the images changes the map most where that corner is."""
    before = images_of(case, 1)
    after, corner = before.copy(), case.size // 4
    after[:, :corner, -corner:] = 255 - after[:, :corner, -corner:]
    maps = [keras.ops.convert_to_numpy(encoder.feature_map(each)) for each in (before, after)]
    change = np.abs(maps[1] - maps[0]).sum(axis=(0, -1))
    row, column = np.unravel_index(change.argmax(), change.shape)
    assert row < change.shape[0] / 4
    assert column >= 3 * change.shape[1] / 4


def check_fit(case: Case, encoder: CommonRationaleEncoder) -> None:
    """The branch is fitted and the backbone left alone."""
    before = [np.asarray(weight) for weight in encoder.backbone.weights]
    branch = [np.asarray(weight) for weight in encoder.branch.weights]
    rationale = Rationale(Neighbours(k=2))
    options = {"rounds": 1, "epochs": 1, "batch_size": NUMBER, "verbose": 0}
    last = fit_rationale(encoder, images_of(case), rationale, **options)[-1]
    assert np.isfinite(list(last.values())).all()
    for weight, value in zip(encoder.backbone.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert any(
        (np.asarray(w) != v).any() for w, v in zip(encoder.branch.weights, branch, strict=True)
    )


def check_pretrain(case: Case, encoder: CommonRationaleEncoder) -> None:
    """A step of MoCo beside a rationale moves the weights of the backbone."""
    import tensorflow as tf

    from keras_cr.pretraining import MoCo

    images = images_of(case)
    pretrainer = MoCo(encoder, rationale=Rationale(), queue_size=16)
    pretrainer.compile(keras.optimizers.SGD(0.1))
    before = [np.asarray(weight) for weight in encoder.backbone.trainable_weights]
    batch = {
        "query": images,
        "key": images[:, :, ::-1],
        "image": images,
        "index": np.arange(NUMBER),
    }
    logs = pretrainer.fit(tf.data.Dataset.from_tensors(batch), verbose=0).history
    assert all(np.isfinite(values).all() for values in logs.values())
    after = encoder.backbone.trainable_weights
    moved = [(np.asarray(w) != v).any() for w, v in zip(after, before, strict=True)]
    assert np.mean(moved) > 0.5, f"{sum(moved)} of {len(moved)} weights have moved"


def check_preset(case: Case, encoder: CommonRationaleEncoder, folder) -> None:
    """As a preset the encoder gives the same embeddings again."""
    images = images_of(case, 3)
    encoder.save_to_preset(folder / "preset")
    again = CommonRationaleEncoder.from_preset(folder / "preset")
    np.testing.assert_allclose(again(images), encoder(images), rtol=1e-6, atol=1e-7)


def check_reload(case: Case, encoder: CommonRationaleEncoder, folder) -> None:
    """As a preset and as a .keras file, the encoder gives the same embeddings again."""
    check_preset(case, encoder, folder)
    images = images_of(case, 3)
    encoder.save(folder / "encoder.keras")
    again = keras.saving.load_model(folder / "encoder.keras")
    np.testing.assert_allclose(again(images), encoder(images), rtol=1e-6, atol=1e-7)
    fresh = CommonRationaleEncoder.from_preset(folder / "preset", load_weights=False)
    assert fresh(images).shape == again(images).shape


def check_export(case: Case, encoder: CommonRationaleEncoder, folder, format: str) -> None:
    """A file of another format gives the encoder's embeddings."""
    images = images_of(case, 3)
    path = folder / {"litert": "encoder.tflite", "onnx": "encoder.onnx"}.get(format, "saved")
    encoder.export(path, format=format, verbose=False)
    found = {"litert": _litert, "onnx": _onnx}.get(format, _saved_model)(path, images)
    np.testing.assert_allclose(found, encoder(images), rtol=1e-3, atol=1e-4)


def _saved_model(path, images):
    import tensorflow as tf

    model = tf.saved_model.load(str(path))
    return model.serve(images)


def _litert(path, images):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    entry = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(entry, images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry, images)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _onnx(path, images):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})[0]
