"""Make a recipe's run again, and compare.

`keras-cr rerun FOLDER` reads in FOLDER with which settings, seed and data the run was made, makes
it again into a new folder, and sets `history.csv` and `metrics.json` of both side by side: the
numbers that differ most, or that all are the same to the last bit. The exit status is 1 where one
differs by more than --tolerance. Other images, labels or splits are refused; other versions,
another commit or machine are told. The program that made the run is run, if it lies below the
current directory and is as it was; any other has to be named.
"""

import argparse
import math
import os
import runpy
import sys
from pathlib import Path

_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of a run that is whole")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="NEW",
        help="the folder of the new run (default: FOLDER-rerun)",
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where the data set is now, if it was moved"
    )
    parser.add_argument(
        "--recipe",
        type=Path,
        metavar="FILE",
        help="the program that calls keras_cr.experiment.main (default: the one that made the run)",
    )
    parser.add_argument(
        "--tolerance",
        type=_tolerance,
        default=0.0,
        metavar="D",
        help="how far a number may be from what it was (default: 0, the same to the last bit)",
    )


def run(args: argparse.Namespace) -> None:
    from keras_cr.experiment.rerun import rerun_recipe

    numbers = rerun_recipe(args.folder, _start, args.output, args.recipe, args.data_dir)
    apart = [number for number in numbers if number.difference > 0]
    if not apart:
        print(f"{len(numbers)} numbers, the same to the last bit.")
        return
    width = max(len(number.name) for number in apart[:_SHOWN])
    print(f"{'':<{width}}  {'then':>14}  {'now':>14}  {'difference':>11}")
    for each in apart[:_SHOWN]:
        then, now = (f"{'-' if v is None else format(v, '.7g'):>14}" for v in (each.then, each.now))
        print(f"{each.name:<{width}}  {then}  {now}  {each.difference:>11.3g}")
    most = apart[0]
    told = f"{len(apart)} of {len(numbers)} numbers differ, by at most {most.difference:.3g}"
    if most.difference > args.tolerance:
        raise ValueError(f"{told} ({most.name}); `tolerance` is {args.tolerance:g}.")
    print(f"{told}, within {args.tolerance:g}.")


def _start(file: str) -> None:
    """Runs a program as Python would, in this process."""
    argv, path = sys.argv, sys.path
    sys.argv, sys.path = [file], [os.path.dirname(os.path.abspath(file)), *path]
    try:
        runpy.run_path(file, run_name="__main__")
    finally:
        sys.argv, sys.path = argv, path


def _tolerance(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be 0 or more; received {value!r}")
    return number
