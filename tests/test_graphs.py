import gc
import weakref

import keras
import numpy as np

from keras_cr._graphs import graphs_freed


def fitted():
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 3)), np.ones((8, 2)), verbose=0)
    return model


def test_a_model_that_was_trained_goes():
    with graphs_freed():
        gone = weakref.ref(fitted())
    assert gone() is None


def test_one_that_is_referred_to_stays_and_trains_on():
    with graphs_freed():
        model = fitted()
    gc.collect()
    before = model.get_weights()[0]
    model.fit(np.ones((8, 3)), np.ones((8, 2)), verbose=0)
    assert np.abs(model.get_weights()[0] - before).max() > 0
