"""The flags all recipes share."""

import argparse
import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

from keras_cr._flags import flags_of, in_flags
from keras_cr.evaluation.controls import CONTROLS, check_controls
from keras_cr.evaluation.protocols import PROTOCOLS, check_protocols
from keras_cr.experiment.build import CHECKPOINTS
from keras_cr.experiment.settings import (
    OPTIMIZERS,
    PRECISIONS,
    RATIONALES,
    REFITS,
    STRATEGIES,
    Settings,
)
from keras_cr.models.backbones import BACKBONES
from keras_cr.models.encoder import POOLINGS
from keras_cr.models.output_stride import OUTPUT_STRIDES
from keras_cr.presets.hub import SCHEME, parse_handle
from keras_cr.pretraining import AUXILIARY, OBJECTIVES
from keras_cr.pretraining.divergence import ON_NAN
from keras_cr.rationale.options import pairs


def parse_settings(description: str, argv: list[str] | None = None, **defaults: Any) -> Settings:
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
        parser.error(told_in_flags(error))


def told_in_flags(error: Exception | str) -> str:
    """What an error or a message says of settings, and of a comparison's, in a recipe's flags."""
    flags = flags_of(settings_parser("")._actions)
    of_comparisons = {name: (f"--{name}", False) for name in ("arms", "seeds", "baseline")}
    return in_flags(str(error), flags | of_comparisons)


def settings_parser(
    description: str, without: Collection[str] = (), **defaults: Any
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
        parser.add_argument(*_SHORT.get(flag, ()), flag, default=default[name], **options)
    return parser


def read_setting(name: str, value: str) -> Any:
    """The value of one setting, of text for its flag.

    Raises:
        ValueError: no flag sets it, or not to such a value.
    """
    flag = "--" + name.replace("_", "-")
    if (options := _flags().get(flag)) is None:
        raise ValueError(f"{name}: neither a choice of a rationale nor a setting of a run.")
    if options.get("action") == "store_true":
        options = {"type": {"true": True, "false": False}.__getitem__}
    try:
        typed = options.get("type", str)(value)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"{flag} can't be {value!r}: {error}") from error
    except (KeyError, ValueError) as error:
        raise ValueError(f"{flag} can't be {value!r}.") from error
    if typed not in (choices := options.get("choices", [typed])):
        raise ValueError(f"{flag} can't be {value!r}; choose from {', '.join(choices)}.")  # type: ignore[arg-type]
    return typed


_SHORT = {"--output": ("-o",)}


