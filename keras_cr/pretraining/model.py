"""What a pretrainer is to Keras: its arguments, what is trained and saved, and what `fit` looks at.

The training step and the contract of an objective are in `keras_cr.pretraining.pretrainer`.
"""

from collections.abc import Sequence
from typing import Any, NoReturn, Self

import keras
import numpy as np

from keras_cr._numbers import plain_seed, weight_number, whole_number
from keras_cr._replicas import check_same_scope, spread
from keras_cr._types import Config, Images, Shape, Tensor, wraps
from keras_cr.models import CommonRationaleEncoder
from keras_cr.models.inputs import Seen
from keras_cr.models.labels import checked_labels
from keras_cr.models.watch import Watch, raising
from keras_cr.pretraining.auxiliary.task import AuxiliaryTask
from keras_cr.pretraining.batches import seen_views, training_batch
from keras_cr.pretraining.divergence import SkippedSteps, check_on_nan
from keras_cr.rationale import Rationale


class PretrainingModel(keras.Model):
    """An encoder, its rationale and auxiliary tasks as a Keras model; see `Pretrainer`."""

    explained: tuple[str, ...] = ()
    labels: bool = False
    on_nan: str = "stop"

    def __init__(
        self,
        encoder: CommonRationaleEncoder,
        rationale: Rationale | None,
        momentum: float,
        total_steps: int | None,
        backbone_lr_multiplier: float,
        auxiliary: Sequence[AuxiliaryTask],
        objective_weight: float,
        seed: int | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(encoder, CommonRationaleEncoder):
            raise ValueError(
                f"`encoder` must be a CommonRationaleEncoder. Received: {type(encoder).__name__}"
            )
        check_same_scope("encoder", encoder, self)
        if rationale is not None and not isinstance(rationale, Rationale):
            raise ValueError(f"`rationale` must be a Rationale or None. Received: {rationale!r}")
        self.check_rationale(rationale)
        if not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must lie in 0..1. Received: momentum={momentum!r}")
        if total_steps is not None:
            total_steps = whole_number("total_steps", total_steps)
        objective_weight = weight_number("objective_weight", objective_weight)
        backbone_lr_multiplier = weight_number("backbone_lr_multiplier", backbone_lr_multiplier)
        auxiliary = list(auxiliary)
        if wrong := [each for each in auxiliary if not isinstance(each, AuxiliaryTask)]:
            raise ValueError(
                "`auxiliary` must be a list of tasks, such as [Rotation(weight=0.1)]. "
                f"Received: {wrong[0]!r}"
            )
        auxiliary = [type(task).from_config(task.get_config()) for task in auxiliary]
        names = [task.name for task in auxiliary]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(
                f"`auxiliary` holds two tasks called {twice[0]!r}, whose numbers would be logged "
                "under one name; give one of them another `name`."
            )
        self.encoder = encoder
        self.rationale = rationale
        self.momentum, self.total_steps = momentum, total_steps
        self.backbone_lr_multiplier = backbone_lr_multiplier
        self.auxiliary, self.objective_weight = auxiliary, objective_weight
        self.seed = plain_seed(seed)
        self.skipped_steps = SkippedSteps()

    @classmethod
    def check_rationale(cls, rationale: Rationale | None) -> None:
        """Raises a ValueError where `rationale` explains a loss, or views, that are not there."""
        if rationale is not None and rationale.explains_objective and not cls.explained:
            raise ValueError(
                f"`rationale` must compare with neighbours: the loss of {cls.__name__} is "
                "that of a batch or of its tasks, and no image has one that could be explained. "
                "Received: "
                f"{rationale.positives!r}; leave it at Rationale(), or take another objective."
            )
        if rationale is not None and rationale.explains_objective:
            passes, seen = rationale.positives.extra_passes, (*cls.views, *cls.taught)
            if unseen := [name for name in passes if name not in seen]:
                raise ValueError(
                    f"`rationale`: its extra_passes go through views that {cls.__name__} sees, "
                    f"{', '.join(seen)}. Received: {unseen[0]!r} among them; leave it out, or take "
                    "another objective."
                )

    @property
    def needs_labels(self) -> bool:
        """Whether batches must hold `label`, for the objective or for an auxiliary task."""
        return bool(self._taught_by_labels())

    def _taught_by_labels(self) -> list:  # no property: Keras would walk it, and find itself
        every: list[Any] = [self, *self.auxiliary]
        return [each for each in every if each.labels]

    @property
    def metrics(self) -> list[keras.Metric]:
        skipped = [self.skipped_steps] if self.on_nan == "skip" else []
        return [*self._trackers.values(), *skipped]

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """What the optimizer trains: without the branch, or parts of it, where it is not fitted."""
        branch = self.encoder.branch
        if self.rationale is None:
            left_out = branch.trainable_variables
        elif not self.rationale.train_affine:
            left_out = branch.batch_norm.trainable_variables
        else:
            left_out = []
        left_out = {id(variable) for variable in left_out}
        return [v for v in super().trainable_variables if id(v) not in left_out]

    @property
    def trainable_weights(self) -> list[keras.Variable]:
        return self.trainable_variables

    @property
    def learning_rates(self) -> list[tuple]:
        """Parts of the model that learn at a multiple of the learning rate, and the multiple."""
        found = [(self.encoder.backbone, self.backbone_lr_multiplier)]
        if self.rationale is not None:
            found.append((self.encoder.branch, self.rationale.lr_multiplier))
        return found

    def set_on_nan(self, on_nan: str) -> None:
        """What becomes of a step whose loss or gradient is not finite.

        Args:
            on_nan: `"stop"`, as a new pretrainer has it: the step is taken and logs a loss of NaN;
                or `"skip"`: it changes nothing but `skipped_steps`, which is logged then.

        Raises:
            ValueError: it is neither.
        """
        check_on_nan(on_nan)
        if on_nan != self.on_nan:
            self.on_nan, self.train_function = on_nan, None  # which was traced with the other

    def call(self, images: Images, training: bool = False) -> Tensor:
        return self.encoder(images, training=training)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return self.encoder.compute_output_shape(input_shape)

    @wraps(keras.Model.fit)
    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        def check(*views, seen):
            for images in views:
                self.encoder.check_images(images, seen=seen)

        watch = Watch(seen_views, check, first_only=True)
        labels = Watch(lambda batch: [training_batch(batch, self)["label"]], self._check_labels)
        with raising([watch, labels]):
            if isinstance(x, dict | tuple | list):
                self._check_labels_of(x)
            else:  # views come as a stream
                x = watch.data(x, Seen("x", self.encoder.takes_rgb))
                x = labels.data(x, Seen("label")) if self.needs_labels else x
            return super().fit(x, *args, **kwargs)

    def make_train_function(self, force: bool = False) -> Any:
        """Builds the optimizer first: a step that makes variables is traced twice."""
        if not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    @wraps(keras.Model.train_on_batch)
    def train_on_batch(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        self._check_labels_of(x)
        return super().train_on_batch(spread(x, self), *args, **kwargs)

    def _check_labels_of(self, data) -> None:
        if self.needs_labels:
            self._check_labels(training_batch(data, self)["label"])

    def _check_labels(self, labels, seen: Seen | None = None) -> None:
        """Refuses labels that are no class numbers: a loss would be NaN, or pass them over."""
        if len(np.shape(labels)) != 1:
            raise ValueError(
                f"`label` must be integers (B,), one an image. Received: shape {np.shape(labels)}"
            )
        for each in self._taught_by_labels():
            checked_labels(labels, each.num_classes, "label")

    def test_step(self, data: Any) -> NoReturn:
        raise RuntimeError(
            "A pretrainer has no validation step: judge its encoder with "
            "keras_cr.evaluation.evaluate(encoder, dataset, image_size=...)."
        )

    def get_config(self) -> Config:
        serialize = keras.saving.serialize_keras_object
        return super().get_config() | {
            "encoder": serialize(self.encoder),
            "rationale": None if self.rationale is None else self.rationale.get_config(),
            "momentum": self.momentum,
            "total_steps": self.total_steps,
            "backbone_lr_multiplier": self.backbone_lr_multiplier,
            "auxiliary": [serialize(task) for task in self.auxiliary],
            "objective_weight": self.objective_weight,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        config = dict(config)
        deserialize = keras.saving.deserialize_keras_object
        config["encoder"] = deserialize(config["encoder"])
        config["auxiliary"] = [deserialize(task) for task in config.get("auxiliary", ())]
        if config["rationale"] is not None:
            config["rationale"] = Rationale.from_config(config["rationale"])
        return cls(**config)
