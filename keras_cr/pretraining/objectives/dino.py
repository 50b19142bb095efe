"""DINO: a view's prototypes are those that a momentum twin sees in the other views."""

import dataclasses
from typing import Any

import keras
from keras import ops

from keras_cr._numbers import positive_number, whole_number
from keras_cr._types import Batch, Config, Tensor
from keras_cr.data.augmentation import Augmentation
from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining.distillation import Distillation
from keras_cr.pretraining.heads import head
from keras_cr.pretraining.outcome import Outcome, View, added
from keras_cr.pretraining.pretrainer import Pretrainer
from keras_cr.rationale import Rationale

DEFAULT_RATIONALE = Rationale()


@keras.saving.register_keras_serializable(package="keras_cr")
class DINO(Pretrainer):
    """Self-distillation with no labels, with the common rationale on or off.

    Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021. The twin
    sees the two large views; each view, small crops too, learns its prototypes of every other view.
    Ours: the head has batch normalisation, an option of the paper's code that it leaves out for the
    sake of transformers (without it a small convolutional network soon gave all images one uniform
    target); the teacher's temperature is constant; the prototypes learn from the first step.

    Besides the loss it logs `teacher_entropy`, of a view's target relative to a uniform one (1: it
    says nothing), and `prototype_entropy`, the same of the batch's mean target. Where the second is
    no larger than the first, all images have the same target: collapse.

    Args:
        encoder: the `CommonRationaleEncoder` to train.
        rationale: how the branch is trained; `None` gives plain DINO.
        prototypes: number of outputs.
        hidden_dim: width of the head's two hidden layers.
        bottleneck_dim: size of the unit vector that is compared with the prototypes.
        temperature: of the student.
        teacher_temperature: of the twin, lower.
        momentum: share of its own weights that the twin keeps at each step; to 1 along a cosine
            with `total_steps`, as in the paper.
        small_crops: number of small crops of each image; 0 trains on the two views alone.
        **kwargs: as for `Pretrainer`.
    """

    taught = ("query", "key")
    compared: tuple[str, ...] = ("projected",)  # of a `View`; each with a centre of its own
    logged: tuple[str, ...] = ("teacher_entropy", "prototype_entropy")
    augmentation = staticmethod(Augmentation.dino)

    def __init__(
        self,
        encoder: CommonRationaleEncoder,
        rationale: Rationale | None = DEFAULT_RATIONALE,
        prototypes: int = 65536,
        hidden_dim: int = 2048,
        bottleneck_dim: int = 256,
        temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        momentum: float = 0.996,
        small_crops: int = 8,
        **kwargs: Any,
    ) -> None:
        self.prototypes = whole_number("prototypes", prototypes, least=2)
        self.hidden_dim = whole_number("hidden_dim", hidden_dim)
        self.bottleneck_dim = whole_number("bottleneck_dim", bottleneck_dim)
        self.temperature = positive_number("temperature", temperature)
        self.teacher_temperature = positive_number("teacher_temperature", teacher_temperature)
        self.small_crops = whole_number("small_crops", small_crops, least=0)
        super().__init__(encoder, rationale, momentum, **kwargs)
        self.distillations = {
            name: Distillation(self.prototypes, self.temperature, self.teacher_temperature)
            for name in self.compared
        }

    @classmethod
    def small_data(cls, num_images: int, batch_size: int, total_steps: int) -> dict[str, Any]:
        return {
            "prototypes": 4096,
            "hidden_dim": 1024,
            "momentum": 0.99,
            "small_crops": 4,
            "total_steps": max(total_steps, 1),
        }

    def make_heads(self, channels: int) -> dict[str, keras.layers.Layer]:
        units = (self.hidden_dim, self.hidden_dim, self.bottleneck_dim)
        options = {"activation": "gelu", "prototypes": self.prototypes}
        return {"project": head(channels, units, "hidden", self.seed, **options)}

    def objective(
        self, student: dict[str, View], teacher: dict[str, View], batch: Batch
    ) -> Outcome:
        losses, targets = [], {name: self.targets(teacher[name]) for name in self.taught}
        for seen in self.taught:
            for name in self.views:
                if name != seen:
                    each = self.compare(student[name], name, targets[seen], seen, batch)
                    losses.append(ops.mean(each) * (self.small_crops if name == "small" else 1))
        loss = added(*losses) / (len(self.taught) * (1 + self.small_crops))
        return Outcome(loss, Distillation.measures(targets["query"].projected))

    def targets(self, seen: View) -> View:
        """What a view that the twin has seen asks of the others."""
        wanted = {n: each.targets(getattr(seen, n)) for n, each in self.distillations.items()}
        return dataclasses.replace(seen, **wanted)

    def compare(self, view: View, name: str, target: View, seen: str, batch: dict) -> Tensor:
        """The loss of each image, or small crop, of the view `name` against that of `seen`."""
        return self.distillations["projected"](self.of_each(target.projected, name), view.projected)

    def of_each(self, rows: Tensor, name: str) -> Tensor:
        """An image's row for each row of a view: as often as it has small crops."""
        return ops.repeat(rows, self.small_crops, axis=0) if name == "small" else rows

    def after_step(self, teacher: dict[str, View], batch: Batch) -> None:
        for name, each in self.distillations.items():
            each.move_center(*(getattr(teacher[seen], name) for seen in self.taught))

    def get_config(self) -> Config:
        return super().get_config() | {
            "prototypes": self.prototypes,
            "hidden_dim": self.hidden_dim,
            "bottleneck_dim": self.bottleneck_dim,
            "temperature": self.temperature,
            "teacher_temperature": self.teacher_temperature,
            "small_crops": self.small_crops,
        }
