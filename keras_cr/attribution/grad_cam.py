"""GradCAM of any scalar loss, in graph."""

from collections.abc import Callable

import keras
from keras import ops

from keras_cr._types import Tensor
from keras_cr.attribution.gradient import value_and_gradient


def grad_cam(
    feature_map: Tensor, gradients: Tensor, form: str = "elementwise", sign: int = 1
) -> Tensor:
    """Scores every position of a feature map by the gradient of a loss.

    `"elementwise"` is `relu(sign * sum_c phi_c(p) dL/dphi_c(p))`, what the authors' release of the
    paper computes. `"channel"` averages the gradient over the positions first,
    `relu(sign * sum_c phi_c(p) mean_p dL/dphi_c)`: Selvaraju et al., "Grad-CAM", ICCV 2017,
    equations 1 and 2. Behind a global average pooling the two are equal.

    Args:
        feature_map: shape `(B, H, W, C)`.
        gradients: the loss' gradient by the feature map, the same shape, or `(B, 1, 1, C)` where
            it is the same at all places.
        form: `"elementwise"` or `"channel"`.
        sign: `1` keeps the places whose growth raises the loss, `-1` those whose growth lowers it.

    Returns:
        Scores of 0 or more, shape `(B, H, W)`, float32 (float64 for a float64 map).

    Raises:
        ValueError: `form` or `sign` is not one of the above.
    """
    if sign not in (1, -1):
        raise ValueError(f"`sign` must be 1 or -1. Received: sign={sign!r}")
    dtype = keras.backend.result_type(feature_map.dtype, "float32")
    feature_map, gradients = ops.cast(feature_map, dtype), ops.cast(gradients, dtype)
    if form == "channel":
        gradients = ops.mean(gradients, axis=(1, 2), keepdims=True)
    elif form != "elementwise":
        raise ValueError(f"`form` must be 'elementwise' or 'channel'. Received: form={form!r}")
    if tuple(gradients.shape[1:3]) == (1, 1):  # a product of matrices, without the map's copy
        scores = ops.einsum("bhwc,bc->bhw", feature_map, gradients[:, 0, 0, :])
    else:
        scores = ops.sum(feature_map * gradients, axis=-1)
    return ops.relu(sign * scores)


def grad_cam_from_loss(
    loss_fn: Callable, feature_map: Tensor, form: str = "elementwise", sign: int = 1
) -> tuple:
    """Explains a loss by a feature map: GradCAM, under TensorFlow, JAX and PyTorch.

    Runs eagerly, inside `tf.function` and `jax.jit`, and under XLA. Backpropagation goes from the
    loss down to the map and no further, so it costs what the part above the map costs.

    Args:
        loss_fn: takes a float32 feature map and returns a scalar; see `value_and_gradient`.
        feature_map: shape `(B, H, W, C)`.
        form: as in `grad_cam`.
        sign: as in `grad_cam`.

    Returns:
        `(cam, loss)`: scores of shape `(B, H, W)` and the scalar loss.

    Raises:
        ValueError: the loss is not a scalar or does not depend on the map.
        RuntimeError: Keras runs on a backend without gradients.

    Example:

    >>> head = keras.layers.Dense(200)
    >>> cam, loss = grad_cam_from_loss(
    ...     lambda phi: -ops.mean(head(ops.mean(phi, axis=(1, 2)))[:, 7]), feature_map, sign=-1)
    """

    def scalar(feature_map):
        loss = loss_fn(feature_map)
        if len(loss.shape):
            raise ValueError(f"`loss_fn` must return a scalar. Received shape: {tuple(loss.shape)}")
        return loss

    feature_map = ops.cast(feature_map, "float32")
    loss, gradients = value_and_gradient(scalar, feature_map)
    if gradients is None:
        raise ValueError("The loss that `loss_fn` returned does not depend on the feature map.")
    return grad_cam(feature_map, gradients, form=form, sign=sign), loss
