"""Small backbones of KerasCV."""

from tests.models.zoo.cases import Case, cv

_BLOCKS = {
    "stackwise_kernel_sizes": [3, 3],
    "stackwise_num_repeats": [1, 1],
    "stackwise_input_filters": [8, 8],
    "stackwise_output_filters": [8, 16],
    "stackwise_expansion_ratios": [1, 4],
    "stackwise_squeeze_and_excite_ratios": [0.0, 0.25],
    "stackwise_strides": [1, 2],
}
_STACKS = {"stackwise_filters": [8, 16], "stackwise_blocks": [1, 1], "stackwise_strides": [1, 2]}
KERAS_CV = [
    Case(
        "ResNet",
        "keras_cv",
        cv("ResNetBackbone", include_rescaling=True, **_STACKS),
        lambda images: images,
    ),
    Case(
        "ResNet, not rescaling",
        "keras_cv",
        cv(
            "ResNetBackbone",
            include_rescaling=False,
            **_STACKS,
        ),
        lambda images: images / 255,
    ),
    Case(
        "EfficientNetV2",
        "keras_cv",
        cv(
            "EfficientNetV2Backbone",
            include_rescaling=True,
            width_coefficient=1.0,
            depth_coefficient=1.0,
            stackwise_conv_types=["fused", "unfused"],
            **_BLOCKS,
        ),
        lambda images: images,
    ),
]
