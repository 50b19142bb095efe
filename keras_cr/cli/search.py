"""Find the images most like an image, in an index that `keras-cr index` wrote.

Prints, for every query, the names of what was found, nearest first, with their cosine
similarity. With --output a sheet shows them side by side, and below them the places that made
them alike: how much each adds to the similarity. A query that is in the index itself is left out
of what is found for it.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from keras_cr._text import printable
from keras_cr.cli._arguments import add_max_pixels, add_overwrite, positive
from keras_cr.cli._images import find_images
from keras_cr.cli._output import check_file

if TYPE_CHECKING:
    from keras_cr.search import Index, Match


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="QUERY", help="image files, or folders")
    parser.add_argument("--index", type=Path, required=True, metavar="FILE", help="the index")
    parser.add_argument(
        "-k", type=positive, default=5, metavar="N", help="how many to find (default: 5)"
    )
    parser.add_argument(
        "--preset", help="the encoder, where the index doesn't know it or it has moved"
    )
    parser.add_argument(
        "--images-in", type=Path, metavar="DIR", help="where the indexed images lie, if moved"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="PNG",
        help="draw what was found, and where",
    )
    add_max_pixels(parser)
    add_overwrite(parser)


def run(args: argparse.Namespace) -> None:
    output = args.output and args.output.expanduser()
    if output:
        check_file(output, args.overwrite)
    queries = list(find_images(args.images))
    from keras_cr.search import Index

    encoder = None
    if args.preset:
        from keras_cr.models import CommonRationaleEncoder

        encoder = CommonRationaleEncoder.from_preset(args.preset)
    index = Index.load(args.index.expanduser(), encoder, args.images_in)
    found = [_found(index, query, args.k) for query in queries]
    if output and not any(found):
        raise ValueError("--output: nothing was found that could be drawn.")
    if output:
        _draw(index, queries, found, output)
    for query, matches in zip(queries, found, strict=True):
        print(printable(query))
        for match in matches:
            values = "  ".join(f"{name}={value}" for name, value in match.metadata.items())
            print(f"  {match.similarity:6.3f}  {printable(match.name)}  {values}".rstrip())
    if output:
        print(f"Wrote {output}.")


def _found(index: "Index", query: str, k: int) -> "list[Match]":
    name = index.name_of(query)
    return index.query(query, k) if name is None else index.similar(name, k)


def _draw(index: "Index", queries: list[str], found: "list[list[Match]]", output: Path) -> None:
    import numpy as np

    from keras_cr.data import read_images
    from keras_cr.search.places import Places, shown
    from keras_cr.visualization import match_sheet

    pixels, places = read_images(queries, index.image_size), Places(index.encoder)
    images, query_maps, image_maps, titles = [], [], [], []
    for query, matches, picture in zip(queries, found, pixels, strict=True):
        read = read_images([index.path(match.name) for match in matches], index.image_size)
        of_query, of_images, _ = places.similarity(picture, read)
        images.append(read)
        query_maps.append(shown(of_query.mean(axis=0)[None])[0])
        image_maps.append(shown(of_images))
        named = [f"{match.similarity:.3f}\n{printable(Path(match.name).name)}" for match in matches]
        titles.append([f"query\n{printable(Path(query).name)}", *named])
    match_sheet(pixels, images, np.stack(query_maps), image_maps, titles, output)
