"""SavedModel, LiteRT and ONNX files, run by what runs them elsewhere."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr.models import CommonRationaleEncoder, ResNet, SqueezeNet
from tests.case import images
from tests.interoperability.models import small_classifier, small_encoder

ONNX = ("onnx", "onnxruntime", "tf2onnx")
missing = [name for name in ONNX if importlib.util.find_spec(name) is None]
needs_onnx = pytest.mark.skipif(
    bool(missing), reason=f"{', '.join(missing)} not installed: pip install keras-cr[dev]"
)
BATCHES = [images(number, size, seed=number) for number, size in ((1, 32), (3, 32), (4, 64))]


def assert_same(model, run, batches=BATCHES):
    """`run` gives the model's own outputs, whatever the number and the size of the images."""
    for batch in batches:
        np.testing.assert_allclose(run(batch), model(batch), atol=1e-4, err_msg=str(batch.shape))


def test_saved_model(tmp_path):
    encoder = small_encoder()
    encoder.export(tmp_path / "encoder", verbose=False)  # it has not been called yet
    artifact = tf.saved_model.load(tmp_path / "encoder")
    assert_same(encoder, artifact.serve)
    layer = keras.layers.TFSMLayer(tmp_path / "encoder", call_endpoint="serve")
    assert_same(encoder, layer)


def test_saved_model_of_one_image_size(tmp_path):
    classifier = small_classifier(image_size=32)
    classifier.export(tmp_path / "classifier", verbose=False)
    artifact = tf.saved_model.load(tmp_path / "classifier")
    assert_same(classifier, artifact.serve, BATCHES[:2])
    with pytest.raises(TypeError, match="None, 32, 32, 3"):
        artifact.serve(BATCHES[2])


def interpreters(path):
    """TensorFlow's own, without the delegate of its wheel, and LiteRT's where it is installed."""
    plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    yield tf.lite.Interpreter(str(path), experimental_op_resolver_type=plain)
    if importlib.util.find_spec("ai_edge_litert") is not None:
        from ai_edge_litert.interpreter import Interpreter

        yield Interpreter(str(path))


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
@pytest.mark.parametrize("pooling", ["concat", "rationale_vlad"])
def test_litert(tmp_path, pooling):
    encoder = small_encoder(pooling)
    encoder.export(tmp_path / "encoder.tflite", format="litert", verbose=False)
    for interpreter in interpreters(tmp_path / "encoder.tflite"):
        (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()

        def run(batch, interpreter=interpreter, given=given["index"], found=found["index"]):
            interpreter.resize_tensor_input(given, batch.shape)
            interpreter.allocate_tensors()
            interpreter.set_tensor(given, batch)
            interpreter.invoke()
            return interpreter.get_tensor(found)

        assert_same(encoder, run)


def onnx_session(path):
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@needs_onnx
@pytest.mark.parametrize(
    "model",
    [
        small_classifier,
        lambda: small_encoder(backbone=SqueezeNet(((2, 4),) * 3, width=4, seed=0)),
        lambda: small_encoder("rationale_vlad"),
    ],
    ids=["resnet classifier", "squeezenet encoder", "vocabulary"],
)
def test_onnx(model, tmp_path):
    model = model()
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    session = onnx_session(tmp_path / "model.onnx")
    (given,) = session.get_inputs()
    assert_same(model, lambda batch: session.run(None, {given.name: batch})[0])


@needs_onnx
def test_onnx_with_maps(tmp_path):
    encoder, batch = small_encoder(), images(3)
    inputs = keras.Input((None, None, 3))
    seen = encoder.encode(inputs)
    maps = keras.Model(inputs, {name: seen[name] for name in ("embedding", "rationale")})
    maps(batch)  # Keras exports a model of its own only after a call
    maps.export(tmp_path / "maps.onnx", format="onnx", verbose=False)
    session = onnx_session(tmp_path / "maps.onnx")
    names = [output.name for output in session.get_outputs()]
    outputs = session.run(None, {session.get_inputs()[0].name: batch})
    assert sorted(names) == ["embedding", "rationale"]
    for name, values in zip(names, outputs, strict=True):
        np.testing.assert_allclose(values, encoder.encode(batch)[name], atol=1e-4, err_msg=name)


@needs_onnx
def test_onnx_of_a_backbone_whose_layers_hold_arrays(tmp_path):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Normalization(mean=[1, 2, 3], variance=[4, 5, 6])(inputs)
    x = keras.layers.Conv2D(4, 3, activation="gelu")(x)  # exact: by Erfc, which ONNX has not
    encoder = small_encoder(backbone=keras.Model(inputs, x))
    encoder.export(tmp_path / "encoder.onnx", format="onnx", verbose=False)
    session = onnx_session(tmp_path / "encoder.onnx")
    assert [entry.name for entry in session.get_inputs()] == ["images"]
    assert_same(encoder, lambda batch: session.run(None, {"images": batch})[0])


@needs_onnx
def test_onnx_refuses_what_it_has_no_operation_for(tmp_path):
    inputs = keras.Input((None, None, 3))
    x = keras.ops.erfinv(keras.layers.Conv2D(4, 3)(inputs))
    encoder = small_encoder(backbone=keras.Model(inputs, x))
    with pytest.raises(ValueError, match="ONNX has no Erfinv, which layers.*'tf_saved_model'"):
        encoder.export(tmp_path / "encoder.onnx", format="onnx", verbose=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["litert", "onnx"])
def test_low_precision_is_refused_where_files_of_it_do_not_run(format, tmp_path):
    backbone = ResNet((1,), bottleneck=False, width=4, dtype="mixed_bfloat16")
    encoder = CommonRationaleEncoder(backbone, num_detectors=2)
    with pytest.raises(ValueError, match="'float32'.. Received: 'resnet' computes in bfloat16"):
        encoder.export(tmp_path / "encoder", format=format)
