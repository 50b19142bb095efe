"""How well thumbnails and embeddings tell copies of an image from other images.

    python benchmarks/copies.py photos/

Of 60 images copies are made: compressed, of half the size, brighter, with five percent of each side
cut off. A measure serves if it is higher for copies than for the nearest of all other images.
"""

import argparse
import io
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from keras_cr import CommonRationaleEncoder
from keras_cr.search import Index
from keras_cr.search.groups import thumbnails

COPIED = 60


def compressed(image: Image.Image) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=50)
    return Image.open(data).convert("RGB")


def cropped(image: Image.Image) -> Image.Image:
    x, y = image.width // 20, image.height // 20
    return image.crop((x, y, image.width - x, image.height - y))


ALTERED = {
    "compressed, quality 50": compressed,
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "brighter by a fifth": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "5 % of each side cut off": cropped,
}


def row(name: str, *measures: np.ndarray) -> str:
    cells = (
        " / ".join(f"{np.quantile(each, q):.3f}" for q in (0, 0.1, 0.5, 1)) for each in measures
    )
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="a folder, searched with all below it")
    parser.add_argument("--preset", default="demo_squeezenet")
    args = parser.parse_args()
    encoder = CommonRationaleEncoder.from_preset(args.preset)
    index = Index.build(encoder, args.photos)
    paths = [index.path(name) for name in index.names]
    seen = {"thumbnails": thumbnails(paths), "embeddings": index.embeddings}
    nearest = []
    for vectors in seen.values():
        alike = vectors @ vectors.T
        np.fill_diagonal(alike, -1)
        nearest.append(alike.max(axis=1))
    print("least / tenth percentile / median / most")
    print(f"| | {' | '.join(seen)} |\n| --- | --- | --- |")
    print(row("nearest other image", *nearest))
    rows = np.linspace(0, len(paths) - 1, COPIED).astype(int)
    for name, alter in ALTERED.items():
        with tempfile.TemporaryDirectory() as folder:
            copies = [f"{folder}/{number}.png" for number in range(COPIED)]
            for number, copy in zip(rows, copies, strict=True):
                alter(Image.open(paths[number]).convert("RGB")).save(copy)
            found = {
                "thumbnails": thumbnails(copies),
                "embeddings": Index.build(encoder, copies, verbose=0).embeddings,
            }
            print(row(name, *((found[each] * seen[each][rows]).sum(axis=1) for each in seen)))


if __name__ == "__main__":
    main()
