import numpy as np
import pytest
import tensorflow as tf

from keras_cr.attribution import grad_cam, grad_cam_from_loss


def arrays():
    rng = np.random.default_rng(0)
    shape = (2, 3, 4, 5)
    return rng.standard_normal(shape).astype("float32"), rng.standard_normal(shape).astype(
        "float32"
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_both_forms(sign):
    phi, gradients = arrays()
    elementwise = np.maximum(sign * (phi * gradients).sum(-1), 0)
    np.testing.assert_allclose(grad_cam(phi, gradients, sign=sign), elementwise, atol=1e-5)
    channel = np.maximum(sign * (phi * gradients.mean((1, 2), keepdims=True)).sum(-1), 0)
    np.testing.assert_allclose(
        grad_cam(phi, gradients, form="channel", sign=sign), channel, atol=1e-5
    )


@pytest.mark.parametrize("form", ["elementwise", "channel"])
def test_a_gradient_that_is_the_same_at_all_places(form):
    phi, gradients = arrays()
    same = gradients[:, :1, :1]
    expected = grad_cam(phi, np.broadcast_to(same, phi.shape), form=form)
    np.testing.assert_allclose(grad_cam(phi, same, form=form), expected, atol=1e-5)


@pytest.mark.parametrize("jit_compile", [None, False, True])
def test_of_a_loss_in_graph(jit_compile):
    phi, kernel = arrays()[0], np.arange(5, dtype="float32")

    def explain(phi):
        # d loss / d phi = kernel * 2 (phi . kernel): not constant over places.
        return grad_cam_from_loss(lambda m: tf.reduce_sum(tf.linalg.matvec(m, kernel) ** 2), phi)

    if jit_compile is not None:
        explain = tf.function(explain, jit_compile=jit_compile)
    cam, loss = explain(tf.constant(phi))
    score = phi @ kernel
    np.testing.assert_allclose(loss, (score**2).sum(), rtol=1e-5)
    np.testing.assert_allclose(cam, 2 * score**2, rtol=1e-4, atol=1e-5)


def test_forms_agree_behind_global_average_pooling():
    phi = arrays()[0]

    def loss(m):
        return tf.reduce_sum(tf.reduce_mean(m, axis=(1, 2)) ** 3)

    by_form = [
        grad_cam_from_loss(loss, phi, form=form, sign=-1)[0] for form in ("elementwise", "channel")
    ]
    np.testing.assert_allclose(by_form[0], by_form[1], atol=1e-6)


def test_low_precision_maps_are_explained_in_float32():
    phi = tf.cast(arrays()[0], "bfloat16")
    cam, loss = grad_cam_from_loss(lambda m: 1e-8 * tf.reduce_sum(m * m), phi)
    assert cam.dtype == loss.dtype == "float32"
    assert np.asarray(cam).max() > 0


def test_bad_arguments():
    phi, gradients = arrays()
    with pytest.raises(ValueError, match="form='pixel'"):
        grad_cam(phi, gradients, form="pixel")
    with pytest.raises(ValueError, match="sign=0"):
        grad_cam(phi, gradients, sign=0)
    with pytest.raises(ValueError, match="scalar"):
        grad_cam_from_loss(lambda m: m, phi)
    with pytest.raises(ValueError, match="does not depend"):
        grad_cam_from_loss(lambda m: tf.constant(1.0), phi)
