"""Arguments that several commands share, and the encoder they name."""

import argparse
import contextlib
import math
from typing import TYPE_CHECKING

from keras_cr._progress import Progress

if TYPE_CHECKING:
    from keras_cr.models import CommonRationaleEncoder

_LARGEST_SIDE = 10_000
_LARGEST_SEED = 2**32 - 1


def add_images(parser: argparse.ArgumentParser) -> None:
    """IMAGES, for `find_images`."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGES",
        help="files, folders (searched with all below them) or patterns in quotes, 'birds/*.jpg'",
    )


def add_encoder(parser: argparse.ArgumentParser) -> None:
    """--preset, --image-size, --batch-size for `load_encoder`; and what is refused."""
    parser.add_argument(
        "--preset",
        required=True,
        help="the encoder: a preset's name, its folder, or hf://ORG/NAME[@REVISION]",
    )
    add_reading(parser, image_size="the encoder's own")


def add_reading(parser: argparse.ArgumentParser, image_size: str) -> None:
    """--image-size, whose default is told in words, --batch-size, --skip-bad, --max-pixels."""
    parser.add_argument(
        "--image-size",
        type=side,
        metavar="PIXELS",
        help=f"side of the images (default: {image_size})",
    )
    parser.add_argument(
        "--batch-size",
        type=positive,
        default=64,
        metavar="N",
        help="images at a time (default: 64)",
    )
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave unreadable images out instead of stopping"
    )
    add_max_pixels(parser)


def add_strategy(parser: argparse.ArgumentParser) -> None:
    """--strategy, for `load_encoder`."""
    parser.add_argument(
        "--strategy",
        choices=("none", "mirrored"),
        default="none",
        help="mirrored: on all GPUs of this machine, each with its part of every batch",
    )


def add_max_pixels(parser: argparse.ArgumentParser) -> None:
    """--max-pixels; None stands for the library's default."""
    parser.add_argument(
        "--max-pixels",
        type=positive,
        metavar="N",
        help="pixels an image may have at most; its header tells, before it takes memory (default: "
        "120 million)",
    )


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """--overwrite, for `check_free`."""
    parser.add_argument(
        "--overwrite", action="store_true", help="replace what an earlier call has written"
    )


def positive(value: str) -> int:
    """A whole number from 1.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of 1 or more; received {value!r}")
    return int(value)


def seed(value: str) -> int:
    """A whole number from 0 that NumPy's generators take.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not value.isdecimal() or int(value) > _LARGEST_SEED:
        raise argparse.ArgumentTypeError(
            f"must be a whole number from 0 to {_LARGEST_SEED}; received {value!r}"
        )
    return int(value)


def share(value: str) -> float:
    """A number from 0 to 1.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    number = _number(value)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1; received {value!r}")
    return number


def weight(value: str) -> float:
    """A finite number from 0.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    number = _number(value)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of 0 or more; received {value!r}")
    return number


def _number(value: str) -> float:
    """A number, -1 where it is none."""
    try:
        return float(value)
    except ValueError:
        return -1.0


def side(value: str) -> int:
    """A side of images in pixels, of which a million are a slip that no memory holds.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if (number := positive(value)) > _LARGEST_SIDE:
        raise argparse.ArgumentTypeError(
            f"must be {_LARGEST_SIDE} pixels or fewer; received {value!r}"
        )
    return number


def scope(args: argparse.Namespace) -> contextlib.AbstractContextManager:
    """What is built inside goes on the devices that `--strategy` names, where there is the flag."""
    if getattr(args, "strategy", "none") == "none":
        return contextlib.nullcontext()
    from keras_cr._replicas import mirrored

    return mirrored().scope()


def load_encoder(args: argparse.Namespace) -> "tuple[CommonRationaleEncoder, int]":
    """The encoder that `--preset` names, and the side of its images in pixels.

    Raises:
        PresetError: it can't be loaded.
        ValueError: it states no image size and `--image-size` is not given, or does not take
            images of that size; or `--strategy` needs another backend.
    """
    with Progress("Loading the encoder", verbose=2):
        import numpy as np

        from keras_cr.evaluation.features import encoder_image_size
        from keras_cr.models import CommonRationaleEncoder

        with scope(args):
            encoder = CommonRationaleEncoder.from_preset(args.preset)
        if args.image_size is None:
            return encoder, encoder_image_size(encoder)
        try:
            encoder.feature_map(np.zeros((1, args.image_size, args.image_size, 3), "float32"))
        except ValueError as error:
            raise ValueError(f"--image-size: {error}") from error
    return encoder, args.image_size
