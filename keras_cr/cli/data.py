"""Look after data sets: verify a folder.

`keras-cr data verify DIR --dataset cub` reads DIR as training would, and every image in it once. It
counts images by split and class, compares that with the official numbers, and names unreadable,
truncated, too small and too large files, and equal files in both splits (a leak) or in two classes.
The exit status is 1 if there is such a problem. Notes alone make no problem: images that are not
RGB or that EXIF turns, boxes that leave their image, equal files otherwise, names that are no
UTF-8, hidden `._` files, and whatever else looks like images and is passed over.
"""

import argparse
import json

from keras_cr._progress import Progress
from keras_cr._text import printable
from keras_cr.cli._arguments import add_max_pixels

DATASETS = ("aircraft", "cars", "cub", "folder")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    verify = actions.add_parser(
        "verify",
        help="check a data set's folder",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verify.add_argument("data_dir", metavar="DIR", help="the data set's folder")
    verify.add_argument(
        "--dataset",
        required=True,
        choices=DATASETS,
        help="its layout; folder: class folders, with or without train and test above them, or "
        "images without classes",
    )
    add_max_pixels(verify)
    verify.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> None:
    from keras_cr.data import verify
    from keras_cr.data.files import MAX_PIXELS

    with Progress("Reading", unit="images", leave=False) as progress:
        report = verify(args.data_dir, args.dataset, progress.to, args.max_pixels or MAX_PIXELS)
    print(json.dumps(report.to_dict(), indent=2) if args.json else report)
    if not report.ok:
        number = len(report.problems)
        raise ValueError(
            f"{number} problem{'s' if number > 1 else ''} in {printable(args.data_dir)!r}."
        )
