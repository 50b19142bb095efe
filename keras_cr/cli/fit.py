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
import shlex
import sys
import warnings
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
from keras_cr.cli._backbone import IMAGE_SIZE, add_init, check_init, load_backbone
from keras_cr.cli._images import readable_images
from keras_cr.cli._preset_output import add_preset_output, check_preset_output, preset_source

if TYPE_CHECKING:
    from keras_cr.data import FineGrainedDataset

ROUNDS, EPOCHS, MAX_IMAGES = 4, None, 4096  # the library's, which can't be imported for --help
POOLINGS = ("rationale", "concat", "rationale_max", "rationale_vlad")  # of them those with a map
POOLING = POOLINGS[-1]
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
    add_init(parser)
    add_preset_output(parser)
    add_reading(parser, image_size=f"the preset's or file's own, else {IMAGE_SIZE}")
    for flag, default, what in (
        ("--num-detectors", None, "detectors of the branch (default: the preset's, else 1)"),
        ("--max-images", MAX_IMAGES, "draw so many of more images"),
        (
            "--output-stride",
            None,
            "pixels between two places of the map, 4, 8 or 16: a finer one, "
            "of a convolutional backbone (default: as it is)",
        ),
        ("--rounds", ROUNDS, "how often neighbours are looked for"),
        ("--epochs", EPOCHS, "passes over the images in a round (default: 16 over all rounds)"),
    ):
        shown = what if default is None else f"{what} (default: {default})"
        parser.add_argument(flag, type=positive, default=default, metavar="N", help=shown)
    parser.add_argument(
        "--pooling",
        choices=POOLINGS,
        help=f"what the embedding is (default: {POOLING}; the preset's, if that is no average)",
    )
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
    check_init(args, "--backbone", args.backbone)
    output = check_preset_output(args)
    with Progress("Starting Keras", verbose=2):
        from keras_cr.rationale.options import sized_rationale
        from keras_cr.rationale.start import at_output_stride, encoder_on, with_precision

    options = _options(args)
    if args.preset:
        model, image_size = load_encoder(args)
    else:
        detectors = args.num_detectors or 1
        model, image_size = load_backbone(args, "--backbone", args.backbone, detectors)
    encoder = encoder_on(
        with_precision(model, "float32"),
        args.num_detectors,
        pooling=args.pooling or POOLING,
        image_size=image_size,
        seed=args.seed,
    )
    if args.output_stride:
        encoder = at_output_stride(encoder, args.output_stride)
    if args.pooling:  # a preset has its own
        encoder.pooling = args.pooling
    encoder.image_size = (image_size, image_size)
    dataset, _ = readable_images(args)
    dataset = _drawn(dataset, args.max_images, args.seed)
    rationale = sized_rationale(len(dataset), options)
    history = _fit(encoder, dataset, rationale, image_size, args)
    encoder.save_to_preset(
        output,
        source=preset_source(args, len(dataset), image_size),
        extra={"rationale": rationale.get_config(), "fit_rationale": history},
    )
    images, preset = shlex.join(args.images), shlex.quote(str(output))
    print(f"Wrote the preset {output}: its rationale was fitted to {len(dataset)} images. See it:")
    print(f"  keras-cr explain {images} --preset {preset} -o {shlex.quote(f'{output}_maps')}")


def _options(args: argparse.Namespace) -> dict:  # type: ignore[return]
    from keras_cr.rationale.options import (
        check_frozen_options,
        named_rationale,
        pairs,
        typed_options,
    )
    from keras_cr.rationale.posthoc import check_frozen

    try:
        options = typed_options(pairs(args.rationale_options)) if args.rationale_options else {}
        check_frozen(named_rationale("on", options))
        check_frozen_options(options)
        return options
    except ValueError as error:
        args.usage_error(f"argument --rationale-options: {error}")


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
