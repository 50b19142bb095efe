"""Images a second of embedding: against the bare backbone, and from files against decoding alone.

    python benchmarks/embedding.py --backbones squeezenet resnet50 --images 64
    python benchmarks/embedding.py --jpeg-files 256

`encoder.predict` gives what its backbone gives, and pools it by the rationale. `keras-cr embed`
decodes JPEG files of CUB's common size, embeds them by the packaged SqueezeNet and writes a file;
decoding alone is the same reader without an encoder.
"""

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.photos import dataset, files, photos
from benchmarks.program import main
from benchmarks.rows import Row
from benchmarks.timing import interleaved


def benchmark(
    backbones: tuple[str, ...] = ("squeezenet", "resnet50"),
    images: int = 32,
    image_size: int = 224,
    batch_size: int = 32,
    jpeg_files: int = 128,
    repeats: int = 2,
) -> Iterator[Row]:
    from keras_cr import CommonRationaleEncoder
    from keras_cr.cli import main as keras_cr
    from keras_cr.data import image_batches
    from keras_cr.models import backbone_from_name

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (images, image_size, image_size, 3), "uint8")
    for name in backbones:
        backbone = backbone_from_name(name, seed=0)
        encoder = CommonRationaleEncoder(backbone, seed=0)
        options = {"batch_size": batch_size, "verbose": 0}
        works = {
            "backbone": lambda b=backbone, o=options: b.predict(pixels, **o),
            "encoder": lambda e=encoder, o=options: e.predict(pixels, **o),
        }
        times = interleaved(works, repeats)
        size = f"{name}, {image_size} px"
        yield times.rate(f"{size}: backbone.predict", "backbone", images, "images/s")
        more = {"against": "backbone", "goal": ">= 0.97"}
        yield times.rate(f"{size}: encoder.predict", "encoder", images, "images/s", **more)
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder, "photos")
        where.mkdir()
        paths = files(photos(jpeg_files), where)
        encoder = CommonRationaleEncoder.from_preset("demo_squeezenet")
        flags = [
            "embed",
            str(where),
            *("--preset", "demo_squeezenet", "--image-size", str(image_size)),
            *("-o", str(Path(folder, "out.npz"))),
        ]
        given = rng.integers(0, 256, (jpeg_files, image_size, image_size, 3), "uint8")

        def command():
            Path(folder, "out.npz").unlink(missing_ok=True)
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                if code := keras_cr(flags):
                    raise RuntimeError(f"keras-cr embed ended with {code}")

        works = {
            "decoding": lambda: [None for _ in image_batches(dataset(paths), image_size, 64)],
            "encoder": lambda: encoder.predict(given, batch_size=64, verbose=0),
            "keras-cr embed": command,
        }
        times = interleaved(works, repeats)
    size = f"{jpeg_files} JPEG files, {image_size} px"
    yield times.rate(f"{size}: decoding alone", "decoding", jpeg_files, "images/s")
    yield times.rate(f"{size}: encoder.predict of pixels", "encoder", jpeg_files, "images/s")
    for other in ("decoding", "encoder"):
        what = f"{size}: keras-cr embed, its start within"
        yield times.rate(what, "keras-cr embed", jpeg_files, "images/s", against=other)


if __name__ == "__main__":
    main(benchmark)
