"""Self-distillation over prototypes: the loss and the centre of DINO."""

from typing import Any

import keras
from keras import ops

from keras_cr._replicas import average, gather
from keras_cr._types import Tensor
from keras_cr.rationale.measures import relative_entropy


class Distillation(keras.layers.Layer):
    """Cross-entropy of a student's prototypes and a teacher's, which are centred and sharpened.

    Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021, equations
    1 to 4. Centring keeps one prototype from taking all images, sharpening keeps all from being
    alike; each prevents what the other one encourages.

    Args:
        prototypes: their number.
        temperature: of the student's softmax.
        teacher_temperature: of the teacher's; lower, so that its targets are sharper.
        center_momentum: share of the centre that is kept at each step.
        **kwargs: as for `keras.layers.Layer`; it computes in float32.
    """

    def __init__(
        self,
        prototypes: int,
        temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        center_momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.temperature, self.teacher_temperature = temperature, teacher_temperature
        self.center_momentum = center_momentum
        self.center = self.add_weight(
            name="center",
            shape=(prototypes,),
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )
        self.built = True

    def targets(self, outputs: Tensor) -> Tensor:
        """The teacher's distributions, of its outputs `(..., prototypes)`."""
        return ops.softmax((outputs - self.center) / self.teacher_temperature, axis=-1)

    def call(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """The loss of each row, `(...)`, of targets and the student's outputs."""
        return -ops.sum(targets * ops.log_softmax(outputs / self.temperature, axis=-1), axis=-1)

    def move_center(self, *outputs: Tensor) -> None:
        """Moves the centre to the mean of the teacher's outputs, each of as many rows.

        Of all replicas, so that they have the same centre.
        """
        means = [ops.mean(ops.reshape(each, (-1, each.shape[-1])), axis=0) for each in outputs]
        seen, kept = ops.mean(gather(ops.stack(means)), axis=0), self.center_momentum
        self.center.assign(kept * self.center + (1.0 - kept) * seen)

    @staticmethod
    def measures(targets: Tensor) -> dict:
        """How unsure the targets of a batch are, and how evenly they use the prototypes."""
        used = average(ops.mean(targets, axis=0, keepdims=True))
        return {
            "teacher_entropy": ops.mean(relative_entropy(targets)),
            "prototype_entropy": ops.mean(relative_entropy(used)),
        }
