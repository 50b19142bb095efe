"""Images that are too small for a backbone are met before it runs: TensorFlow would not survive."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr import CommonRationaleClassifier, CommonRationaleEncoder
from keras_cr.cli import main
from keras_cr.cli._explainer import Explainer
from keras_cr.data import synthetic_birds
from keras_cr.evaluation import embed, evaluate
from keras_cr.models import SqueezeNet
from keras_cr.models.map_size import MapSize
from keras_cr.pretraining import Neighbours, Rationale, fit_rationale
from tests.case import images

MESSAGE = r"^A rationale weighs.*this map has none. Use larger images.*no map for images of \({}\)$"

ONE = Rationale(Neighbours(k=1))


def encoder():
    """Smaller than `demo_squeezenet`, with the same strides: no map below 29 pixels."""
    return CommonRationaleEncoder(SqueezeNet(((2, 4),) * 6, width=4, seed=0), num_detectors=1)


def ways():
    return {
        "call": lambda e, x: e(x),
        "encode": lambda e, x: e.encode(x),
        "feature_map": lambda e, x: e.feature_map(x),
        "predict": lambda e, x: e.predict(x, verbose=0),
        "embed": embed,
        "fit_rationale": lambda e, x: fit_rationale(
            e, x, Rationale(Neighbours(k=1)), rounds=1, epochs=1
        ),
        "classifier": lambda e, x: CommonRationaleClassifier(e, 2)(x),
        "functional": lambda e, x: e(keras.Input(x.shape[1:])),
    }


@pytest.mark.parametrize("way", ways())
def test_images_without_a_map(way):
    model = encoder()
    for height, width in ((16, 16), (28, 224), (224, 8), (1, 1)):
        with pytest.raises(ValueError, match=MESSAGE.format(f"{height}, {width}")):
            ways()[way](model, np.zeros((3, height, width, 3), "float32"))
    ways()[way](model, images(6, 64))


def test_after_larger_images_have_been_traced():
    model = encoder()
    for size in (64, 48):  # now Keras traces for any size
        model.predict_on_batch(images(2, size))
        embed(model, images(2, size))
    for call in (model.predict_on_batch, lambda x: embed(model, x), Explainer(model).explain):
        with pytest.raises(ValueError, match="Use larger images"):
            call(images(2, 16))


def test_evaluate_and_explain(tmp_path, capsys):
    birds = synthetic_birds(2, 2, 2, 32)
    model = encoder()
    with pytest.raises(ValueError, match=MESSAGE.format("16, 16")):
        evaluate(model, birds, image_size=16)
    model.save_to_preset(tmp_path / "preset")
    photo = tmp_path / "photo.png"
    keras.utils.save_img(photo, birds.images[0])
    command = [str(photo), "--preset", str(tmp_path / "preset"), "--image-size", "16"]
    for name in ("explain", "embed"):
        output = tmp_path / ("out" if name == "explain" else "out.npz")
        assert main([name, *command, "-o", str(output)]) == 1
        said = capsys.readouterr().err
        assert "Use larger images" in said
        assert not output.exists()


def test_at_construction():
    for size in (16, (16, 224)):
        with pytest.raises(ValueError, match="Use larger images"):
            CommonRationaleEncoder(SqueezeNet(((2, 4),) * 6, width=4), image_size=size)


def test_a_graph_that_takes_any_size_ends_with_an_error_of_its_own(tmp_path):
    model = encoder()
    model.export(tmp_path / "served", verbose=False)
    artifact = tf.saved_model.load(tmp_path / "served")
    traced = tf.function(
        lambda x: model(x), input_signature=[tf.TensorSpec((None, None, None, 3))], autograph=False
    )
    for run in (artifact.serve, traced):
        np.testing.assert_allclose(run(images(2, 64)), model(images(2, 64)), atol=1e-5)
        for shape in ((2, 16, 16, 3), (2, 16, 64, 3), (2, 32, 32, 3)):
            with pytest.raises(tf.errors.InvalidArgumentError, match="such small images"):
                run(np.zeros(shape, "float32"))


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = keras.layers.Conv2D(5, 9, strides=4)

    def call(self, images):
        return self.conv(images)


def test_any_backbone():
    subclassed = Subclassed()
    CommonRationaleEncoder(subclassed)
    convolution = keras.layers.Conv2D(5, 9, strides=4)
    sequential = keras.Sequential([keras.Input((None, None, 3)), convolution])
    for backbone in (subclassed, sequential):
        sizes = MapSize(backbone)
        assert sizes.of(8, 32) is None
        assert sizes.of(9, 13) == (1, 2)
        sizes.check(9, 13)
        sizes.check(None, 5)
        with pytest.raises(ValueError, match="only one.*1 x 1 for images of"):
            sizes.check(9, 9)


def test_it_agrees_with_the_backbone():
    backbone = encoder().backbone
    sizes = MapSize(backbone)
    assert sizes._smallest() == (29, 45)
    assert sizes.smallest == 45
    for height, width in ((29, 45), (44, 46), (64, 33)):
        found = backbone(np.zeros((1, height, width, 3), "float32")).shape[1:3]
        assert sizes.of(height, width) == tuple(found)
