"""The backbone that a flag names: by its name, in a .keras file, or what KerasHub loads."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

IMAGE_SIZE = 224


def add_init(parser: argparse.ArgumentParser) -> None:
    """--init, for `check_init` and `load_backbone`."""
    parser.add_argument(
        "--init",
        choices=["imagenet", "none"],
        help="weights of a named backbone: imagenet (a ResNet's are downloaded once, 45 to 98 MB; "
        "squeezenet's come with the package); none: random ones, for a try (default: imagenet)",
    )


def check_init(args: argparse.Namespace, flag: str, given: str | None) -> None:
    """Ends with a usage error where `--init` is given for what is not named.

    Args:
        args: with `init` and `usage_error`.
        flag: the one that names the backbone.
        given: what it was given, or None.
    """
    named = given and not (given.endswith(".keras") or "/" in given)
    if args.init and not named:
        args.usage_error(f"argument --init: is for a {flag} given by name")


def load_backbone(
    args: argparse.Namespace, flag: str, given: str, detectors: int = 1
) -> "tuple[keras.Model, int]":
    """A backbone, or an encoder around it, and the side of its images in pixels.

    Args:
        args: with `image_size`, `init`, `seed` and `usage_error`.
        flag: the one that names the backbone.
        given: what it was given.
        detectors: of the encoder that comes of what KerasHub loads.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file can't be loaded, or its images are not square.
        OSError: the named one's weights can't be fetched.
    """
    from keras_cr.models import CommonRationaleEncoder, backbone_from_name
    from keras_cr.models.backbones import BACKBONES
    from keras_cr.models.open_backbone import may_be_backbone

    if given.endswith(".keras"):
        model = _load(flag, Path(given).expanduser())
        return model, args.image_size or _own_size(flag, model) or IMAGE_SIZE
    if given not in BACKBONES:
        if not may_be_backbone(given):
            args.usage_error(
                f"argument {flag}: must be {', '.join(BACKBONES)}, a FILE.keras, or what "
                "KerasHub loads, if it is installed: a name such as dinov2_small, a folder, "
                f"hf://ORG/NAME; received {given!r}"
            )
        if args.init:
            args.usage_error(f"argument --init: is for a {flag} of {', '.join(BACKBONES)}")
        options = {"image_size": args.image_size, "num_detectors": detectors, "seed": args.seed}
        model = CommonRationaleEncoder.from_backbone(given, **options)
        return model, _own_size(flag, model) or IMAGE_SIZE
    weights = None if args.init == "none" else "imagenet"
    model = backbone_from_name(given, weights, seed=args.seed)
    return model, args.image_size or IMAGE_SIZE


def _load(flag: str, path: Path) -> "keras.Model":
    import keras

    from keras_cr.presets.errors import brief

    if not path.is_file():
        raise FileNotFoundError(f"{flag}: {str(path)!r} is no file.")
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # whatever Keras, h5py or zipfile say of a broken or foreign file
        raise ValueError(f"{flag}: {str(path)!r} can't be loaded: {brief(error)}") from error


def _own_size(flag: str, model: "keras.Model") -> int | None:
    try:
        height, width = getattr(model, "image_size", None) or model.input_shape[1:3]
    except (AttributeError, TypeError, ValueError):  # it states none, or isn't one of images
        return None
    if height != width:
        raise ValueError(f"{flag}: takes images of {height} x {width}, which are not square.")
    return height
