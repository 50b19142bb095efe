"""Encoders, classifiers and backbones."""

from keras_cr.models.adapt import adapt_backbone
from keras_cr.models.adapted_backbone import AdaptedBackbone
from keras_cr.models.backbone_reader import load_backbone
from keras_cr.models.backbones import backbone_from_name
from keras_cr.models.classifier import CommonRationaleClassifier
from keras_cr.models.convnext import ConvNeXt
from keras_cr.models.efficientnet import EfficientNet
from keras_cr.models.encoder import CommonRationaleEncoder
from keras_cr.models.fingerprint import encoder_fingerprint
from keras_cr.models.resnet import ResNet, resnet18, resnet34, resnet50
from keras_cr.models.squeezenet import SqueezeNet, squeezenet
from keras_cr.models.vision_transformer import VisionTransformer

__all__ = [
    "AdaptedBackbone",
    "CommonRationaleClassifier",
    "CommonRationaleEncoder",
    "ConvNeXt",
    "EfficientNet",
    "ResNet",
    "SqueezeNet",
    "VisionTransformer",
    "adapt_backbone",
    "backbone_from_name",
    "encoder_fingerprint",
    "load_backbone",
    "resnet18",
    "resnet34",
    "resnet50",
    "squeezenet",
]
