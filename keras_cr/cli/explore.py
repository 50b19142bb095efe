"""Explore an index in a browser: drop an image, see its map and what is like it, click on a place.

Serves a page for an index that `keras-cr index` wrote. An image is dropped, or taken from the
index; the page shows where the encoder looks, the images most like it, and the places that make
them alike. A click on a place searches by this place alone, and marks where it was found.

Only this machine can open the page unless --host says otherwise. Ctrl-C ends it. Needs Flask and
Waitress: pip install "keras-cr[explore]".
"""

import argparse
import sys
from pathlib import Path

from keras_cr._files import whole_file
from keras_cr._text import printable
from keras_cr.cli._arguments import add_max_pixels, add_overwrite, positive
from keras_cr.cli._output import check_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", type=Path, metavar="INDEX", help="the index")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="NAME",
        help="name or address of the interface to serve on (default: 127.0.0.1, this machine "
        "alone); whoever can reach another one sees the images",
    )
    parser.add_argument(
        "--port", type=port, default=8000, metavar="N", help="0 takes a free one (default: 8000)"
    )
    parser.add_argument(
        "-k", type=positive, default=24, metavar="N", help="how many to find (default: 24)"
    )
    parser.add_argument(
        "--places-of",
        dest="searched",
        type=positive,
        default=10_000,
        metavar="N",
        help="images that places are searched in, read at the start; of a larger index an even "
        "share (default: 10000)",
    )
    parser.add_argument(
        "--preset", help="the encoder, where the index doesn't know it or it has moved"
    )
    parser.add_argument(
        "--images-in",
        dest="folder",
        type=Path,
        metavar="DIR",
        help="where the indexed images lie, if moved",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write the page's address to a file, for programs that open it",
    )
    add_max_pixels(parser)
    add_overwrite(parser)


def port(value: str) -> int:
    """A port's number.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not value.isdecimal() or int(value) > 65535:
        raise argparse.ArgumentTypeError(f"must be from 0 to 65535; received {value!r}")
    return int(value)


def run(args: argparse.Namespace) -> None:
    output = args.output and args.output.expanduser()
    if output:
        check_file(output, args.overwrite)
    path = args.index.expanduser()
    from keras_cr.data.files import MAX_PIXELS
    from keras_cr.explore import Explorer, create_app, serve
    from keras_cr.explore.serve import trusted_hosts, usable
    from keras_cr.search import Index

    usable(args.host, args.port)
    encoder = None
    if args.preset:
        from keras_cr.models import CommonRationaleEncoder

        encoder = CommonRationaleEncoder.from_preset(args.preset)
    index = Index.load(path, encoder, args.folder)
    explorer = Explorer(index, args.k, args.searched, args.max_pixels or MAX_PIXELS)
    if explorer.missing:
        print(f"Left out {explorer.missing} images whose files are missing.", file=sys.stderr)
    hosts = trusted_hosts(args.host)
    if hosts is None:
        print(f"Whoever can reach {args.host} sees these images.", file=sys.stderr)

    def started(address: str) -> None:
        if output:
            with whole_file(output) as part:
                part.write_text(address + "\n", encoding="utf-8")
        print(f"{len(explorer.names)} images at {address} (Ctrl-C ends it)", flush=True)

    serve(create_app(explorer, printable(path.name), hosts), args.host, args.port, started)
