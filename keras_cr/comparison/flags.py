"""The flags of a comparison: those of a recipe but for what arms and seeds decide, and its own."""

import argparse
from collections.abc import Mapping
from typing import Any

from keras_cr.comparison.arms import ARMS, Arm, arm_of
from keras_cr.evaluation import CONTROLS
from keras_cr.experiment.flags import settings_parser, told_in_flags
from keras_cr.experiment.settings import Settings

SEEDS = (0, 1, 2)
REFUSED = {  # flags of one run
    "--seed": "a comparison has several: --seeds",
    "--rationale": "the arms differ in it: --arms",
    "--rationale-options": "the arms differ in them: --arms rationale:NAME=VALUE,...",
    "--resume": "a comparison always goes on with what is in --output",
    "--preset-name": "a comparison stores no preset by name; every run's folder has one",
    "--overwrite": "a comparison stores no preset by name; what is in --output is never replaced",
    "--publish": "a comparison publishes nothing; publish a run's preset/ with keras-cr presets",
}


def parse_comparison(
    description: str, recipes: Mapping[str, dict], argv: list[str] | None
) -> tuple[Settings, dict]:
    """Reads the flags of `recipes/compare.py`.

    Args:
        description: its docstring.
        recipes: as for `keras_cr.comparison.compare.main`.
        argv: the arguments; None takes the command line's.

    Returns:
        The settings that the arms share, and the other arguments of `Comparison.prepare`.

    Raises:
        SystemExit: a flag is unknown or its value can't be; the message says which.
    """
    dataset: dict[str, Any] = {"choices": tuple(recipes), "default": next(iter(recipes))}
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--dataset", **dataset)  # decides the other flags' defaults
    recipe = dict(recipes[early.parse_known_args(argv)[0].dataset])
    recipe = {"controls": tuple(CONTROLS), **recipe}
    options = {name: recipe.pop(name, None) for name in ("read", "build_backbone", "augmentation")}

    parser = settings_parser(description, without=("--output", *REFUSED), **recipe)
    for flag in REFUSED:
        parser.add_argument(flag, action=_Refuse, nargs="*", help=argparse.SUPPRESS)
    parser.add_argument(
        "--dataset",
        dest="recipe",
        help=f"whose recipe the arms share (default: {dataset['default']})",
        **dataset,
    )
    parser.add_argument(
        "--arms",
        nargs="+",
        type=_arm,
        default=list(ARMS.values()),
        metavar="ARM[:NAME=VALUE,...]",
        help=f"some of {', '.join(ARMS)}; after a colon choices of keras_cr.pretraining.Rationale "
        "or settings that it changes, such as posthoc:prior=none,k=5 (default: all)",
    )
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=SEEDS, help="one run of every arm for each"
    )
    parser.add_argument(
        "--baseline",
        type=_arm,
        metavar="ARM",
        help="the one whose average pooling the others are compared with (default: plain, or the "
        "first)",
    )
    parser.add_argument(
        "-o",
        "--output",
        help="folder for runs and tables; what is there already is not run again (default: "
        "runs/compare_DATASET)",
    )
    values = vars(parser.parse_args(argv))
    del values["recipe"]
    options |= {name: values.pop(name) for name in ("arms", "seeds")}
    baseline = values.pop("baseline")
    options["baseline"] = baseline.name if baseline else None
    try:
        return Settings(**values), options
    except ValueError as error:
        parser.error(told_in_flags(error))


def _arm(text: str) -> Arm:
    try:
        return arm_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


class _Refuse(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        parser.error(f"{option_string}: {REFUSED[option_string]}")
