"""Teach a small backbone what a trained encoder makes of images, without labels.

The student learns the teacher's embeddings and maps of the same views. Its embeddings are as long
as the teacher's and can be compared with them:

    keras-cr distill photos --teacher my_encoder --student squeezenet -o my_student
    keras-cr distill photos --teacher my_encoder --student small.keras --epochs 100 -o my_student

PRESET_DIR is then a preset for the other commands and for from_preset. An encoder in a FILE.keras,
whose embeddings are as long as the teacher's, goes on where it was.
"""

import argparse
import shlex
from typing import TYPE_CHECKING

from keras_cr._progress import Progress
from keras_cr.cli._arguments import (
    add_images,
    add_overwrite,
    add_reading,
    load_encoder,
    positive,
    seed,
    weight,
)
from keras_cr.cli._backbone import add_init, check_init, load_backbone
from keras_cr.cli._images import readable_images
from keras_cr.cli._preset_output import add_preset_output, check_preset_output, preset_source

if TYPE_CHECKING:
    import keras

EPOCHS, LEARNING_RATE, MAP_WEIGHT = 40, 1e-3, 0.1  # the library's, which --help can't import


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_images(parser)
    parser.add_argument(
        "--teacher",
        required=True,
        dest="preset",
        metavar="PRESET",
        help="an encoder: a preset's name, its folder, or hf://ORG/NAME[@REVISION]",
    )
    parser.add_argument(
        "--student",
        required=True,
        metavar="BACKBONE",
        help="resnet18, ... squeezenet; a FILE.keras with a backbone or an encoder; or, with "
        "KerasHub, what it loads",
    )
    add_init(parser)
    add_preset_output(parser)
    add_reading(parser, image_size="the teacher's own")
    parser.add_argument(
        "--epochs",
        type=positive,
        default=EPOCHS,
        metavar="N",
        help=f"passes over the images (default: {EPOCHS})",
    )
    parser.add_argument(
        "--learning-rate",
        type=weight,
        default=LEARNING_RATE,
        metavar="RATE",
        help=f"Adam's at its highest; it falls to 0 along a cosine (default: {LEARNING_RATE})",
    )
    parser.add_argument(
        "--map-weight",
        type=weight,
        default=MAP_WEIGHT,
        metavar="WEIGHT",
        help=f"of the loss between maps; 0 leaves them alone (default: {MAP_WEIGHT})",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, help="of weights, order and views (default: 0)"
    )
    add_overwrite(parser)


def run(args: argparse.Namespace) -> None:
    check_init(args, "--student", args.student)
    output = check_preset_output(args)
    with Progress("Starting Keras", verbose=2):
        import keras

        from keras_cr.pretraining import distill

    teacher, image_size = load_encoder(args)
    student = _student(args)
    dataset, _ = readable_images(args)
    history = keras.callbacks.History()
    encoder = distill(
        teacher,
        student,
        dataset,
        image_size,
        batch_size=args.batch_size,
        epochs=args.epochs,
        learning_rate=args.learning_rate,
        map_weight=args.map_weight,
        seed=args.seed,
        callbacks=[history],
    )
    encoder.save_to_preset(
        output,
        source=preset_source(args, len(dataset), image_size),
        extra={"distill": {"teacher": args.preset, "history": history.history}},
    )
    sizes = (f"{model.count_params():,}" for model in (encoder, teacher))
    print(f"Wrote the preset {output}: a student of {' parameters, its teacher has '.join(sizes)}.")
    images, preset = shlex.join(args.images), shlex.quote(str(output))
    print(f"  keras-cr explain {images} --preset {preset} -o {shlex.quote(f'{output}_maps')}")


def _student(args: argparse.Namespace) -> "keras.Model":
    """The backbone that learns; an encoder where a file holds one."""
    model, _ = load_backbone(args, "--student", args.student)
    of_a_file = args.student.endswith(".keras")
    return model if of_a_file else getattr(model, "backbone", model)
