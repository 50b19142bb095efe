"""A training's graph, and all it holds, goes with the training."""

import gc

import keras
import numpy as np
from tensorflow.python.framework.func_graph import FuncGraph

from keras_cr._graphs import graphs_freed


def fitted():
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 3)), np.ones((8, 2)), verbose=0)
    return model


def graphs() -> int:
    gc.collect()
    return sum(isinstance(each, FuncGraph) for each in gc.get_objects())


def test_what_was_trained_goes():
    with graphs_freed():
        fitted()  # what was traced by the first of all trainings, and for all
    before = graphs()
    with graphs_freed():
        fitted()
    assert graphs() == before


def test_one_that_is_referred_to_stays_and_trains_on():
    with graphs_freed():
        model = fitted()
    gc.collect()
    before = model.get_weights()[0]
    model.fit(np.ones((8, 3)), np.ones((8, 2)), verbose=0)
    assert np.abs(model.get_weights()[0] - before).max() > 0
