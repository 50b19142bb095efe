"""The settings of a run, and the flags all recipes share."""

import argparse
import dataclasses
from collections.abc import Collection
from pathlib import Path

from keras_cr.evaluation.protocols import PROTOCOLS, check_protocols
from keras_cr.models.resnet import BACKBONES

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
_NOT_PART_OF_A_RUN = (
    "output",
    "resume",
    "data_dir",
    "protocols",
    "monitor_every",
    "tensorboard",
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything a run depends on. A recipe gives defaults, its flags change them.

    Args:
        dataset: name of the data set; with the backbone it names the preset.
        data_dir: the data set's folder in its official layout; None lets it be downloaded.
        output: folder for everything the run writes; None takes a new one under `runs/`.
        preset_name: name in the local store; None is DATASET_BACKBONE.
        backbone: `resnet18`, `resnet34` or `resnet50`; taken from `init` where that is a file or a
            preset.
        init: `none`, `imagenet`, a `.keras` file, or a preset's name, folder or handle.
        objective: the self-supervised objective: `moco`.
        rationale: `on`, `off` (the plain objective), `paper` (two views as the positive) or
            `reference` (the release's formulas).
        num_detectors: number of detectors in the rationale branch; None is 1, or 32 with
            `rationale="reference"`.
        epochs: number of passes over the training images; 0 leaves the backbone as it is and, with
            `rationale="on"`, fits the branch alone.
        batch_size: images a step.
        image_size: side of views and evaluation images in pixels.
        optimizer: `sgd` (momentum 0.9) or `adamw`.
        learning_rate: of the heads and the branch at the start; falls to 0 along a cosine.
        backbone_lr_multiplier: the backbone's share of it; None is 1 from random weights and 0.1
            from pretrained ones.
        weight_decay: of all trained weights, times the learning rate at each step.
        momentum: of the momentum encoder.
        temperature: of the contrastive loss.
        queue_size: old keys that serve as negatives; None is the largest power of two that the
            training images fill, at most 65,536.
        protocols: names of `keras_cr.evaluation.PROTOCOLS`; None takes the default ones.
        seed: of weights, order, views and the evaluation's draws.
        precision: `float32`, `mixed_bfloat16` or `mixed_float16`.
        skip_bad: leave unreadable images out instead of stopping before training.
        monitor_every: epochs from one k-NN accuracy on training images to the next; 0 for none.
        tensorboard: write what is watched to `output`/tensorboard as well.
        resume: go on with the run in `output`.
    """

    dataset: str = "images"
    data_dir: str | None = None
    output: str | None = None
    preset_name: str | None = None
    backbone: str = "resnet50"
    init: str = "none"
    objective: str = "moco"
    rationale: str = "on"
    num_detectors: int | None = None
    epochs: int = 100
    batch_size: int = 64
    image_size: int = 224
    optimizer: str = "sgd"
    learning_rate: float = 0.03
    backbone_lr_multiplier: float | None = None
    weight_decay: float = 1e-4
    momentum: float = 0.99
    temperature: float = 0.2
    queue_size: int | None = None
    protocols: tuple[str, ...] | None = None
    seed: int = 0
    precision: str = "float32"
    skip_bad: bool = False
    monitor_every: int = 0
    tensorboard: bool = False
    resume: bool = False

    def __post_init__(self):
        leasts = {"epochs": 0, "batch_size": 2, "image_size": 32, "monitor_every": 0}
        for name, least in leasts.items():
            if getattr(self, name) < least:
                raise ValueError(
                    f"--{name.replace('_', '-')} must be {least} or more. "
                    f"Received: {getattr(self, name)}"
                )
        if self.learning_rate <= 0:
            raise ValueError(f"--learning-rate must be positive. Received: {self.learning_rate}")
        if self.resume and self.output is None:
            raise ValueError("--resume needs --output, the folder of the run to go on with.")

    def of_the_run(self) -> dict:
        """The settings that must be the same for a run to be resumed."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if name not in _NOT_PART_OF_A_RUN}


def parse_settings(description: str, argv: list[str] | None = None, **defaults) -> Settings:
    """Reads a recipe's flags.

    Args:
        description: the recipe's docstring.
        argv: the arguments; None takes the command line's.
        **defaults: the recipe's settings, by the names of `Settings`.

    Raises:
        SystemExit: a flag is unknown or its value can't be; the message says which.
    """
    parser = settings_parser(description, **defaults)
    try:
        return Settings(**vars(parser.parse_args(argv)))
    except ValueError as error:
        parser.error(str(error))


def settings_parser(
    description: str, without: Collection[str] = (), **defaults
) -> argparse.ArgumentParser:
    """The parser behind `parse_settings`, for programs that add flags of their own.

    Args:
        description: the recipe's docstring.
        without: flags that are left out, such as `"--seed"`; their settings keep the default.
        **defaults: the recipe's settings, by the names of `Settings`.

    Returns:
        A parser whose namespace holds every field of `Settings`.
    """
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    default = dataclasses.asdict(Settings(**defaults))
    parser.set_defaults(**default)
    for flag, options in _flags().items():
        if flag in without:
            continue
        name = flag.strip("-").replace("-", "_")
        shown = default[name]
        if shown is not None and shown is not False:
            options["help"] += f" (default: {shown})"
        parser.add_argument(flag, default=default[name], **options)
    return parser


def _flags() -> dict[str, dict]:
    switch = {"action": "store_true"}
    return {
        "--data-dir": {"help": "the data set's folder in its official layout; none: download it"},
        "--output": {"help": "folder for what the run writes (default: a new one under runs/)"},
        "--preset-name": {"help": "name in the local store (default: DATASET_BACKBONE)"},
        "--backbone": {"choices": sorted(BACKBONES), "help": "the network that is trained"},
        "--init": {"help": "imagenet, none, a .keras file, or a preset", "type": _init},
        "--objective": {"choices": ["moco"], "help": "the self-supervised objective"},
        "--rationale": {
            "choices": ["on", "off", "paper", "reference"],
            "help": "the rationale branch; paper: the GradCAM of the objective's own loss; "
            "reference: the authors' release's formulas",
        },
        "--num-detectors": {"type": int, "help": "detectors of the branch (default: 1)"},
        "--epochs": {
            "type": int,
            "help": "passes over the training images; 0: fit the branch alone, if any",
        },
        "--batch-size": {"type": int, "help": "images a step"},
        "--image-size": {"type": int, "help": "side of the images in pixels"},
        "--optimizer": {"choices": ["sgd", "adamw"], "help": "sgd has a momentum of 0.9"},
        "--learning-rate": {"type": float, "help": "of heads and branch, at the start"},
        "--backbone-lr-multiplier": {
            "type": float,
            "help": "the backbone's share of it (default: 1 from scratch, 0.1 from --init)",
        },
        "--weight-decay": {"type": float, "help": "of all trained weights"},
        "--momentum": {"type": float, "help": "of the momentum encoder"},
        "--temperature": {"type": float, "help": "of the contrastive loss"},
        "--queue-size": {"type": int, "help": "old keys kept as negatives"},
        "--protocols": {
            "type": _protocols,
            "help": f"how to evaluate: all, or some of {', '.join(PROTOCOLS)} with commas "
            "between (default: all but linear_probe_sgd)",
        },
        "--seed": {"type": int, "help": "of weights, order, views and evaluation"},
        "--precision": {"choices": PRECISIONS, "help": "dtype policy"},
        "--skip-bad": switch | {"help": "leave unreadable images out instead of stopping"},
        "--monitor-every": {
            "type": int,
            "help": "log the k-NN accuracy of training images every so many epochs; 0: never",
        },
        "--tensorboard": switch | {"help": "write what is watched to OUTPUT/tensorboard as well"},
        "--resume": switch | {"help": "go on with the run in --output"},
    }


def _init(value: str) -> str:
    if value.endswith(".keras") and not Path(value).is_file():
        raise argparse.ArgumentTypeError(f"no such file: {value}")
    return value


def _protocols(value: str) -> tuple[str, ...]:
    try:
        return check_protocols(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
