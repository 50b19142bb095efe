"""A weight decay that may follow a schedule and spares biases and normalisations."""

from typing import Any, Self

import keras

from keras_cr._types import Config

Schedule = keras.optimizers.schedules.LearningRateSchedule


class ScheduledWeightDecay:
    """What `AdamW` and `LARS` have in common; it goes before an optimizer of Keras.

    `weight_decay` may be a number or one of Keras' learning-rate schedules, which counts the steps
    that the learning rate's own counts. Variables of one dimension or none, and those that
    `exclude_from_weight_decay` names, are left out.
    """

    @property
    def weight_decay(self) -> Any:
        """The weight decay of the coming step."""
        decay = self._weight_decay
        return decay(self._iterations) if isinstance(decay, Schedule) else decay  # type: ignore[attr-defined]

    @weight_decay.setter
    def weight_decay(self, value: Any) -> None:
        if not isinstance(value, Schedule) and not (isinstance(value, int | float) and value >= 0):
            raise ValueError(
                "`weight_decay` must be a number of 0 or more, or a schedule of "
                f"keras.optimizers.schedules. Received: weight_decay={value!r}"
            )
        self._weight_decay = value

    def _use_weight_decay(self, variable) -> bool:
        return len(variable.shape) > 1 and super()._use_weight_decay(variable)  # type: ignore[misc]

    def get_config(self) -> Config:
        decay = self._weight_decay
        if isinstance(decay, Schedule):
            decay = keras.saving.serialize_keras_object(decay)
        return super().get_config() | {"weight_decay": decay}  # type: ignore[misc]

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        config = dict(config)
        if isinstance(config.get("weight_decay"), dict):
            config["weight_decay"] = keras.saving.deserialize_keras_object(
                config["weight_decay"], custom_objects
            )
        return super().from_config(config, custom_objects)  # type: ignore[misc]
