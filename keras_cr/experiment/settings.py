"""The settings of a run."""

import dataclasses
import math
from typing import Any

from keras_cr._numbers import as_sides, as_whole
from keras_cr.experiment.options import (
    read_interval,
    typed_auxiliary,
    typed_objective_options,
)
from keras_cr.models.encoder import POOLINGS
from keras_cr.models.output_stride import OUTPUT_STRIDES
from keras_cr.pretraining.divergence import check_on_nan
from keras_cr.rationale.options import named_rationale, typed_options

_LARGEST_SEED = 2**32 - 1  # that NumPy's generator for all takes
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
OPTIMIZERS = ("sgd", "adamw", "lars")
STRATEGIES = ("none", "mirrored", "multiworker")
RATIONALES = ("on", "off", "paper", "reference")
REFITS = ("on", "off")
_WORDS = {
    "optimizer": OPTIMIZERS,
    "strategy": STRATEGIES,
    "rationale": RATIONALES,
    "refit": REFITS,
    "precision": PRECISIONS,
}


def _setting(
    default: Any, run: bool = True, arm: bool = True, whole: bool = False, least: int | None = None
) -> Any:
    """A field and what else is known of it.

    Args:
        default: its value where none is given.
        run: whether it must be the same for a run to go on.
        arm: whether the arms of a comparison may differ in it.
        whole: whether it is a whole number, or None.
        least: the smallest one.
    """
    metadata = {"run": run, "arm": arm, "whole": whole or least is not None, "least": least}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything a run depends on. A recipe gives defaults, its flags change them.

    Args:
        dataset: name of the data set; with the backbone it names the preset.
        data_dir: the data set's folder in its official layout; None lets it be downloaded.
        output: folder for everything the run writes; None takes a new one under `runs/`.
        preset_name: name in the local store; None is DATASET_BACKBONE. A name that another run has
            there gets a number.
        overwrite: store the preset under its name even if another run has it, whose preset is
            replaced.
        backbone: `resnet18`, `resnet34`, `resnet50` or `squeezenet`; taken from `init` where that
            is a file or a preset.
        init: `none`, `imagenet`, a `.keras` file, another framework's checkpoint (`.pth`,
            `.safetensors`, ...; `hf://timm/convnext_tiny.fb_in1k`), a preset's name, folder or
            handle, or what `CommonRationaleEncoder.from_backbone` loads (`dinov2_small`).
        output_stride: pixels between two places of a convolutional backbone's map, 4, 8 or 16, see
            `keras_cr.models.output_stride`; None: as it is.
        objective: the self-supervised objective, a name of `keras_cr.pretraining.OBJECTIVES`.
        objective_options: arguments of its class that differ from its settings for small data
            (`small_data`), by name; None: none.
        auxiliary: weights of tasks that are learnt beside the objective, by their names in
            `keras_cr.pretraining.AUXILIARY`; None: none.
        rationale: `on`, `off` (the plain objective), `paper` (two views as the positive) or
            `reference` (the formulas of the release's path for MoCo, or for `byol`).
        rationale_options: choices of a `keras_cr.rationale.Rationale` that differ from what
            `rationale` names, by name; None: none.
        refit: `on` fits the branch of `rationale="on"` once more when the backbone is trained, to
            convergence and on all training images at once (`fit_rationale`); `off` keeps it as the
            training left it.
        pooling: what the encoder's embedding is, one of `keras_cr.models.encoder.POOLINGS`;
            `auto` is `average` with `rationale="off"`, `rationale_vlad` with `"on"`, and
            `rationale` with the others. An encoder that `init` names keeps its own,
            unless that is an average, plain or weighted, and `auto` is more.
        num_detectors: number of detectors in the rationale branch; None is 1, or 32 with
            `rationale="reference"`.
        epochs: number of passes over the training images; 0 leaves the backbone as it is and, with
            `rationale="on"`, fits the branch alone.
        batch_size: images a step.
        image_size: side of views and evaluation images in pixels.
        optimizer: `sgd`, `adamw`, or `lars` for large batches; the first and the last with a
            momentum of 0.9.
        learning_rate: of the heads and the branch at its highest; falls to 0 along a cosine.
        warmup_epochs: epochs over which the learning rate rises from 0 before it falls.
        backbone_lr_multiplier: the backbone's share of it; None is 1 from random weights and, with
            `sgd`, where the backbone has batch normalisation, and 0.1 from other pretrained ones.
        weight_decay: of all trained weights, times the learning rate at each step; with `lars` or
            `final_weight_decay` biases and normalisations are left out.
        final_weight_decay: what `weight_decay` becomes along a cosine, with `adamw` or `lars`; DINO
            goes from 0.04 to 0.4. None: it stays.
        validation_fraction: share of the training images that is evaluated in place of the test
            images, which are then not even read: what choices are made on. The same images for
            every `seed`. None evaluates the test images.
        protocols: names of `keras_cr.evaluation.PROTOCOLS`; None takes the default ones.
        controls: names of `keras_cr.evaluation.CONTROLS`, other poolings that the trained encoder
            is evaluated under; None: none.
        seed: of weights, order, views and the evaluation's draws.
        precision: `float32`, `mixed_bfloat16` or `mixed_float16`.
        strategy: `none`: one device; `mirrored`: all GPUs of this machine, or the devices that
            TensorFlow has been told of, each with its part of every batch. It changes nothing but
            the last digits. `multiworker` is refused: Keras 3 can't.
        skip_bad: leave unreadable images out instead of stopping before training.
        max_pixels: pixels an image may have at most, as its header says; a larger one is refused,
            or left out with `skip_bad`, before it takes any memory. None is the data set's own, as
            a rule 120 million.
        cache: `memory`, or a folder, keeps the decoded training images, so that each file is
            decoded once and not in every epoch; None keeps nothing. The views are the same.
        monitor_every: epochs from one k-NN accuracy on training images to the next; 0 for none.
        tensorboard: write what is watched to `output`/tensorboard as well.
        publish: `hf://org/name` on the Hugging Face Hub, which gets the preset at the end, or None.
        save_every: keeps the training's state within an epoch as well, every so many steps (`500`)
            or minutes (`10min`); None: after each epoch alone.
        on_nan: what becomes of a step whose loss or gradient is not finite: `stop` ends the run
            there, before its state is kept; `skip` leaves everything as it was before the step,
            and ends the run after ten in a row.
        resume: go on with the run in `output`.
    """

    dataset: str = _setting("images", arm=False)
    data_dir: str | None = _setting(None, run=False, arm=False)
    output: str | None = _setting(None, run=False, arm=False)
    preset_name: str | None = _setting(None, arm=False)
    overwrite: bool = _setting(False, run=False, arm=False)
    backbone: str = "resnet50"
    init: str = "none"
    output_stride: int | None = _setting(None, whole=True)
    objective: str = "moco"
    objective_options: dict[str, Any] | None = None
    auxiliary: dict[str, float] | None = None
    rationale: str = "on"
    rationale_options: dict[str, Any] | None = None
    refit: str = "on"
    pooling: str = _setting("auto", run=False)
    num_detectors: int | None = _setting(None, whole=True)
    epochs: int = _setting(100, least=0)
    batch_size: int = _setting(64, least=2)
    image_size: int = _setting(224, least=32)
    optimizer: str = "sgd"
    learning_rate: float = 0.03
    warmup_epochs: int = _setting(0, least=0)
    backbone_lr_multiplier: float | None = None
    weight_decay: float = 1e-4
    final_weight_decay: float | None = None
    validation_fraction: float | None = _setting(None, arm=False)
    protocols: tuple[str, ...] | None = _setting(None, run=False)
    controls: tuple[str, ...] | None = _setting(None, run=False)
    seed: int = _setting(0, arm=False, least=0)
    precision: str = "float32"
    strategy: str = _setting("none", run=False, arm=False)
    skip_bad: bool = False
    max_pixels: int | None = None
    cache: str | None = _setting(None, run=False)
    monitor_every: int = _setting(0, run=False, least=0)
    tensorboard: bool = _setting(False, run=False)
    publish: str | None = _setting(None, run=False, arm=False)
    save_every: str | None = _setting("15min", run=False, arm=False)
    on_nan: str = _setting("stop", run=False)
    resume: bool = _setting(False, run=False, arm=False)

    def __post_init__(self):
        self._take_numbers()
        if self.seed > _LARGEST_SEED:
            raise ValueError(f"`seed` must be {_LARGEST_SEED} or less. Received: {self.seed}")
        if self.max_pixels is not None and self.max_pixels < 1:
            raise ValueError(f"`max_pixels` must be 1 or more. Received: {self.max_pixels}")
        if self.pooling not in ("auto", *POOLINGS):
            raise ValueError(
                f"`pooling` must be auto or one of {', '.join(POOLINGS)}. "
                f"Received: {self.pooling!r}"
            )
        untrained = self.rationale == "off" and self.init in ("none", "imagenet")
        if untrained and self.pooling not in ("auto", "average"):
            raise ValueError(
                "`pooling` must be auto or average with rationale='off': the branch stays as it "
                f"was drawn. Received: {self.pooling!r}"
            )
        for name, words in _WORDS.items():
            if getattr(self, name) not in words:
                raise ValueError(
                    f"`{name}` must be one of {', '.join(words)}. Received: {getattr(self, name)!r}"
                )
        if self.output_stride not in (None, *OUTPUT_STRIDES):
            raise ValueError(
                f"`output_stride` must be one of {OUTPUT_STRIDES}. Received: {self.output_stride}"
            )
        self._check_rates()
        self._check_optimizer()
        self._check_strategy()
        if self.resume and self.output is None:
            raise ValueError("`resume` needs `output`, the folder of the run to go on with.")
        if self.validation_fraction is not None and not 0 < self.validation_fraction < 1:
            raise ValueError(
                "`validation_fraction` must lie between 0 and 1. "
                f"Received: {self.validation_fraction}"
            )
        check_on_nan(self.on_nan)
        if self.save_every is not None:
            read_interval(self.save_every)
        if self.rationale_options is not None:
            self._check_rationale_options()
        self._check_objective_options()
        self._check_auxiliary()

    def _take_numbers(self) -> None:
        """NumPy's integers and square pairs become plain ones, which JSON can hold."""
        for field in dataclasses.fields(self):
            name, least, value = field.name, field.metadata.get("least"), getattr(self, field.name)
            if not field.metadata.get("whole") or value is field.default is None:
                continue
            sides = as_sides(value) if name == "image_size" else None
            number = sides[0] if sides and sides[0] == sides[1] else as_whole(value)
            if number is None:
                raise ValueError(f"`{name}` must be an integer. Received: {name}={value!r}")
            if least is not None and number < least:
                raise ValueError(f"`{name}` must be {least} or more. Received: {number}")
            object.__setattr__(self, name, number)

    def _check_rates(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(
                f"`learning_rate` must be positive and finite. Received: {self.learning_rate}"
            )
        for name in ("weight_decay", "backbone_lr_multiplier"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"`{name}` must be 0 or more, and finite. Received: {value}")

    def _check_optimizer(self) -> None:
        if 0 < self.epochs <= self.warmup_epochs:
            raise ValueError(
                f"`warmup_epochs` must be below `epochs`, {self.epochs}. "
                f"Received: {self.warmup_epochs}"
            )
        if self.final_weight_decay is None:
            return
        if self.optimizer == "sgd":
            raise ValueError(
                "`final_weight_decay` needs optimizer='adamw' or optimizer='lars'. "
                f"Received: optimizer={self.optimizer!r}"
            )
        if not (self.weight_decay > 0 and 0 <= self.final_weight_decay < math.inf):
            raise ValueError(
                "`final_weight_decay` must be 0 or more, and `weight_decay`, from which it is "
                f"reached, above 0. Received: final_weight_decay={self.final_weight_decay}, "
                f"weight_decay={self.weight_decay}"
            )

    def _check_strategy(self) -> None:
        if self.strategy == "multiworker":
            raise ValueError(
                "`strategy` can't be 'multiworker': Keras 3 does not train under TensorFlow's "
                "MultiWorkerMirroredStrategy, whatever the model (keras-team/keras issue 20585). "
                "Take strategy='mirrored', the devices of one machine."
            )

    def _check_rationale_options(self) -> None:
        if self.rationale == "off":
            raise ValueError(
                "`rationale_options` has no effect with rationale='off'; leave one of them out."
            )
        try:
            options = typed_options(self.rationale_options)  # type: ignore[arg-type]
            named_rationale(self.rationale, options, self.objective)
        except ValueError as error:
            raise ValueError(f"`rationale_options`: {error}") from error
        object.__setattr__(self, "rationale_options", options or None)

    def _check_objective_options(self) -> None:
        try:
            options = typed_objective_options(self.objective, self.objective_options or {})
        except ValueError as error:
            raise ValueError(f"`objective_options`: {error}") from error
        object.__setattr__(self, "objective_options", options or None)

    def _check_auxiliary(self) -> None:
        try:
            tasks = typed_auxiliary(self.auxiliary or {})
        except ValueError as error:
            raise ValueError(f"`auxiliary`: {error}") from error
        if self.objective == "pretext" and not tasks:
            raise ValueError(
                "`auxiliary` must name the tasks that objective='pretext' is to learn, such as "
                f"rotation=1. Received: {self.auxiliary!r}"
            )
        object.__setattr__(self, "auxiliary", tasks or None)

    @property
    def refits(self) -> bool:
        """Whether the branch is fitted once more after training: where a frozen one can be."""
        if self.refit == "off" or self.rationale != "on":
            return False
        rationale = named_rationale(self.rationale, self.rationale_options, self.objective)
        return not rationale.explains_objective and rationale.lr_multiplier > 0

    @property
    def pooled_by(self) -> str:
        """The pooling of a new encoder."""
        if self.pooling != "auto":
            return self.pooling
        return {"off": "average", "on": "rationale_vlad"}.get(self.rationale, "rationale")

    @property
    def told_pooling(self) -> str | None:
        """The pooling, or None: an encoder that `init` names may have its own."""
        told = self.pooling != "auto" or self.init in ("none", "imagenet")
        return self.pooled_by if told else None

    def of_the_run(self) -> dict:
        """The settings that must be the same for a run to be resumed."""
        return self._which(of_the_run=True)

    def others(self) -> dict:
        """The settings that a run that goes on may change, but for where it is and goes."""
        places = ("output", "resume", "publish", "overwrite")
        return {n: v for n, v in self._which(of_the_run=False).items() if n not in places}

    def _which(self, of_the_run: bool) -> dict:
        values, fields = dataclasses.asdict(self), dataclasses.fields(self)
        return {f.name: values[f.name] for f in fields if f.metadata.get("run", True) == of_the_run}
