"""Functional models that are saved as the arguments they were built with."""

import keras


class Described(keras.Model):
    """A functional model whose config is its constructor's arguments.

    `keras.Model`'s own would list every layer. A subclass names what it has beside `input_shape`,
    `seed`, `dtype`, `name` and `trainable`, and keeps each under its name.
    """

    arguments: tuple[str, ...] = ()

    def get_config(self):
        own = {name: _plain(getattr(self, name)) for name in self.arguments}
        return own | {
            "input_shape": list(self.input_shape[1:]),
            "seed": self.seed,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if config.get("dtype") is not None:
            config["dtype"] = keras.dtype_policies.get(config["dtype"])
        return cls(**config)


def _plain(value):
    """Lists for tuples, as JSON has them."""
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
