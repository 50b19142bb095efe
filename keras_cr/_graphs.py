"""What TensorFlow keeps of a training that is over."""

import contextlib
import gc
import importlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def graphs_freed() -> Iterator[None]:
    """Frees, at its end, what was trained inside and is referred to by no one else.

    Keras' optimizers sum gradients over replicas by a `tf.custom_gradient`, even where there is
    one. TensorFlow enters a function of its graph under "CustomGradient-N" in the registry of
    gradients, which nothing leaves (2.21): with the graph stay network, twin, optimizer and what
    they hold, for as long as the process runs. A function that is entered inside is taken out: it
    is of use only while a gradient is taken through its graph.
    """
    known = set(_registry())
    try:
        yield
    finally:
        for name in set(_registry()) - known:
            if name.startswith("CustomGradient-"):
                del _registry()[name]
        keras.utils.clear_session()
        gc.collect()


def _registry() -> dict:
    """TensorFlow's gradients by name; an empty dict under another backend or where it is not."""
    if keras.backend.backend() != "tensorflow":
        return {}
    ops = importlib.import_module("tensorflow.python.framework.ops")
    return getattr(getattr(ops, "gradient_registry", None), "_registry", {})
