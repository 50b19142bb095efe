"""Embed images and write their embeddings to a file.

The file holds the images' paths and, row by row, their embeddings: vectors of unit length, whose
dot product is the cosine similarity of two images. FILE.npz has the arrays `paths` and `embedding`
(N, C) float32; FILE.parquet the columns `path` and `embedding`, and in the schema's metadata the
preset, the image size, the pooling and the version. Parquet's text is UTF-8: other bytes of a path
are spelled out there, such as `\\xfc`.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from keras_cr._files import whole_file
from keras_cr._text import printable
from keras_cr.cli._arguments import add_encoder, add_images, add_overwrite, load_encoder
from keras_cr.cli._images import batches, readable_images
from keras_cr.cli._output import check_file
from keras_cr.version import __version__

if TYPE_CHECKING:
    import numpy as np


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_images(parser)
    add_encoder(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=_file,
        required=True,
        metavar="FILE",
        help="the file to write, .npz or .parquet",
    )
    parser.add_argument(
        "--pooling",
        choices=["own", "average"],
        default="own",
        help="the encoder's own pooling, or the plain average without its rationale (default: own)",
    )
    add_overwrite(parser)


def run(args: argparse.Namespace) -> None:
    write = WRITERS[args.output.suffix.lower()]
    check_file(args.output, args.overwrite)
    if write is write_parquet:
        _pyarrow()  # if it is missing, say so now
    from keras_cr.evaluation import Embedder
    from keras_cr.evaluation._checks import check_features

    encoder, image_size = load_encoder(args)
    dataset, _ = readable_images(args)
    about = {
        "preset": args.preset,
        "image_size": str(image_size),
        "pooling": encoder.pooling if args.pooling == "own" else "average",
        "keras_cr": __version__,
    }
    with whole_file(args.output) as part:
        images = batches(dataset, image_size, args.batch_size, "Embedding images")
        found = Embedder(encoder).embed(images, verbose=0)
        embedding = found.embedding if args.pooling == "own" else found.average_embedding
        write(part, dataset.images, check_features(embedding, "embedding"), about)
    count, channels = embedding.shape
    print(f"Wrote {count} embeddings of {channels} numbers to {args.output}.")


def write_npz(path: Path, paths: list[str], embedding: "np.ndarray", about: dict[str, str]) -> None:
    """Writes `paths` and `embedding`; there is no place for `about`."""
    import numpy as np

    with path.open("wb") as file:  # a path without .npz would be given one
        np.savez(file, paths=np.array(paths), embedding=embedding)


def write_parquet(
    path: Path, paths: list[str], embedding: "np.ndarray", about: dict[str, str]
) -> None:
    """Writes the columns `path` and `embedding`, and `about` as the schema's metadata."""
    pyarrow, parquet = _pyarrow()
    vectors = pyarrow.FixedSizeListArray.from_arrays(
        pyarrow.array(embedding.reshape(-1)), embedding.shape[1]
    )
    table = pyarrow.table({"path": list(map(printable, paths)), "embedding": vectors})
    parquet.write_table(table.replace_schema_metadata(about), path)


WRITERS = {".npz": write_npz, ".parquet": write_parquet}


def _file(value: str) -> Path:
    if Path(value).suffix.lower() not in WRITERS:
        raise argparse.ArgumentTypeError(f"must end in {' or '.join(WRITERS)}; received {value!r}")
    return Path(value).expanduser()


def _pyarrow():
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(
            'Parquet files need pyarrow: pip install "keras-cr[recipes]", or write FILE.npz.'
        ) from error
    return pyarrow, parquet
