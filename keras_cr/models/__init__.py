"""Encoders, classifiers and backbones."""

from keras_cr.models.classifier import CommonRationaleClassifier
from keras_cr.models.encoder import CommonRationaleEncoder
from keras_cr.models.resnet import ResNet, backbone_from_name, resnet18, resnet34, resnet50

__all__ = [
    "CommonRationaleClassifier",
    "CommonRationaleEncoder",
    "ResNet",
    "backbone_from_name",
    "resnet18",
    "resnet34",
    "resnet50",
]
