"""A preset that a command makes: where it goes, and what it says of where it comes from."""

import argparse
import datetime
import os
from pathlib import Path

from keras_cr.cli._output import check_folder
from keras_cr.version import __version__


def add_preset_output(parser: argparse.ArgumentParser) -> None:
    """-o, --output, for `check_preset_output`."""
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="PRESET_DIR", help="the preset's folder"
    )


def check_preset_output(args: argparse.Namespace) -> Path:
    """Before any work: `--output` is free, or a preset that may be replaced.

    Raises:
        OSError: it is a file, or can't be made or written to.
        FileExistsError: it holds a preset and `--overwrite` is off.
        OccupiedFolderError: it holds something else.
    """
    from keras_cr.presets.manifest import FILES
    from keras_cr.presets.save import check_replaceable

    folder = args.output.expanduser()
    check_folder(folder, FILES, args.overwrite)
    check_replaceable(folder.resolve())
    return folder


def preset_source(args: argparse.Namespace, images: int, image_size: int) -> dict:
    """What the preset is to say as its `source`: command, date, seed, images, versions."""
    import keras

    return {
        "command": args.command_line,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seed": args.seed,
        "images": images,
        "image_size": image_size,
        "keras_cr": __version__,
        "keras": keras.__version__,
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
    }
