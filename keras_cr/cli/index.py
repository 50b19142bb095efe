"""Index images, to search them later; find those that are there twice.

FILE holds the images' names and embeddings, and what is needed to embed a query alike; it can be
copied. `keras-cr search` asks it. A name that ends in .lance makes a folder of LanceDB's instead,
for collections that memory does not hold (pip install "keras-cr[search]").
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from keras_cr._files import check_place
from keras_cr._text import printable
from keras_cr.cli._arguments import (
    add_encoder,
    add_images,
    add_overwrite,
    load_encoder,
    share,
)
from keras_cr.cli._images import readable_images
from keras_cr.cli._output import check_free

if TYPE_CHECKING:
    from keras_cr.data import FineGrainedDataset
    from keras_cr.models import CommonRationaleEncoder
    from keras_cr.search import Index

FOLDER = ".lance"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_images(parser)
    add_encoder(parser)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="the index to write"
    )
    parser.add_argument(
        "--update",
        action="store_true",
        help="bring FILE up to date: embed images whose names are new, drop those that are gone",
    )
    parser.add_argument(
        "--duplicates",
        nargs="?",
        type=share,
        const=True,
        metavar="SIMILARITY",
        help="print groups of images that are the same or nearly so (default: 0.95 or more)",
    )
    add_overwrite(parser)


def run(args: argparse.Namespace) -> None:
    output = args.output.expanduser()
    exists = os.path.lexists(output)
    if args.update and args.overwrite:
        args.usage_error("--update goes on with FILE, --overwrite replaces it: give one of them")
    if output.suffix == FOLDER and exists and args.overwrite:
        raise FileExistsError(
            f"--output: {output} is a folder: go on with it, --update, or remove it first."
        )
    check_free([output], args.update or args.overwrite)
    check_place("--output", output, output.parent)
    encoder, image_size = load_encoder(args)
    dataset, names = readable_images(args, without=[output])
    folder = _folder(args)
    names = names if folder else dataset.images
    if args.update and exists:
        index, told = _updated(args, encoder, image_size, dataset, names, folder)  # type: ignore[arg-type]
    else:
        from keras_cr.search import Index

        place = output if output.suffix == FOLDER else None
        index = Index.build(
            encoder,
            dataset,
            names=names,  # type: ignore[arg-type]
            image_size=image_size,
            batch_size=args.batch_size,
            preset=_preset(args.preset),
            folder=folder,
            store=place,
        )
        told = f"Wrote {output}: {len(index)} images."
    if output.suffix != FOLDER:
        index.save(output)
    print(told)
    if args.duplicates is not None:
        _tell_duplicates(index, args.duplicates)


def _updated(
    args: argparse.Namespace,
    encoder: "CommonRationaleEncoder",
    image_size: int,
    dataset: "FineGrainedDataset",
    names: list[str],
    folder: str | None,
) -> "tuple[Index, str]":
    from keras_cr.search import Index

    index = Index.load(args.output.expanduser(), encoder, folder)
    if index.image_size != image_size:
        raise ValueError(
            f"--image-size: {args.output} was made at {index.image_size} pixels; received "
            f"{image_size}. Build another one."
        )
    there, wanted = set(index.names), set(names)
    gone = [name for name in index.names if name not in wanted]
    if gone:
        index.remove(gone)
    new = [row for row, name in enumerate(names) if name not in there]
    if new:
        added = [names[row] for row in new]
        index.add(dataset.take(new), names=added, batch_size=args.batch_size, verbose="auto")
    return index, f"Updated {args.output}: {len(index)} images, {len(new)} new, {len(gone)} gone."


def _tell_duplicates(index: "Index", similarity: float | bool) -> None:
    from keras_cr.search.groups import ALIKE

    similarity = ALIKE if similarity is True else similarity
    groups = index.duplicates(similarity)
    if groups:
        count = sum(map(len, groups))
        print(f"{count} images in {len(groups)} groups are the same or nearly so:")
    else:
        print("No two images are the same or nearly so.")
    for group in groups:
        print(" ", "  ".join(map(printable, group)))


def _folder(args: argparse.Namespace) -> str | None:
    """The one folder that was named, below which names start."""
    given = os.path.expanduser(args.images[0])
    return os.path.abspath(given) if len(args.images) == 1 and os.path.isdir(given) else None


def _preset(preset: str) -> str:
    """A preset by a name that holds in other folders too."""
    folder = os.path.expanduser(preset)
    return os.path.abspath(folder) if os.path.isdir(folder) else preset
