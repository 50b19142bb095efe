"""A recipe's whole program."""

import contextlib
import contextvars
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_cr._text import encodable_output, plain_warnings
from keras_cr.data import Augmentation
from keras_cr.experiment.checkpoints import DamagedError
from keras_cr.experiment.ending import in_one_line
from keras_cr.experiment.flags import parse_settings
from keras_cr.experiment.run import ReadDataset, Run
from keras_cr.experiment.stopping import signals
from keras_cr.presets import HubError
from keras_cr.pretraining.divergence import DivergedError

_TAKES_OVER: contextvars.ContextVar[Callable | None] = contextvars.ContextVar(
    "takes_over", default=None
)


@contextlib.contextmanager
def taking_over(instead: Callable) -> Iterator[None]:
    """Has `main` call `instead(read, build_backbone=..., augmentation=...)`, and run nothing."""
    token = _TAKES_OVER.set(instead)
    try:
        yield
    finally:
        _TAKES_OVER.reset(token)


def main(
    description: str,
    read: ReadDataset,
    build_backbone: Callable[[], keras.Model] | None = None,
    augmentation: Augmentation | None = None,
    **defaults: Any,
) -> dict:
    """A recipe's whole program: flags, run, and mistakes told in one line.

    Args:
        description: the recipe's docstring, shown by `--help`.
        read: as for `Run.prepare`.
        build_backbone: as for `Run.prepare`.
        augmentation: as for `Run.prepare`.
        **defaults: the recipe's settings, by the names of `Settings`.
    """
    encodable_output()
    if (instead := _TAKES_OVER.get()) is not None:
        return instead(read, build_backbone=build_backbone, augmentation=augmentation)
    settings = parse_settings(description, **defaults)
    with in_one_line(ValueError, OSError, ImportError), plain_warnings(), signals(at_once=True):
        prepared = Run.prepare(settings, read, build_backbone, augmentation)
    way_on = f"`resume` `output` {shlex.quote(str(prepared.output))}"
    ending = in_one_line(HubError, OSError, DivergedError, DamagedError, way_on=way_on)
    with ending, plain_warnings(), signals(at_once=True):
        return prepared.execute()
