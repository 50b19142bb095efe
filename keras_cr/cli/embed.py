"""Embed images and write their embeddings to a file, or to a folder of parts.

The file holds the images' paths and, row by row, their embeddings: vectors of unit length, whose
dot product is the cosine similarity of two images. FILE.npz has the arrays `paths` and `embedding`
(N, C) float32; FILE.parquet the columns `path` and `embedding`, and in the schema's metadata the
preset, the image size, the pooling and the version. Parquet's text is UTF-8: other bytes of a path
are spelled out there, such as `\\xfc`.

With --shard I/N the output is a folder, in which this call makes every N-th part, a Parquet file
of --part-size images; N calls, on one machine or many, make them all. A part is whole or not there:
the same call again goes on with what is missing, with another N too. Parts of other images (by
their names and sizes) or another encoder are refused. keras_cr.evaluation.read_embeddings(FOLDER)
joins them.
"""

import argparse
import hashlib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from keras_cr._files import whole_file
from keras_cr._optional import pyarrow_parquet
from keras_cr.cli._arguments import (
    add_encoder,
    add_images,
    add_overwrite,
    add_strategy,
    load_encoder,
    positive,
)
from keras_cr.cli._images import batches, checked, find_images, readable_images, unlabelled
from keras_cr.cli._output import check_file, check_place
from keras_cr.version import __version__

if TYPE_CHECKING:
    import numpy as np

    from keras_cr.data import FineGrainedDataset
    from keras_cr.evaluation import Embedder

_PART_SIZE = 8192
_FILES = (".npz", ".parquet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_images(parser)
    add_encoder(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=lambda value: Path(value).expanduser(),
        required=True,
        metavar="FILE",
        help="the file to write, .npz or .parquet; with --shard the folder of the parts",
    )
    parser.add_argument(
        "--pooling",
        choices=["own", "average"],
        default="own",
        help="the encoder's own pooling, or the plain average without its rationale (default: own)",
    )
    add_strategy(parser)
    parser.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="write parts to a folder, of which this call makes the share I of N, such as 1/8",
    )
    parser.add_argument(
        "--part-size",
        type=positive,
        metavar="N",
        help=f"images a part (default: {_PART_SIZE})",
    )
    add_overwrite(parser)


def run(args: argparse.Namespace) -> None:
    _check_usage(args)
    if args.shard:
        check_place("--output", args.output, args.output)
    else:
        check_file(args.output, args.overwrite)
    if args.output.suffix.lower() != ".npz":
        pyarrow_parquet()  # if it is missing, say so now
    from keras_cr.evaluation import Embedder

    encoder, image_size = load_encoder(args)
    about = {
        "image_size": str(image_size),
        "pooling": encoder.pooling if args.pooling == "own" else "average",
        "keras_cr": __version__,
    }
    if args.shard:
        _make_parts(args, Embedder(encoder), image_size, about)
        return
    dataset, _ = readable_images(args)
    with whole_file(args.output) as part:
        embedding = _embed(args, Embedder(encoder), dataset, image_size, "Embedding images")
        write = WRITERS[args.output.suffix.lower()]
        write(part, dataset.images, embedding, {"preset": args.preset, **about})  # type: ignore[arg-type]
    count, channels = embedding.shape
    print(f"Wrote {count} embeddings of {channels} numbers to {args.output}.")


def _make_parts(
    args: argparse.Namespace, embedder: "Embedder", image_size: int, about: dict[str, str]
) -> None:
    import numpy as np

    from keras_cr.data import UnreadableImageError
    from keras_cr.evaluation import Parts
    from keras_cr.models import encoder_fingerprint

    channels = embedder.encoder.compute_output_shape((None, None, None, 3))[-1]
    found = find_images(args.images)
    paths, names = list(found), list(found.values())
    about["encoder"] = encoder_fingerprint(embedder.encoder)
    about["sizes"] = _sizes(paths)  # names may be the same in two folders
    size = args.part_size or _PART_SIZE
    parts = Parts(args.output, names, size, about, notes={"preset": args.preset})
    missing = parts.missing(*args.shard)
    for number, part in enumerate(missing, start=1):
        dataset = unlabelled(args, [paths[row] for row in parts.rows(part)])
        try:
            dataset, _ = checked(dataset, args)
        except UnreadableImageError as error:
            if not args.skip_bad:
                raise
            print(f"Part {part} is empty: {error}", file=sys.stderr)
            parts.write(part, [], np.zeros((0, channels), "float32"))
            continue
        title = f"Embedding images, part {number} of {len(missing)}"
        parts.write(part, dataset.images, _embed(args, embedder, dataset, image_size, title))  # type: ignore[arg-type]
    own = len(range(args.shard[0] - 1, len(parts), args.shard[1]))
    left = len(parts.missing())
    told = f"{left} of {len(parts)} are missing yet" if left else f"all {len(parts)} are there"
    print(f"Wrote {len(missing)} of {own} parts to {args.output}; {told}.")


def _sizes(paths: list[str]) -> str:
    """A digest of the files' sizes, in their order."""
    sizes = ",".join(str(os.stat(path).st_size) for path in paths)
    return hashlib.sha256(sizes.encode()).hexdigest()


def _embed(
    args: argparse.Namespace,
    embedder: "Embedder",
    dataset: "FineGrainedDataset",
    image_size: int,
    title: str,
) -> "np.ndarray":
    from keras_cr.evaluation._checks import check_features

    images = batches(dataset, image_size, args.batch_size, title)
    found = embedder.embed(images, verbose=0)
    embedding = found.embedding if args.pooling == "own" else found.average_embedding
    return check_features(embedding, "embedding")


def _check_usage(args: argparse.Namespace) -> None:
    if args.shard and args.overwrite:
        args.usage_error("--overwrite doesn't go with --shard: remove the parts yourself.")
    if args.shard and args.output.suffix.lower() in _FILES:
        args.usage_error("argument -o/--output: must be a folder with --shard.")
    if args.part_size and not args.shard:
        args.usage_error("--part-size goes with --shard I/N.")
    if not args.shard and args.output.suffix.lower() not in _FILES:
        args.usage_error(
            f"argument -o/--output: must end in {' or '.join(_FILES)}; received "
            f"{str(args.output)!r}. A folder takes --shard 1/1."
        )


def write_npz(path: Path, paths: list[str], embedding: "np.ndarray", about: dict[str, str]) -> None:
    """Writes `paths` and `embedding`; there is no place for `about`."""
    import numpy as np

    with path.open("wb") as file:  # a path without .npz would be given one
        np.savez(file, paths=np.array(paths), embedding=embedding)


def write_parquet(
    path: Path, paths: list[str], embedding: "np.ndarray", about: dict[str, str]
) -> None:
    """As `keras_cr.evaluation.parts.write_parquet`."""
    from keras_cr.evaluation import parts

    parts.write_parquet(path, paths, embedding, about)


WRITERS = dict(zip(_FILES, (write_npz, write_parquet), strict=True))


def _shard(value: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", value)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"must be I/N, such as 1/8 up to 8/8; received {value!r}")
    return int(match[1]), int(match[2])
