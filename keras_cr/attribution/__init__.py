"""Which places of an image a scalar loss depends on."""

from keras_cr.attribution.grad_cam import grad_cam, grad_cam_from_loss

__all__ = ["grad_cam", "grad_cam_from_loss"]
