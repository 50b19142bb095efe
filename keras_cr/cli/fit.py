"""Give a pretrained backbone a rationale, from images without labels.

The backbone stays as it is; only the branch is fitted, to what images share with their nearest
others. It starts from a backbone, or from a preset whose branch is fitted anew:

    keras-cr fit photos --backbone resnet50 -o my_encoder
    keras-cr fit photos --backbone my_backbone.keras -o my_encoder
    keras-cr fit photos --preset cub_resnet50 -o my_encoder

PRESET_DIR is then a preset for the other commands and for from_preset. Use training images: what
is fitted on test images is no test result.
"""

import argparse
import datetime
import os
import shlex
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from keras_cr._progress import Progress, announce
from keras_cr.cli._arguments import (
    add_images,
    add_overwrite,
    add_reading,
    load_encoder,
    positive,
    seed,
)
from keras_cr.cli._images import readable_images
from keras_cr.cli._output import check_folder
from keras_cr.version import __version__

if TYPE_CHECKING:
    import keras

    from keras_cr.data import FineGrainedDataset

ROUNDS, EPOCHS, MAX_IMAGES = 4, 16, 4096  # the library's, which can't be imported for --help
IMAGE_SIZE = 224
MEASURES = ("fit_loss", "agreement", "center_agreement")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_images(parser)
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument(
        "--backbone",
        help="resnet18, resnet34, ... squeezenet; a FILE.keras that ends in a 4-D feature map; or, "
        "with KerasHub, a name such as dinov2_small, a folder, hf://ORG/NAME",
    )
    start.add_argument(
        "--preset", help="an encoder: a preset's name, its folder, or hf://ORG/NAME[@REVISION]"
    )
    parser.add_argument(
        "--init",
        choices=["imagenet", "none"],
        help="weights of a named backbone: imagenet (a ResNet's are downloaded once, 45 to 98 MB; "
        "squeezenet's come with the package); none: random ones, for a try (default: imagenet)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="PRESET_DIR", help="the preset's folder"
    )
    add_reading(parser, image_size=f"the preset's or file's own, else {IMAGE_SIZE}")
    for flag, default, what in (
        ("--num-detectors", None, "detectors of the branch (default: the preset's, else 1)"),
        ("--max-images", MAX_IMAGES, "draw so many of more images"),
        ("--rounds", ROUNDS, "how often neighbours are looked for"),
        ("--epochs", EPOCHS, "passes over the images in a round"),
    ):
        shown = what if default is None else f"{what} (default: {default})"
        parser.add_argument(flag, type=positive, default=default, metavar="N", help=shown)
    parser.add_argument(
        "--rationale-options",
        metavar="NAME=VALUE,...",
        help="choices of keras_cr.pretraining.Rationale, such as k=5,prior=none",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, help="of weights, order and drawn images (default: 0)"
    )
    add_overwrite(parser)


def run(args: argparse.Namespace) -> None:
    _check_usage(args)
    output = args.output.expanduser()
    _check_output(output, args.overwrite)
    with Progress("Starting Keras", verbose=2):
        from keras_cr.rationale.options import sized_rationale
        from keras_cr.rationale.start import encoder_on, with_precision

    options = _options(args)
    model, image_size = load_encoder(args) if args.preset else _backbone(args)
    encoder = encoder_on(
        with_precision(model, "float32"),
        args.num_detectors,
        image_size=image_size,
        seed=args.seed,
    )
    encoder.image_size = (image_size, image_size)
    dataset, _ = readable_images(args)
    dataset = _drawn(dataset, args.max_images, args.seed)
    rationale = sized_rationale(len(dataset), options)
    history = _fit(encoder, dataset, rationale, image_size, args)
    encoder.save_to_preset(
        output,
        source=_source(args, len(dataset), image_size),
        extra={"rationale": rationale.get_config(), "fit_rationale": history},
    )
    images, preset = shlex.join(args.images), shlex.quote(str(output))
    print(f"Wrote the preset {output}: its rationale was fitted to {len(dataset)} images. See it:")
    print(f"  keras-cr explain {images} --preset {preset} -o {shlex.quote(f'{output}_maps')}")


def _check_usage(args: argparse.Namespace) -> None:
    named = args.backbone and not (args.backbone.endswith(".keras") or "/" in args.backbone)
    if args.init and not named:
        args.usage_error("argument --init: is for a --backbone given by name")


