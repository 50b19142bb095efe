"""What a GPU does: training steps, embedding under three backends, the CPU's values beside it.

    python benchmarks/gpu.py                                        # under eight minutes
    python benchmarks/gpu.py --anywhere --backbone resnet18 --image-size 64 --batch-sizes 4

MoCo of a ResNet-50 at 224 px, with the recipes' default rationale and without, in float32 and
mixed_bfloat16, compiled by XLA and not, on batches that are on the device already; embedding under
TensorFlow, JAX and PyTorch, those that are installed; the losses of three steps against the CPU's;
and the views that the input pipeline makes here, which bound a training from files. What there is
no GPU, memory or time for is not measured, and says so; --anywhere runs on a CPU too.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks import steps as ours
from benchmarks.process import Process
from benchmarks.program import main, optional
from benchmarks.rows import NotMeasured, Row, not_measured
from benchmarks.timing import Times, seconds

LIBRARIES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
POLICIES = ("mixed_bfloat16", "float32")
ROOM = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
PARITY = ("resnet18", 64, 16)  # backbone, image size and batch size of the losses compared


def benchmark(
    backbone: str = "resnet50",
    image_size: int = 224,
    batch_sizes: tuple[int, ...] = (64, 256, 512, 128),
    steps: int = 8,
    limit: int = 420,
    anywhere: bool = False,
) -> Iterator[Row]:
    clock = time.perf_counter
    end = clock() + limit
    found = False
    for backend, library in LIBRARIES.items():
        what = f"{backbone}, {image_size} px, embedding under {library}"
        arguments = backend, backbone, image_size, batch_sizes[0], anywhere
        try:
            if clock() > end:
                raise NotMeasured(f"no time left of {limit} s")
            with Process(embedding, *arguments, env=ROOM | {"KERAS_BACKEND": backend}) as other:
                found = True
                yield Row("device", note=f"{library}: {other.work('device')()}")
                for policy in POLICIES:
                    taken = other.work(policy)()
                    yield _row(f"{what}, {policy}", taken, batch_sizes[0])
        except NotMeasured as reason:
            yield not_measured(what, reason)
    what = f"MoCo of {backbone}, {image_size} px"
    if not found:
        yield not_measured(what, "no backend has a GPU here")
        return
    try:
        yield from training(what, backbone, image_size, batch_sizes, steps, anywhere, end)
    except NotMeasured as reason:
        yield not_measured(what, reason)
    yield from ceiling(image_size)


def training(what, backbone, image_size, batch_sizes, steps, anywhere, end) -> Iterator[Row]:
    """Rates of the steps, the most telling first; each with a rationale beside the plain one."""
    settings = [(size, policy, False) for size in batch_sizes[:1] for policy in POLICIES]
    settings += [(size, POLICIES[0], False) for size in batch_sizes[1:3]]
    settings += [(batch_sizes[0], POLICIES[0], True)]
    settings += [(size, POLICIES[0], False) for size in batch_sizes[3:]]
    arguments = backbone, image_size, settings, steps, anywhere
    with Process(trainings, *arguments, env=ROOM | {"KERAS_BACKEND": "tensorflow"}) as other:
        found = other.work("parity")()
        note = "{} at {} px, batch {}, float32 without TF32: ".format(*PARITY)
        note += f"{found['losses']}"
        yield Row("largest difference of a loss to the CPU's", found["difference"], note=note)
        for setting in settings:
            size, policy, compiled = setting
            name = f"{what}, batch {size}, {policy}{', XLA' if compiled else ''}"
            rows = {}
            for arm in ("plain", "views"):
                if time.perf_counter() > end:
                    yield not_measured(f"{name}, {arm}", "no time left")
                    continue
                rows[arm] = other.work(f"{arm} {setting}")()
                against = rows["plain"] if arm == "views" else None
                told = "default rationale" if arm == "views" else arm
                yield _row(f"{name}, {told}", rows[arm], size, against)


def _row(what: str, taken: Any, count: int, plain: Any = None) -> Row:
    if isinstance(taken, str):
        return not_measured(what, taken)
    times, more = Times(it=taken), {}
    if isinstance(plain, list):
        times["plain"] = plain
        more = {"against": "plain", "goal": ">= 0.98"}
    return times.rate(what, "it", count, "images/s", **more)


def device(backend: str, anywhere: bool) -> str:
    """The card's name as a backend, of this process, sees it.

    Raises:
        NotMeasured: it isn't installed or sees none.
    """
    library = optional(backend)
    cards: list[str] = []
    if backend == "tensorflow":
        details = library.config.experimental.get_device_details
        devices = library.config.list_physical_devices("GPU")
        cards = [details(each).get("device_name", "GPU") for each in devices]
    elif backend == "jax":
        cards = [each.device_kind for each in library.devices() if each.platform == "gpu"]
    elif library.cuda.is_available():
        cards = [library.cuda.get_device_name()]
    if not cards and not anywhere:
        raise NotMeasured(f"{LIBRARIES[backend]} sees no GPU")
    return f"{cards[0] if cards else 'the CPU'}, {backend} {library.__version__}"


def embedding(
    backend: str, backbone: str, image_size: int, batch_size: int, anywhere: bool
) -> dict[str, Callable]:
    """Works that return seconds of batches, by dtype policy."""
    name = device(backend, anywhere)
    from keras import ops

    from keras_cr import CommonRationaleEncoder

    shape = (batch_size, image_size, image_size, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype("float32")

    def timed(policy: str) -> list[float] | str:
        encoder = CommonRationaleEncoder(backbone, seed=0, dtype=policy)

        def work():
            ops.convert_to_numpy(encoder.predict_on_batch(pixels))

        return _several(work, 8)

    return {"device": lambda: name} | {policy: partial(timed, policy) for policy in POLICIES}


def trainings(
    backbone: str, image_size: int, settings: list, steps: int, anywhere: bool
) -> dict[str, Callable]:
    """Works that return seconds of steps, by arm and setting; and `parity`."""
    name = device("tensorflow", anywhere)
    import keras

    def timed(arm: str, size: int, policy: str, compiled: bool) -> list[float] | str:
        keras.backend.clear_session()
        step = ours.step(ours.moco(backbone, arm, policy, compiled), ours.batch(size, image_size))
        return _several(step, steps)

    works = {"device": lambda: name, "parity": parity}
    return works | {
        f"{arm} {setting}": partial(timed, arm, *setting)
        for setting in settings
        for arm in ("plain", "views")
    }


def _several(work: Callable, count: int) -> list[float] | str:
    """Seconds of repeats of a work; where it fails, the reason."""
    try:
        for _ in range(3):
            work()
        return [seconds(work) for _ in range(count)]
    except Exception as error:  # out of memory has a class of its own in every library
        return f"{type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}"


def parity() -> dict[str, Any]:
    """Losses of three steps on the default device and on the CPU, from the same start."""
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)
    losses: dict[str, list] = {}
    backbone, image_size, batch_size = PARITY
    for where in ("", "/CPU:0"):
        with tf.device(where or None):
            step = ours.step(ours.moco(backbone, "views"), ours.batch(batch_size, image_size))
            losses[where or "default"] = [round(step(), 6) for _ in range(3)]
    tf.config.experimental.enable_tensor_float_32_execution(True)
    here, cpu = losses.values()
    difference = max(abs(a - b) / abs(b) for a, b in zip(here, cpu, strict=True))
    return {"losses": losses, "difference": difference}


def ceiling(image_size: int) -> Iterator[Row]:
    """Views a second of the input pipeline on this machine's processors."""
    from benchmarks.photos import photos
    from benchmarks.views import BATCH, seconds_of
    from benchmarks.views import ours as views

    taken = [seconds_of(views(photos(4 * BATCH), image_size), 4) for _ in range(2)]
    what = f"input pipeline, {image_size} px, from decoded images"
    yield Times(it=taken).rate(what, "it", 8 * BATCH, "views/s")


if __name__ == "__main__":
    main(benchmark)
