"""Draw what an encoder's rationale weighs in images.

DIR gets `overlays/`, a picture an image, named after it; `rationales.png`, a sheet of 24
spread evenly over all of them; `maps.npz` with the arrays `paths`, `overlays` (file names) and
`maps` (N, h, w) float32 in 0..1; and with --detectors `detectors.png`, the images that each
detector fires on most.
"""

import argparse
import itertools
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from keras_cr._progress import Progress
from keras_cr._text import printable
from keras_cr.cli._arguments import (
    add_encoder,
    add_images,
    add_overwrite,
    load_encoder,
    share,
)
from keras_cr.cli._images import (
    batches,
    picture_names,
    readable_images,
    tell_of_pictures_among,
)
from keras_cr.cli._output import check_folder, folder_output

if TYPE_CHECKING:
    from keras_cr.data import FineGrainedDataset
    from keras_cr.models import CommonRationaleEncoder

OVERLAYS, SHEET, MAPS, DETECTORS = "overlays", "rationales.png", "maps.npz", "detectors.png"
OUTPUTS = (OVERLAYS, SHEET, MAPS, DETECTORS)
SHOWN = 24  # images on the sheet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_images(parser)
    add_encoder(parser)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the pictures"
    )
    parser.add_argument(
        "--detectors", action="store_true", help="draw each detector's strongest images as well"
    )
    parser.add_argument(
        "--alpha",
        type=share,
        default=0.6,
        help="weight of the colours, from 0 (the image alone) to 1 (the map alone; default: 0.6)",
    )
    add_overwrite(parser)


def run(args: argparse.Namespace) -> None:
    output = args.output.expanduser()
    check_folder(output, OUTPUTS, args.overwrite)
    encoder, image_size = load_encoder(args)
    if encoder.pooling == "average":
        print(
            "Note: the encoder pools by plain average. Unless its rationale was trained apart, "
            "the maps are those of random weights.",
            file=sys.stderr,
        )
    tell_of_pictures_among(args.images, output)
    earlier = [output / name for name in OUTPUTS]  # where DIR lies among the images
    dataset, names = readable_images(args, without=earlier)
    with folder_output(output, OUTPUTS) as folder:
        draw(folder, encoder, image_size, dataset, names, args)
    print(f"Wrote {len(names)} overlays to {output / OVERLAYS}, a sheet to {output / SHEET}.")


def draw(
    folder: Path,
    encoder: "CommonRationaleEncoder",
    image_size: int,
    dataset: "FineGrainedDataset",
    names: list[str],
    args: argparse.Namespace,
) -> None:
    """Writes all the files; of the images, only a batch and those on the sheet are held."""
    import numpy as np

    from keras_cr.cli._explainer import Explainer
    from keras_cr.evaluation.report.subject import evenly
    from keras_cr.visualization import Picture, detector_grid, overlay, rationale_grid

    explainer = Explainer(encoder)
    pictures = picture_names(names)
    paths = (folder / OVERLAYS / picture for picture in pictures)
    rows = evenly(np.arange(len(names)), SHOWN)  # the first ones of a folder are of one kind
    shown, maps, detections, start = [], [], [], 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # compressing PNGs takes long
        for batch in batches(dataset, image_size, args.batch_size, "Drawing maps"):
            rationales, responses = explainer.explain(batch)
            batch = np.rint(batch).astype("uint8")
            laid = overlay(batch, rationales, args.alpha)
            list(pool.map(Picture.save, laid, itertools.islice(paths, len(batch))))
            shown += [batch[row - start] for row in rows if start <= row < start + len(batch)]
            start += len(batch)
            maps.append(rationales)
            if args.detectors:
                detections.append(responses)
    maps = np.concatenate(maps)
    np.savez(folder / MAPS, paths=np.array(dataset.images), overlays=np.array(pictures), maps=maps)
    files = [printable(Path(path).name) for path in dataset.images]
    with Progress("Drawing the sheets", leave=False):
        titles = [files[row] for row in rows]
        rationale_grid(np.stack(shown), maps[rows], folder / SHEET, titles=titles, alpha=args.alpha)
        if args.detectors:
            detector_grid(
                dataset.images,
                np.concatenate(detections),
                folder / DETECTORS,
                titles=files,
                alpha=args.alpha,
                image_size=image_size,
            )
