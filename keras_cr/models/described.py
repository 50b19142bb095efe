"""Functional models that are saved as the arguments they were built with."""

from typing import Any, Self

import keras

from keras_cr._types import Config, Dtype


class Described(keras.Model):
    """A functional model whose config is its constructor's arguments.

    `keras.Model`'s own would list every layer. A subclass names what it has beside `input_shape`,
    `seed`, `dtype`, `name` and `trainable`, and keeps them with `keep` once it is built.
    """

    arguments: tuple[str, ...] = ()

    def keep(self, seed: int | None, dtype: Dtype, trainable: bool, **arguments: Any) -> None:
        """Keeps what the model was built with, each under its name."""
        for name, value in arguments.items():
            setattr(self, name, value)
        self.seed = seed
        if dtype is not None:
            self.dtype_policy = keras.dtype_policies.get(dtype)
        self.trainable = trainable  # now that there are layers to pass it on to

    def get_config(self) -> Config:
        own = {name: _plain(getattr(self, name)) for name in self.arguments}
        return own | {
            "input_shape": list(self.input_shape[1:]),
            "seed": self.seed,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        config = dict(config)
        if config.get("dtype") is not None:
            config["dtype"] = keras.dtype_policies.get(config["dtype"])
        return cls(**config)


def _plain(value):
    """Lists for tuples, as JSON has them."""
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
