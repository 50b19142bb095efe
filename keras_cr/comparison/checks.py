"""Whether the arms of a comparison can run, and differ: asked before the first one does."""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_cr._graphs import graphs_freed
from keras_cr.data import FineGrainedDataset
from keras_cr.experiment.build import build_encoder, build_rationale, check_images_suffice
from keras_cr.experiment.devices import scope
from keras_cr.experiment.settings import Settings
from keras_cr.rationale.options import BESIDE_AN_OBJECTIVE

_START = (
    *("init", "backbone", "output_stride", "num_detectors", "pooling", "precision"),
    "batch_size",  # which must divide by the devices
)
_OF_TRAINING = (
    *("objective", "objective_options", "auxiliary", "optimizer", "learning_rate", "weight_decay"),
    *("warmup_epochs", "backbone_lr_multiplier", "final_weight_decay", "refit"),
)


def check_arms(
    missing: Mapping[str, Settings],
    dataset: FineGrainedDataset,
    build_backbone: Callable[[], keras.Model] | None = None,
) -> None:
    """Refuses an arm that can't run and two arms that are the same.

    Args:
        missing: settings of one run of each arm by its name; the first one was checked already.
        dataset: the images.
        build_backbone: as for `keras_cr.experiment.Run.prepare`.

    Raises:
        ValueError: there is such an arm; the message names it.
        OSError, ImportError: an arm's initial weights are not there, or can't be loaded.
    """
    train, known, started = dataset.split("train"), {}, []
    for number, (name, settings) in enumerate(missing.items()):
        start = [getattr(settings, each) for each in _START]
        try:
            check_images_suffice(settings, train)
            if number and start not in started:
                with graphs_freed(), scope(settings):
                    build_encoder(settings, build_backbone)
        except ValueError as error:
            raise ValueError(f"`arms`: {name} can't run. {error}") from error
        started.append(start)
        run = repr(sorted(_of_the_run(settings, len(train)).items()))
        if run in known:
            raise ValueError(
                f"`arms` must differ: {known[run]} and {name} are the same run, since what is "
                "changed is as it was or has no effect. Leave one of them out."
            )
        known[run] = name


def _of_the_run(settings: Settings, images: int) -> dict[str, Any]:
    """What decides the numbers of a run, apart from its seed, as it has them."""
    rationale = build_rationale(settings, images)
    choices = rationale.get_config() if rationale else {}
    values = settings.of_the_run() | {"pooling": settings.told_pooling}
    idle = {"seed", "preset_name", "rationale_options"}
    if not settings.epochs:
        idle |= {*_OF_TRAINING, *BESIDE_AN_OBJECTIVE, "foregrounds"}
    return {name: value for name, value in (values | choices).items() if name not in idle}
