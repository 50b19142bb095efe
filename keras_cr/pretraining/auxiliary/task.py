"""The contract of an auxiliary task: a loss of its own beside any objective's."""

from collections.abc import Callable

import keras

from keras_cr._numbers import plain_seed
from keras_cr.pretraining.outcome import Outcome, View


class AuxiliaryTask(keras.layers.Layer):
    """Something else that the backbone learns from the same images.

    A subclass makes its heads in `build` (computing in float32: `dtype="float32"` in each), draws
    from `self.random`, and gives a loss. It logs `NAME_loss` and its own scalars as `NAME_...`.

    Args:
        weight: factor of its loss beside the objective's.
        seed: of heads and draws.
        **kwargs: as for `keras.layers.Layer`; `name` is the file's name by default.

    Raises:
        ValueError: `weight` is not positive.
    """

    labels: bool = False  # whether batches must hold `label`
    logged: tuple[str, ...] = ()  # names of the task's own scalars

    def __init__(self, weight: float = 1.0, seed: int | None = 0, **kwargs):
        kwargs.setdefault("name", type(self).__module__.split(".")[-1])
        super().__init__(**kwargs)
        if not weight > 0:
            raise ValueError(f"`weight` must be positive. Received: weight={weight!r}")
        self.weight, self.seed = weight, plain_seed(seed)
        self.random = keras.random.SeedGenerator(self.seed)

    def build(self, channels: int) -> None:
        """Makes the built heads on feature maps `(B, h, w, channels)`; ends with `self.built`."""
        self.built = True

    def objective(self, look: Callable, student: dict[str, View], batch: dict) -> Outcome:
        """The task's loss.

        Args:
            look: what the trained backbone makes of images `(N, H, W, 3)` in training mode: the
                feature map `(N, h, w, C)`, float32.
            student: what the network has made of the objective's views already.
            batch: everything the batch holds.
        """
        raise NotImplementedError

    def get_config(self):
        return super().get_config() | {"weight": self.weight, "seed": self.seed}