def _check_output(output: Path, overwrite: bool) -> None:
    """Before any work: `output` is free, or a preset that may be replaced."""
    from keras_cr.presets.manifest import FILES
    from keras_cr.presets.save import check_replaceable

    check_folder(output, FILES, overwrite)
    check_replaceable(output.resolve())


def _options(args: argparse.Namespace) -> dict:  # type: ignore[return]
    from keras_cr.rationale.options import pairs, typed_options

    try:
        return typed_options(pairs(args.rationale_options)) if args.rationale_options else {}
    except ValueError as error:
        args.usage_error(f"argument --rationale-options: {error}")


def _backbone(args: argparse.Namespace) -> "tuple[keras.Model, int]":
    """The model that `--backbone` names or holds, and the side of its images in pixels.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file can't be loaded, or its images are not square.
        OSError: the named one's weights can't be fetched.
    """
    from keras_cr.models import CommonRationaleEncoder, backbone_from_name
    from keras_cr.models.backbones import BACKBONES
    from keras_cr.models.open_backbone import may_be_backbone

    if args.backbone.endswith(".keras"):
        model = _load(Path(args.backbone).expanduser())
        return model, args.image_size or _own_size(model) or IMAGE_SIZE
    if args.backbone not in BACKBONES:
        if not may_be_backbone(args.backbone):
            args.usage_error(
                f"argument --backbone: must be {', '.join(BACKBONES)}, a FILE.keras, or what "
                "KerasHub loads, if it is installed: a name such as dinov2_small, a folder, "
                f"hf://ORG/NAME; received {args.backbone!r}"
            )
        if args.init:
            args.usage_error(f"argument --init: is for a --backbone of {', '.join(BACKBONES)}")
        detectors = args.num_detectors or 1
        options = {"image_size": args.image_size, "num_detectors": detectors, "seed": args.seed}
        model = CommonRationaleEncoder.from_backbone(args.backbone, **options)
        return model, _own_size(model) or IMAGE_SIZE
    weights = None if args.init == "none" else "imagenet"
    model = backbone_from_name(args.backbone, weights, seed=args.seed)
    return model, args.image_size or IMAGE_SIZE


def _load(path: Path) -> "keras.Model":
    import keras

    from keras_cr.presets.errors import brief

    if not path.is_file():
        raise FileNotFoundError(f"--backbone: {str(path)!r} is no file.")
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # whatever Keras, h5py or zipfile say of a broken or foreign file
        raise ValueError(f"--backbone: {str(path)!r} can't be loaded: {brief(error)}") from error


def _own_size(model: "keras.Model") -> int | None:
    try:
        height, width = getattr(model, "image_size", None) or model.input_shape[1:3]
    except (AttributeError, TypeError, ValueError):  # it states none, or isn't one of images
        return None
    if height != width:
        raise ValueError(f"--backbone: takes images of {height} x {width}, which are not square.")
    return height


def _drawn(dataset: "FineGrainedDataset", most: int, seed: int) -> "FineGrainedDataset":
    """At most so many of the images, drawn: the first ones of a folder are of few kinds."""
    import numpy as np

    if len(dataset) <= most:
        return dataset
    print(f"Fitting to {most} of {len(dataset)} images (--max-images).", file=sys.stderr)
    rows = np.random.default_rng(seed).choice(len(dataset), most, replace=False)
    return dataset.take(np.sort(rows))


def _fit(encoder, dataset: "FineGrainedDataset", rationale, image_size: int, args) -> list[dict]:
    """Fits the branch and tells how on stderr."""
    from keras_cr.data import image_batches
    from keras_cr.rationale import fit_rationale

    def tell(number: int, measured: dict[str, float]) -> None:
        values = ", ".join(f"{name} {measured[name]:.3f}" for name in MEASURES)
        announce(f"round {number} of {args.rounds}: {values}")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        history = fit_rationale(
            encoder,
            image_batches(dataset, image_size, args.batch_size),
            rationale,
            rounds=args.rounds,
            epochs=args.epochs,
            batch_size=args.batch_size,
            max_images=len(dataset),
            seed=args.seed,
            on_round=tell,
        )
    for warning in caught:
        if warning.category is UserWarning:
            print(f"Warning: {warning.message}", file=sys.stderr)
    return history


def _source(args: argparse.Namespace, images: int, image_size: int) -> dict:
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
