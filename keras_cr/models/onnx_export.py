"""What an export to ONNX needs beside tf2onnx, and whether a file that came of it can run."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np


def teach_erfc() -> None:
    """Tells tf2onnx of TensorFlow's `Erfc`, which the exact GELU of most transformers comes to.

    ONNX has `Erf` alone, from opset 9; without this tf2onnx writes a file that no runtime opens.
    """
    try:
        from tf2onnx.handler import tf_op
    except ImportError:  # Keras says what is missing
        return

    @tf_op("Erfc")
    class Erfc:
        """1 - erf(x)."""

        @classmethod
        def version_9(cls, ctx, node, **kwargs):
            shapes, dtypes = node.output_shapes, node.output_dtypes
            name, output, given = node.name, node.output[0], node.input[0]
            ctx.remove_node(name)
            one = ctx.make_const(f"{name}_one", np.asarray(1, "float32")).output[0]
            erf = ctx.make_node("Erf", [given], shapes=shapes, dtypes=dtypes).output[0]
            ctx.make_node(
                "Sub", [one, erf], outputs=[output], name=name, shapes=shapes, dtypes=dtypes
            )


def check_onnx(path: Path, model: keras.Model, signature: Sequence) -> None:
    """Makes an ONNX file ask for images alone, and removes one that no runtime could open.

    Arrays that layers hold beside their weights (position ids, what `keras.layers.Normalization`
    subtracts) come out of tf2onnx as inputs without values; they get them here.

    Args:
        path: the file.
        model: what was exported.
        signature: the inputs it was exported with.

    Raises:
        ValueError: it has operations that ONNX has not, or inputs that aren't told from images.
    """
    import onnx

    written = onnx.load(path, load_external_data=False)
    known = {schema.name for schema in onnx.defs.get_all_schemas()}
    unknown = sorted({node.op_type for node in written.graph.node if not node.domain} - known)
    if unknown:
        path.unlink()
        raise ValueError(
            f"`format='onnx'`: ONNX has no {', '.join(unknown)}, which layers of the backbone come "
            "to; use `format='tf_saved_model'` or 'litert'."
        )
    entries = list(written.graph.input)[len(signature) :]
    if not entries:
        return
    arrays = _held_arrays(model, signature)
    if [_shape_of(entry) for entry in entries] != [array.shape for array in arrays]:
        path.unlink()
        raise ValueError(
            "A layer's arrays became inputs of the ONNX file, and can't be told apart: use "
            f"`format='tf_saved_model'`. Received: inputs {[entry.name for entry in entries]}"
        )
    for entry, array in zip(entries, arrays, strict=True):
        written.graph.input.remove(entry)
        written.graph.initializer.append(onnx.numpy_helper.from_array(array, entry.name))
    onnx.save(written, path)


def _held_arrays(model: keras.Model, signature: Sequence) -> list[np.ndarray]:
    """What a trace of the model takes from outside and is no weight, in the order of its use."""
    import tensorflow as tf

    specs = [tf.TensorSpec(each.shape, each.dtype) for each in signature]
    traced = tf.function(lambda *inputs: model(*inputs, training=False))
    captured = traced.get_concrete_function(*specs).captured_inputs
    return [each.numpy() for each in captured if each.dtype != tf.resource]


def _shape_of(entry) -> tuple[int, ...]:
    return tuple(side.dim_value for side in entry.type.tensor_type.shape.dim)
