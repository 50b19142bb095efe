"""Evaluate an encoder on images with labels.

Prints retrieval, linear probe and k-NN accuracy, under the encoder's own pooling and under plain
average pooling. With -o, DIR gets every number and its protocol: `metrics.json`, `metrics.csv` (a
row a number), `per_image.csv` (a row a test image), `report.html` and `report.md`.
"""

import argparse
import contextlib
import datetime
import json
from pathlib import Path
from typing import TYPE_CHECKING

from keras_cr._progress import Progress, announce
from keras_cr.cli._arguments import (
    add_encoder,
    add_overwrite,
    add_strategy,
    load_encoder,
    seed,
)
from keras_cr.cli._images import checked
from keras_cr.cli._output import check_folder, folder_output

if TYPE_CHECKING:
    from keras_cr.data import FineGrainedDataset
    from keras_cr.evaluation import Evaluation

OUTPUTS = ("metrics.json", "metrics.csv", "per_image.csv", "report.html", "report.md")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_encoder(parser)
    add_strategy(parser)
    parser.add_argument("--data-dir", required=True, metavar="DIR", help="the data set's folder")
    parser.add_argument(
        "--dataset",
        required=True,
        choices=sorted(READERS),
        help="its layout: cub, cars and aircraft, as published; folder, one folder a class, or "
        "train and test folders of such folders. Where there is no test folder, the fifth that "
        "recipes/train_folder.py sets aside is held out, whatever the --seed",
    )
    parser.add_argument(
        "--protocols",
        metavar="NAMES",
        help="how to evaluate: all, or names of keras_cr.evaluation.PROTOCOLS with commas between "
        "(default: all but linear_probe_sgd)",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, help="of the evaluation's draws (default: 0)"
    )
    parser.add_argument(
        "--checkpoint-rule",
        metavar="TEXT",
        help="how the encoder's weights were chosen, for the reader (default: as stored in the "
        "preset)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="folder for all numbers and a report"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the content of metrics.json and nothing else"
    )
    add_overwrite(parser)


def run(args: argparse.Namespace) -> None:
    output = args.output and args.output.expanduser()
    if output:
        check_folder(output, OUTPUTS, args.overwrite)
    with Progress("Starting Keras", verbose=2):
        from keras_cr.evaluation import evaluate_features, extract

    protocols = _protocols(args)
    encoder, image_size = load_encoder(args)
    dataset, skipped = checked(READERS[args.dataset](args.data_dir), args)
    rule = args.checkpoint_rule or f"as stored in the preset {args.preset}"
    announce(f"Reading {len(dataset)} images of {dataset.name!r} ...")
    with folder_output(output, OUTPUTS) if output else contextlib.nullcontext() as folder:
        features = extract(encoder, dataset, image_size, args.batch_size)
        evaluation = evaluate_features(features, protocols, args.seed, rule)
        evaluation.metrics["protocol"]["skipped_images"] = len(skipped)
        if output:
            write(folder, evaluation, args)  # type: ignore[arg-type]
    print(_json(evaluation.metrics) if args.json else summary(evaluation.metrics, args.preset))
    if output and not args.json:
        print(f"Wrote {output}.")


def write(folder: Path, evaluation: "Evaluation", args: argparse.Namespace) -> None:
    """Writes all the files."""
    from keras_cr.evaluation import write_per_image, write_records
    from keras_cr.evaluation.report import write_markdown, write_report

    metrics = evaluation.metrics
    (folder / "metrics.json").write_text(_json(metrics) + "\n", encoding="utf-8")
    write_records(metrics, folder / "metrics.csv")
    write_per_image(evaluation, folder / "per_image.csv")
    title = f"{args.preset} on {metrics['protocol']['dataset']}"
    source = {
        "preset": args.preset,
        "command": args.command_line,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    write_report(folder / "report.html", title, evaluation, source=source)
    write_markdown(folder / "report.md", title, evaluation, source=source)


def summary(metrics: dict, name: str) -> str:
    """The table, what it has no column for, and why a number is missing."""
    from keras_cr.evaluation import PROTOCOLS, format_table
    from keras_cr.evaluation.table import COLUMNS

    stated = metrics["protocol"]
    columns = {metric.protocol for metric in COLUMNS}
    others = [protocol for protocol in PROTOCOLS if protocol in stated and protocol not in columns]
    lines = [format_table({name: metrics})]
    if others:
        lines.append(f"Also measured (see -o, --json): {', '.join(others)}.")
    lines += [f"Not measured: {protocol}, {why}." for protocol, why in stated["missing"].items()]
    return "\n".join(lines)


def _cub(data_dir: str) -> "FineGrainedDataset":
    from keras_cr.data import read_cub

    return read_cub(data_dir)


def _folder(data_dir: str) -> "FineGrainedDataset":
    from keras_cr.data import read_image_folder

    return read_image_folder(data_dir, test_fraction=None)


def _cars(data_dir: str) -> "FineGrainedDataset":
    from keras_cr.data import read_cars

    return read_cars(data_dir)


def _aircraft(data_dir: str) -> "FineGrainedDataset":
    from keras_cr.data import read_aircraft

    return read_aircraft(data_dir)


READERS = {"cub": _cub, "cars": _cars, "aircraft": _aircraft, "folder": _folder}


def _protocols(args: argparse.Namespace) -> tuple[str, ...]:  # type: ignore[return]
    from keras_cr.evaluation.protocols import check_protocols

    try:
        return check_protocols(args.protocols)
    except ValueError as error:
        args.usage_error(f"argument --protocols: {str(error).removeprefix('`protocols` ')}")


def _json(metrics: dict) -> str:
    return json.dumps(metrics, indent=2, allow_nan=False)
