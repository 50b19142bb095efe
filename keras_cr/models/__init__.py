"""Encoders, classifiers and backbones."""

from keras_cr.models.backbones import backbone_from_name
from keras_cr.models.classifier import CommonRationaleClassifier
from keras_cr.models.encoder import CommonRationaleEncoder
from keras_cr.models.resnet import ResNet, resnet18, resnet34, resnet50
from keras_cr.models.squeezenet import SqueezeNet, squeezenet

__all__ = [
    "CommonRationaleClassifier",
    "CommonRationaleEncoder",
    "ResNet",
    "SqueezeNet",
    "backbone_from_name",
    "resnet18",
    "resnet34",
    "resnet50",
    "squeezenet",
]
