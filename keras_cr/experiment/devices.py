"""The devices that a run goes on."""

import contextlib

from keras_cr._replicas import mirrored
from keras_cr.experiment.settings import Settings


def scope(settings: Settings) -> contextlib.AbstractContextManager:
    """What is built inside goes on the devices that settings name.

    Raises:
        ValueError: a batch does not divide by them.
    """
    if settings.strategy == "none":
        return contextlib.nullcontext()
    strategy = mirrored()
    if settings.batch_size % strategy.num_replicas_in_sync:
        raise ValueError(
            f"`batch_size` must divide by the {strategy.num_replicas_in_sync} devices of "
            f"strategy='mirrored'. Received: {settings.batch_size}"
        )
    return strategy.scope()
