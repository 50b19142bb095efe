"""Momentum twins: networks that follow a trained one by an exponential moving average."""

from typing import Any

import keras
from keras import ops

from keras_cr._types import Images, Tensor
from keras_cr.models import AdaptedBackbone
from keras_cr.models.families import of_package
from keras_cr.models.learning_rates import assign_all


class Twin(keras.layers.Layer):
    """A backbone and its heads, copied; they follow the trained ones and are never trained.

    Args:
        backbone: the trained backbone.
        heads: the trained heads by name; `predict` has no twin.
        **kwargs: as for `keras.layers.Layer`.
    """

    def __init__(self, backbone: keras.Model, heads: dict, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backbone = momentum_copy(backbone)
        self.heads = {
            name: momentum_copy(head) for name, head in heads.items() if name != "predict"
        }
        self.built = True

    def follow(self, backbone: keras.Model, heads: dict, momentum: Tensor) -> None:
        """Keeps a share `momentum` of its own weights and takes the rest from the trained ones."""
        follow(self.backbone, backbone, momentum)
        for name, head in self.heads.items():
            follow(head, heads[name], momentum)

    def call(self, images: Images) -> Tensor:
        """The feature map of a batch, on the batch's own statistics."""
        return self.backbone(images, training=True)


def momentum_copy(model: keras.Model | keras.layers.Layer) -> Any:
    """Copies a model or layer with its weights, and takes the copy's variables out of training.

    The variables are frozen, not the layers: batch normalisation still works on batch statistics
    when the copy is called in training mode.
    """
    # Layers inside of a KerasHub model can't be rebuilt from their configs, the model can.
    from_hub = isinstance(model, AdaptedBackbone) or of_package(model, "keras_hub")
    if isinstance(model, keras.Model) and not from_hub:
        twin = keras.models.clone_model(model)
    else:
        twin = type(model).from_config(model.get_config())
    if not twin.built:
        twin.build_from_config(model.get_build_config())
    twin.set_weights(model.get_weights())
    for variable in twin.variables:
        variable.trainable = False
    return twin


def follow(twin: Any, model: Any, momentum: Tensor) -> None:
    """Moves a copy's trained parameters: `momentum * own + (1 - momentum) * the model's`.

    Batch normalisation's running statistics are left to the copy's own passes, as in He et al.,
    "Momentum Contrast", CVPR 2020, equation 2, and its published code.
    """
    pairs = [
        (own, other)
        for own, other in zip(twin.weights, model.weights, strict=True)
        if other.trainable
    ]
    values = [momentum * own.value + (1 - momentum) * other.value for own, other in pairs]
    assign_all([own for own, _ in pairs], values)


def rising(momentum: float, total_steps: int, step: Tensor) -> Tensor:
    """A twin's momentum that goes from `momentum` to 1 along a cosine, at one step.

    Grill et al., "Bootstrap Your Own Latent", NeurIPS 2020, section 3.2:
    `1 - (1 - momentum) (cos(pi step / total_steps) + 1) / 2`.
    """
    share = keras.optimizers.schedules.CosineDecay(1.0 - momentum, total_steps)
    return 1.0 - ops.cast(share(step), "float32")
