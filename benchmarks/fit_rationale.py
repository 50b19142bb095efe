"""Seconds of `keras_cr.rationale.fit_rationale`, against the extraction of the features alone.

    python benchmarks/fit_rationale.py                    # 1,050 images, maps of 9 x 9 x 512
    python benchmarks/fit_rationale.py --backbone dense --side 7 --channels 2048
    python benchmarks/fit_rationale.py --backbone dense --peak --side 16 --channels 384
    KERAS_BACKEND=jax python benchmarks/fit_rationale.py --backbone dense  # or torch

Extraction is one pass of the backbone over the images; the fit takes that pass and more, so what it
takes beyond the pass is compared with it. `--backbone dense` leaves the backbone out: the images
have a pixel a place, and one dense layer makes `--side` x `--side` x `--channels` of them; the work
does not depend on what the maps hold. The fit of the branch, most of the work, is timed apart too.

With `--peak` there is one fit, and the most memory that the process has held is told.
"""

import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.process import peak_bytes
from benchmarks.program import main
from benchmarks.rows import Row
from benchmarks.timing import interleaved


def benchmark(
    images: int = 1050,
    backbone: str = "squeezenet",
    image_size: int = 160,
    side: int = 9,
    channels: int = 512,
    rounds: int = 4,
    repeats: int = 1,
    peak: bool = False,
) -> Iterator[Row]:
    import keras

    from keras_cr import CommonRationaleEncoder
    from keras_cr.layers import RationaleBranch
    from keras_cr.rationale import fit_rationale
    from keras_cr.rationale.branch_fit import fit_branch

    warnings.simplefilter("ignore")  # of maps that say nothing, as those of random weights
    rng = np.random.default_rng(0)
    dense = backbone == "dense"
    size = side if dense else image_size
    model = keras_dense(side, channels) if dense else backbone
    pixels = rng.integers(0, 256, (images, size, size, 3), "uint8")
    extractor = CommonRationaleEncoder(model, num_detectors=1, seed=0)
    shape = extractor.feature_map(pixels[:1].astype("float32")).shape[1:]
    on = f"{images:,} maps of {' x '.join(map(str, shape))}, {keras.backend.backend()}"

    def whole():
        encoder = CommonRationaleEncoder(model, num_detectors=1, seed=0)
        fit_rationale(encoder, pixels, rounds=rounds, verbose=0)

    if peak:
        before, cpu, start = peak_bytes(), time.process_time(), time.perf_counter()
        whole()
        yield Row(f"{on}: fit_rationale", time.perf_counter() - start, "s")
        yield Row(f"{on}: of processors", time.process_time() - cpu, "s")
        yield Row(f"{on}: memory, and before", peak_bytes() / 1e9, "GB", low=before / 1e9)
        return
    maps = rng.random((images, *shape), dtype="float32").astype("float16")
    targets = rng.random((images, *shape[:2]), dtype="float32")

    def branch_alone():
        branch = RationaleBranch(1, seed=0)
        branch.build((None, None, None, shape[-1]))
        fit_branch(branch, maps, targets)

    def extraction():
        extractor.backbone.predict(pixels, batch_size=64, verbose=0)

    works = {"extraction": extraction, "fit_rationale": whole, "fit_branch": branch_alone}
    times = interleaved(works, repeats)
    yield times.row(f"{on}: extraction alone", "extraction")
    yield times.row(f"{on}: fit_rationale, {rounds} rounds, extraction within", "fit_rationale")
    beyond = times.median("fit_rationale") - times.median("extraction")
    yield Row(
        f"{on}: fit_rationale beyond extraction",
        beyond,
        "s",
        ratio=beyond / times.median("extraction"),
        against="extraction",
        goal="" if dense else "<= 0.5",
    )
    yield times.row(f"{on}: fit_branch alone", "fit_branch")


def keras_dense(side: int, channels: int) -> Any:
    """A backbone that costs next to nothing."""
    import keras

    dense = keras.layers.Dense(channels, "relu")
    return keras.Sequential([keras.Input((side, side, 3)), keras.layers.Rescaling(1 / 255), dense])


if __name__ == "__main__":
    main(benchmark)
