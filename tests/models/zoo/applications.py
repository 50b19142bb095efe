"""The families of keras.applications, as small as their builders allow."""

import keras
from keras.src.applications import convnext, densenet, resnet  # builders of small ones

from tests.models.zoo.cases import Case, application

_NO_TOP = {"include_top": False, "weights": None}


def _resnet(preact: bool):
    stack = resnet.stack_residual_blocks_v2 if preact else resnet.stack_residual_blocks_v1
    name = "resnet50v2" if preact else "resnet50"
    return lambda: resnet.ResNet(
        lambda x: stack(x, 8, 2, stride1=2, name="conv2"), preact, True, name=name, **_NO_TOP
    )


def _named(kind: str, **options):
    return lambda: getattr(keras.applications, kind)(**_NO_TOP, **options)


APPLICATIONS = [
    Case(
        "ConvNeXt",
        "keras",
        lambda: convnext.ConvNeXt(
            depths=[1, 1, 1, 1], projection_dims=[8, 8, 16, 16], name="convnext_tiny", **_NO_TOP
        ),
        application("convnext"),
        size=96,
    ),
    Case(
        "EfficientNetV2",
        "keras",
        _named("EfficientNetV2B0"),
        application("efficientnet_v2"),
        size=96,
    ),
    Case(
        "MobileNetV3",
        "keras",
        _named("MobileNetV3Small", alpha=0.75, minimalistic=True),
        application("mobilenet_v3"),
        size=96,
    ),
    Case("ResNet", "keras", _resnet(False), application("resnet")),
    Case("ResNetV2", "keras", _resnet(True), application("resnet_v2")),
    Case("MobileNet", "keras", _named("MobileNet", alpha=0.25), application("mobilenet"), size=96),
    Case(
        "MobileNetV2", "keras", _named("MobileNetV2", alpha=0.35), application("mobilenet_v2"), 96
    ),
    Case(
        "DenseNet",
        "keras",
        lambda: densenet.DenseNet([1, 1, 1, 1], name="densenet121", **_NO_TOP),
        application("densenet"),
        size=96,
    ),
]
LARGE = [
    Case("EfficientNet", "keras", _named("EfficientNetB0"), application("efficientnet"), size=96),
    Case("VGG", "keras", _named("VGG16"), application("vgg16"), size=96),
    Case("Xception", "keras", _named("Xception"), application("xception"), size=96),
    Case("InceptionV3", "keras", _named("InceptionV3"), application("inception_v3"), size=139),
    Case(
        "InceptionResNetV2",
        "keras",
        _named("InceptionResNetV2"),
        application("inception_resnet_v2"),
        size=139,
    ),
    Case("NASNet", "keras", _named("NASNetMobile"), application("nasnet"), size=224),
]
