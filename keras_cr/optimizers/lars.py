"""LARS: every layer learns at a rate that its weights and its gradient set."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_cr._types import Config, Tensor
from keras_cr.optimizers.weight_decay import ScheduledWeightDecay


@keras.saving.register_keras_serializable(package="keras_cr")
class LARS(ScheduledWeightDecay, keras.optimizers.Optimizer):
    """Layer-wise adaptive rate scaling, for large batches.

    You et al., "Large Batch Training of Convolutional Networks", 2017, algorithm 1:

        g <- g + weight_decay w
        v <- momentum v - learning_rate trust_coefficient |w| / |g| g
        w <- w + v

    `|w|` and `|g|` are the norms of a whole variable; where one is 0, the ratio is 1. As in BYOL,
    SimCLR and Barlow Twins, variables of one dimension (biases, scales and offsets of
    normalisations) have neither ratio nor weight decay, and neither have those that
    `exclude_from_weight_decay` names. The velocity holds the learning rate, as here and in SimCLR;
    BYOL and Barlow Twins multiply it in afterwards, which differs while the rate changes.

    Args:
        learning_rate: a number or a schedule; BYOL's is 0.2 for each 256 images of a batch.
        momentum: share of the velocity that is kept at each step.
        weight_decay: a number or a schedule of `keras.optimizers.schedules`.
        trust_coefficient: how far a step may go, relative to the norm of the weights.
        **kwargs: as for `keras.optimizers.Optimizer`.

    Raises:
        ValueError: `momentum` is not in 0..1, `trust_coefficient` not positive, or `weight_decay`
            below 0.

    Example:

    >>> rate = keras.optimizers.schedules.CosineDecay(
    ...     0.0, steps - 1000, warmup_target=0.2, warmup_steps=1000)
    >>> pretrainer.compile(LARS(rate))
    """

    def __init__(
        self,
        learning_rate: Any = 0.2,
        momentum: float = 0.9,
        weight_decay: Any = 1.5e-6,
        trust_coefficient: float = 0.001,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)
        if not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must lie in 0..1. Received: momentum={momentum!r}")
        if not trust_coefficient > 0:
            raise ValueError(
                "`trust_coefficient` must be positive. Received: "
                f"trust_coefficient={trust_coefficient!r}"
            )
        self.momentum, self.trust_coefficient = momentum, trust_coefficient

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self.velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient: Tensor, variable: Tensor, learning_rate: Any) -> None:
        velocity = self.velocities[self._get_variable_index(variable)]
        dtype = keras.backend.result_type(variable.dtype, "float32")
        gradient = ops.cast(ops.convert_to_tensor(gradient), dtype)
        if self._use_weight_decay(variable):
            weights = ops.cast(variable, dtype)
            gradient = gradient + ops.cast(self.weight_decay, dtype) * weights
            gradient = gradient * self._trust(weights, gradient)
        kept = self.momentum * ops.cast(velocity, dtype)
        self.assign(velocity, kept - ops.cast(learning_rate, dtype) * gradient)
        self.assign_add(variable, velocity)

    def _trust(self, weights, gradient):
        length, slope = (ops.sqrt(ops.sum(ops.square(each))) for each in (weights, gradient))
        ratio = self.trust_coefficient * ops.divide_no_nan(length, slope)
        return ops.where(ratio > 0, ratio, ops.ones_like(ratio))

    def _apply_weight_decay(self, variables):
        """Nothing beside the step: the weight decay is part of what the ratio scales."""

    def get_config(self) -> Config:
        return super().get_config() | {
            "momentum": self.momentum,
            "trust_coefficient": self.trust_coefficient,
        }
