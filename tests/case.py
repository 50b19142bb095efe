"""Checks that every layer, loss or pretrainer has to pass; a new one's test is ten lines."""

import pathlib
import re

import keras
import numpy as np
from keras import ops

from keras_cr.models import CommonRationaleEncoder

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16", "bfloat16", "float64")


def tiny_backbone(image_size=None, channels=8, dtype=None):
    """Four 3x3 convolutions to a map of stride 8: a network that trains in milliseconds."""
    layers = [keras.Input((image_size, image_size, 3)), keras.layers.Rescaling(1 / 255)]
    for number, width in enumerate((4, 4, channels)):
        layers.append(
            keras.layers.Conv2D(
                width,
                3,
                strides=2,
                padding="same",
                activation="relu",
                kernel_initializer=keras.initializers.HeNormal(seed=number),
                dtype=dtype,
            )
        )
        layers.append(keras.layers.BatchNormalization(momentum=0.8, dtype=dtype))
    return keras.Sequential(layers, name="tiny")


def tiny_encoder(num_detectors=2, pooling="rationale", channels=8, dtype=None, **options):
    return CommonRationaleEncoder(
        tiny_backbone(channels=channels, dtype=dtype),
        num_detectors=num_detectors,
        pooling=pooling,
        seed=0,
        dtype=dtype,
        **options,
    )


def images(number=4, size=32, seed=0):
    """Random blobs, RGB 0..255."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (number, size // 8, size // 8, 3))
    return np.kron(coarse, np.ones((1, 8, 8, 1))).astype("float32")


def run_layer_test(cls, init, inputs, output_shape, output_dtype=None, weights=None):
    """Build, shapes, dtypes under every policy, config and weights round trip, symbolic call.

    Args:
        cls: the layer's class.
        init: its keywords.
        inputs: list of arrays to call it with.
        output_shape: expected shape.
        output_dtype: expected dtype under every 16- and 32-bit policy; None: the compute dtype.
        weights: expected `(trainable, non-trainable)` counts.
    """
    for policy in POLICIES:
        layer = cls(**init, dtype=policy)
        outputs = layer(*inputs)
        expected = output_dtype or layer.compute_dtype
        expected = "float64" if policy == "float64" and output_dtype else expected
        assert tuple(outputs.shape) == tuple(output_shape), policy
        assert keras.backend.standardize_dtype(outputs.dtype) == expected, policy
        assert np.all(np.isfinite(ops.convert_to_numpy(ops.cast(outputs, "float32")))), policy

    layer = cls(**init)
    outputs = ops.convert_to_numpy(layer(*inputs))
    if weights is not None:
        counts = (len(layer.trainable_variables), len(layer.non_trainable_variables))
        assert counts == weights

    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    twin(*inputs)
    twin.set_weights(layer.get_weights())
    np.testing.assert_allclose(outputs, ops.convert_to_numpy(twin(*inputs)), rtol=1e-6, atol=1e-7)

    symbolic = [keras.Input(array.shape[1:], dtype=str(array.dtype)) for array in inputs]
    model = keras.Model(symbolic, layer(*symbolic))
    assert model.output_shape[1:] == tuple(output_shape)[1:]
    np.testing.assert_allclose(outputs, model.predict(inputs, verbose=0), rtol=1e-5, atol=1e-6)


def run_loss_test(loss, y_true, y_pred, expected, rtol=1e-5):
    """The value, every reduction, the config round trip, and low-precision inputs."""
    np.testing.assert_allclose(float(loss(y_true, y_pred)), expected, rtol=rtol)
    twin = type(loss).from_config(loss.get_config())
    assert float(twin(y_true, y_pred)) == float(loss(y_true, y_pred))
    config = loss.get_config()
    each = ops.convert_to_numpy(type(loss)(**(config | {"reduction": "none"}))(y_true, y_pred))
    assert each.shape == (len(y_true),)
    for reduction, reduced in (("sum", each.sum()), ("mean", each.mean())):
        value = type(loss)(**(config | {"reduction": reduction}))(y_true, y_pred)
        np.testing.assert_allclose(float(value), reduced, rtol=rtol)
    low = [ops.cast(array, "bfloat16") for array in (y_true, y_pred)]
    assert keras.backend.standardize_dtype(loss(*low).dtype) == "float32"


def run_pretrainer_test(make, batch, tmp_path):
    """Trains, saves, loads, goes on as if nothing had happened; two runs are the same.

    Args:
        make: builds a fresh, compiled pretrainer.
        batch: a dict with `query`, `key` and `index`, small enough for one step.
        tmp_path: a folder to write to.
    """
    import tensorflow as tf

    views = tf.data.Dataset.from_tensors(batch).repeat(3)
    first, second = make(), make()
    for one, other in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    first.make_train_function()  # which builds the optimizer
    state = [*first.variables, *first.optimizer.variables]
    fresh = [np.array(variable) for variable in state]
    history = first.fit(views, epochs=2, verbose=0).history
    for variable, value in zip(state, fresh, strict=True):
        variable.assign(value)
    assert history == first.fit(views, epochs=2, verbose=0).history  # in the same graph: quicker
    assert all(np.isfinite(values).all() for values in history.values())
    assert {"loss", "ssl_loss", "embedding_std"} <= set(history)

    first.save(tmp_path / "pretrainer.keras")
    loaded = keras.saving.load_model(tmp_path / "pretrainer.keras")
    for before, after in zip(first.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(before, after)
    more = []
    for model in (first, loaded):  # as by hand: tracing a graph is what takes long
        model.run_eagerly, model.train_function = True, None
        model.reset_metrics()
        more.append([model.train_on_batch(batch, return_dict=True) for _ in range(2)])
    assert more[0] == more[1]
    for one, other in zip(first.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    embedding = first.encoder(batch["query"])
    np.testing.assert_allclose(loaded.predict(batch["query"], verbose=0), embedding, atol=1e-6)


def run_example(page, name):
    """Runs, word for word, the Python block of a page in docs/ that defines the class `name`."""
    text = (pathlib.Path(__file__).parents[1] / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (code,) = [block for block in blocks if f"class {name}" in block]
    exec(compile(code, page, "exec"), {"__name__": "__main__"})
