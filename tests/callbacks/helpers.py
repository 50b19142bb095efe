"""What the callbacks' tests share."""

import keras
import pytest


class ColorEncoder(keras.Model):
    """An encoder with known answers: the embedding is the mean colour, plain pooling a corner's."""

    def __init__(self, image_size=None):
        super().__init__()
        self.image_size = image_size
        self.built = True

    def encode(self, images):
        images = keras.ops.cast(images, "float32")
        return {
            "embedding": keras.ops.mean(images, axis=(1, 2)),
            "average_embedding": images[:, 0, 0],
            "rationale": images[:, ::2, ::2, 0] / 256,
        }


def begin(callback, model, epochs=10):
    """Puts a callback into the state in which `fit` calls it."""
    callback.set_params({"epochs": epochs})
    callback.set_model(model)
    callback.on_train_begin()
    return callback


def read_events(folder):
    """What TensorBoard reads in a log folder: `{tag: [(step, tensor), ...]}`."""
    pytest.importorskip("tensorboard", reason="needs TensorBoard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(event.step, make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
    }