def _flags() -> dict[str, dict]:
    switch = {"action": "store_true"}
    return {
        "--data-dir": {"help": "the data set's folder in its official layout; none: download it"},
        "--output": {"help": "folder for what the run writes (default: a new one under runs/)"},
        "--preset-name": {"help": "name in the local store (default: DATASET_BACKBONE)"},
        "--overwrite": switch
        | {"help": "replace the preset of that name in the local store; else a number is added"},
        "--backbone": {"choices": sorted(BACKBONES), "help": "the network that is trained"},
        "--init": {
            "help": "weights at the start: imagenet (a ResNet's are downloaded once, 45 to 98 MB; "
            "squeezenet's come with the package), none (random), a .keras file, a checkpoint "
            "(.pth, .safetensors), or a preset",
            "type": _init,
        },
        "--output-stride": {
            "type": _output_stride,
            "metavar": "{4,8,16,none}",
            "help": "pixels between two places of the map: a finer one, of a convolutional "
            "backbone; none: as it is",
        },
        "--objective": {"choices": sorted(OBJECTIVES), "help": "what is learnt from images"},
        "--objective-options": {
            "type": _options,
            "metavar": "NAME=VALUE,...",
            "help": "arguments of its class that differ from its settings for small data, such as "
            "temperature=0.1",
        },
        "--auxiliary": {
            "type": _options,
            "metavar": "NAME=WEIGHT,...",
            "help": f"weights of tasks beside the objective, {', '.join(AUXILIARY)}, such as "
            "rotation=0.1; its own weight is --objective-options objective_weight=0.9",
        },
        "--rationale": {
            "choices": RATIONALES,
            "help": "the rationale branch; paper: the GradCAM of the objective's own loss; "
            "reference: the authors' release's formulas",
        },
        "--rationale-options": {
            "type": _options,
            "metavar": "NAME=VALUE,...",
            "help": "choices of keras_cr.rationale.Rationale that differ from it, such as "
            "k=5,temperature=0.2",
        },
        "--refit": {
            "choices": REFITS,
            "help": "fit the branch of --rationale on once more, to convergence, after training",
        },
        "--pooling": {
            "choices": ["auto", *POOLINGS],
            "help": "what the embedding is; auto: the average without a rationale, rationale_vlad "
            "(by a vocabulary of what the rationale marks) with --rationale on, else the "
            "rationale's average",
        },
        "--num-detectors": {"type": int, "help": "detectors of the branch (default: 1)"},
        "--epochs": {
            "type": int,
            "help": "passes over the training images; 0: fit the branch alone, if any",
        },
        "--batch-size": {"type": int, "help": "images a step"},
        "--image-size": {"type": int, "help": "side of the images in pixels"},
        "--optimizer": {
            "choices": OPTIMIZERS,
            "help": "sgd and lars (for large batches) have a momentum of 0.9",
        },
        "--learning-rate": {"type": float, "help": "of heads and branch, at its highest"},
        "--warmup-epochs": {"type": int, "help": "epochs over which it rises from 0"},
        "--backbone-lr-multiplier": {
            "type": float,
            "help": "the backbone's share of it (default: 1 from scratch and, with sgd, where the "
            "backbone has batch normalisation; 0.1 from another --init)",
        },
        "--weight-decay": {
            "type": float,
            "help": "of all trained weights; with lars not of biases and normalisations",
        },
        "--final-weight-decay": {
            "type": float,
            "help": "what it becomes along a cosine, with adamw or lars, not of biases and "
            "normalisations (default: it stays)",
        },
        "--validation-fraction": {
            "type": float,
            "help": "evaluate such a share of the training images, held out, and leave the test "
            "images alone: to make choices by",
        },
        "--protocols": {
            "type": _protocols,
            "help": f"how to evaluate: all, or some of {', '.join(PROTOCOLS)} with commas "
            "between (default: all but linear_probe_sgd)",
        },
        "--controls": {
            "type": _controls,
            "help": "other poolings to evaluate the trained encoder under: all, none, or some of "
            f"{', '.join(CONTROLS)} with commas between",
        },
        "--seed": {"type": int, "help": "of weights, order, views and evaluation"},
        "--precision": {"choices": PRECISIONS, "help": "dtype policy"},
        "--strategy": {
            "choices": STRATEGIES,
            "help": "mirrored: on all GPUs of this machine, each with its part of every batch",
        },
        "--skip-bad": switch | {"help": "leave unreadable images out instead of stopping"},
        "--max-pixels": {
            "type": int,
            "metavar": "N",
            "help": "pixels an image may have at most; its header tells (default: 120 million)",
        },
        "--cache": {
            "metavar": "memory|DIR",
            "help": "keep the decoded training images, in memory or in a folder that later runs "
            "share, instead of decoding them in every epoch",
        },
        "--monitor-every": {
            "type": int,
            "help": "log the k-NN accuracy of training images every so many epochs; 0: never",
        },
        "--tensorboard": switch | {"help": "write what is watched to OUTPUT/tensorboard as well"},
        "--publish": {
            "type": _handle,
            "metavar": "ORG/NAME",
            "help": "publish the preset there on the Hugging Face Hub at the end",
        },
        "--save-every": {
            "metavar": "STEPS|MINUTESmin",
            "help": "keep the training's state within an epoch too, such as every 500 steps or "
            "10min, so that a run that is cut off loses no more",
        },
        "--on-nan": {
            "choices": ON_NAN,
            "help": "at a step whose loss or gradient is not finite: stop, or skip it, up to ten "
            "in a row",
        },
        "--resume": switch | {"help": "go on with the run in --output"},
    }


def _output_stride(value: str) -> int | None:
    if value not in ("none", *map(str, OUTPUT_STRIDES)):
        told = ", ".join(map(str, OUTPUT_STRIDES))
        raise argparse.ArgumentTypeError(f"must be {told}, or none: as it is; received {value!r}")
    return None if value == "none" else int(value)


def _init(value: str) -> str:
    if value.endswith((".keras", *CHECKPOINTS)) and not Path(value).is_file():
        raise argparse.ArgumentTypeError(f"no such file: {value}")
    return value


def _handle(value: str) -> str:
    handle = value if value.startswith(SCHEME) else SCHEME + value
    try:
        _, revision = parse_handle(handle)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if revision is not None:
        raise argparse.ArgumentTypeError(f"leave '@{revision}' out: a new commit is made")
    return handle


def _options(value: str) -> dict[str, str]:
    try:
        return pairs(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _protocols(value: str) -> tuple[str, ...]:
    try:
        return check_protocols(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _controls(value: str) -> tuple[str, ...] | None:
    if value == "none":
        return None
    try:
        return check_controls(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
