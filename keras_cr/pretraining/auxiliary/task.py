"""The contract of an auxiliary task: a loss of its own beside any objective's."""

from collections.abc import MutableMapping
from typing import Any

import keras

from keras_cr._numbers import plain_seed, positive_number
from keras_cr._types import Config
from keras_cr.pretraining.outcome import Outcome, View

_RANDOM = "random"


class AuxiliaryTask(keras.layers.Layer):
    """Something else that the backbone learns from the same images.

    A subclass makes its heads in `build` (those of `keras_cr.pretraining.heads.head` compute in
    float32), draws by `keras_cr.pretraining.uniform` from `self.random`, and gives a loss. The step
    logs it as `NAME_loss` and the task's own scalars as `NAME_...`. Heads, and where the draws have
    come to, are saved with the pretrainer; an encoder knows nothing of them.

    Args:
        weight: factor of its loss beside the objective's.
        seed: of heads and draws.
        **kwargs: as for `keras.layers.Layer`; `name` is the class' by default, in lower case.

    Raises:
        ValueError: `weight` is not positive.
    """

    labels: bool = False  # whether batches must hold `label`, below the task's `num_classes`
    logged: tuple[str, ...] = ()  # names of the task's own scalars

    def __init__(self, weight: float = 1.0, seed: int | None = 0, **kwargs: Any) -> None:
        super().__init__(**{"name": type(self).__name__.lower()} | kwargs)
        self.weight, self.seed = positive_number("weight", weight), plain_seed(seed)
        self.random = keras.random.SeedGenerator(self.seed)

    def seeds(self, number: int) -> list[int | None]:
        """A seed for each of so many heads."""
        return [None if self.seed is None else self.seed + each for each in range(number)]

    def build(self, channels: int) -> None:
        """Makes the built heads, for feature maps `(B, h, w, channels)`."""

    def objective(self, pretrainer: keras.Model, student: dict[str, View], batch: dict) -> Outcome:
        """The task's loss.

        Args:
            pretrainer: whose `look(images)` gives the trained backbone's feature map of images
                `(N, H, W, 3)`, float32, in training mode. The running statistics of its batch
                normalisation stay those of the objective's views.
            student: what the network has made of the objective's views already.
            batch: everything the batch holds.
        """
        raise NotImplementedError

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        super().save_own_variables(store)
        store[_RANDOM] = keras.ops.convert_to_numpy(self.random.state)

    def load_own_variables(self, store: MutableMapping[str, Any]) -> None:
        names = set(store.keys()) - {_RANDOM}
        super().load_own_variables({name: store[name] for name in names})
        self.random.state.assign(store[_RANDOM])

    def get_config(self) -> Config:
        return super().get_config() | {"weight": self.weight, "seed": self.seed}
