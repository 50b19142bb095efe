"""Sort images into groups of like ones, without labels.

DIR gets `clusters.csv` (an image's path, its cluster, and its similarity with the cluster's
mean) and a sheet for each of the 200 largest clusters, `cluster-1.png` for the largest: 24 of its
images from the nearest to the mean to the furthest, beside what the encoder looks at.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from keras_cr._csv import write_csv
from keras_cr._text import printable
from keras_cr.cli._arguments import add_encoder, add_images, add_overwrite, load_encoder, positive
from keras_cr.cli._arguments import seed as seed_number
from keras_cr.cli._images import batches, readable_images, tell_of_pictures_among
from keras_cr.cli._output import check_folder, folder_output

if TYPE_CHECKING:
    import numpy as np

TABLE, SHEET = "clusters.csv", "cluster-{}.png"
COLUMNS = ("path", "cluster", "similarity")
SHOWN = 24  # images on a sheet
MOST = 200  # sheets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_images(parser)
    add_encoder(parser)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the results"
    )
    parser.add_argument(
        "--clusters",
        type=positive,
        metavar="N",
        help="how many (default: the number whose clusters stand furthest apart)",
    )
    parser.add_argument("--seed", type=seed_number, default=0, help="of k-means (default: 0)")
    add_overwrite(parser)


def run(args: argparse.Namespace) -> None:
    output = args.output.expanduser()
    earlier = [TABLE, *(SHEET.format(number) for number in range(1, MOST + 1))]
    check_folder(output, earlier, args.overwrite)
    encoder, image_size = load_encoder(args)
    tell_of_pictures_among(args.images, output)
    dataset, _ = readable_images(args, without=[output / name for name in earlier])
    if args.clusters is not None and args.clusters > len(dataset):
        raise ValueError(
            f"--clusters: must be at most {len(dataset)}, the images. Received: {args.clusters}"
        )
    import numpy as np

    from keras_cr.evaluation import Embedder
    from keras_cr.evaluation.report.subject import evenly
    from keras_cr.search import clusters
    from keras_cr.visualization import rationale_grid

    seen = Embedder(encoder).embed(
        batches(dataset, image_size, args.batch_size, "Embedding images"), verbose=0
    )
    cluster = clusters(seen.embedding, args.clusters, args.seed)
    near = _nearness(seen.embedding, cluster)
    with folder_output(output, earlier) as folder:
        rows = zip(dataset.images, (cluster + 1).tolist(), near.round(4).tolist(), strict=True)
        write_csv(folder / TABLE, COLUMNS, (dict(zip(COLUMNS, row, strict=True)) for row in rows))
        sizes = np.bincount(cluster)
        for number in range(min(len(sizes), MOST)):
            members = np.flatnonzero(cluster == number)
            members = evenly(members[np.argsort(-near[members], kind="stable")], SHOWN)
            files = [dataset.images[row] for row in members]
            rationale_grid(
                files,
                seen.rationale[members],
                folder / SHEET.format(number + 1),
                titles=[printable(Path(file).name) for file in files],
                image_size=image_size,
            )
    print(f"Wrote {len(dataset)} images in {len(sizes)} clusters to {output}:")
    print("  " + ", ".join(f"{number}: {size}" for number, size in enumerate(sizes, 1)))
    if len(sizes) > MOST:
        print(f"The {MOST} largest have a sheet.")


def _nearness(embedding: "np.ndarray", cluster: "np.ndarray") -> "np.ndarray":
    """The cosine similarity of each embedding with its cluster's mean, (N,)."""
    import numpy as np

    means = np.stack([embedding[cluster == each].mean(axis=0) for each in range(cluster.max() + 1)])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return np.einsum("nc,nc->n", embedding, means[cluster])
