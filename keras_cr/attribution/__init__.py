"""Explanations of a loss by the places of a feature map, and the prior they are held against."""

from keras_cr.attribution.center_prior import center_prior
from keras_cr.attribution.grad_cam import grad_cam, grad_cam_from_loss

__all__ = ["center_prior", "grad_cam", "grad_cam_from_loss"]
