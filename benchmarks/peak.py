"""Where a training step's time goes, and which share of the machine's matrix product it reaches.

    python benchmarks/peak.py --backbone resnet18 --image-size 64 --batch-size 64

The peak is a float32 matrix product of TensorFlow's, 2,048 x 2,048 by 2,048 x 2,048. A step's
floating-point operations are those of its convolutions and matrix products, counted in its graph.
Each part is traced on its own and takes turns with the others; the parts together take a little
more than the step, whose parts run side by side where they can. The rationale is the step with it
less the step without, backward is both halves less the forward one: medians over the rounds.
"""

import statistics
from collections.abc import Iterator

from benchmarks import steps as ours
from benchmarks.flops import flops
from benchmarks.program import main
from benchmarks.rows import Row
from benchmarks.timing import interleaved

SIDE = 2048


def benchmark(
    backbone: str = "resnet18", image_size: int = 64, batch_size: int = 64, repeats: int = 5
) -> Iterator[Row]:
    import tensorflow as tf

    batch = ours.batch(batch_size, image_size)
    a = tf.random.normal((SIDE, SIDE))
    low = tf.cast(a, "bfloat16")
    traced = parts(ours.moco(backbone), batch) | {
        "rationale": _step(ours.moco(backbone, "views"), batch),
        "product": tf.function(lambda: tf.matmul(a, a)).get_concrete_function(),
        "product, bfloat16": tf.function(lambda: tf.matmul(low, low)).get_concrete_function(),
    }
    count = {name: flops(function) for name, function in traced.items()}
    works = {name: _finished(function) for name, function in traced.items()}
    times = interleaved(works, repeats, warm_up=2)
    peak = count["product"] / times.median("product")
    yield Row("float32 matrix product, the peak", peak / 1e9, "GFLOP/s")
    speed = count["product, bfloat16"] / times.median("product, bfloat16")
    yield Row(
        "bfloat16 matrix product", speed / 1e9, "GFLOP/s", ratio=speed / peak, against="the peak"
    )
    size = f"{backbone}, {image_size} px, batch {batch_size}"
    for name in traced:
        if name.startswith("product"):
            continue
        seconds, done = times.median(name), count[name]
        if name in DIFFERENCES:
            less = DIFFERENCES[name]
            pairs = zip(times[name], times[less], strict=True)
            seconds = statistics.median(one - other for one, other in pairs)
            done -= count[less]
        whole = times.median("step")
        note = f"{done / 1e9:.1f} GFLOP, {seconds / whole:.3f} of the step"
        share = {}
        if seconds <= 0:
            note += ": less than steps scatter"
        elif done > 1e6:
            share = {"ratio": done / seconds / peak, "against": "the peak"}
        yield Row(f"{size}: {TITLES[name]}", 1000 * seconds, "ms", note=note, **share)


TITLES = {
    "step": "plain step",
    "follow": "twin follows",
    "twin": "twin sees its view",
    "forward": "forward and loss",
    "backward": "backward",
    "optimizer": "optimizer",
    "rationale": "the rationale's part",
}
DIFFERENCES = {"backward": "forward", "rationale": "step"}


def parts(pretrainer, batch) -> dict:
    """A plain step and its parts, traced; `backward` is the forward half as well."""
    import tensorflow as tf

    step = _step(pretrainer, batch)  # which builds the optimizer
    variables = pretrainer.trainable_variables
    twin, encoder, heads = pretrainer.twin, pretrainer.encoder, pretrainer.heads
    teacher = {"key": tf.function(lambda: twin(batch["key"]))()}
    gradients = [tf.random.normal(each.shape, stddev=1e-6) for each in variables]

    def follow():
        twin.follow(encoder.backbone, heads, pretrainer.momentum)
        return tf.constant(0)

    def see():
        return pretrainer.see(twin(batch["key"]), twin.heads).projected

    seen = pretrainer.see(teacher["key"], twin.heads)

    def forward():
        student = {"query": pretrainer.see(pretrainer.look(batch["query"]), pretrainer.heads)}
        return pretrainer.objective(student, {"key": seen}, batch).loss

    def backward():
        with tf.GradientTape() as tape:
            loss = forward()
        return [each for each in tape.gradient(loss, variables) if each is not None]

    def optimize():
        pretrainer.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return tf.constant(0)

    works = {"follow": follow, "twin": see, "forward": forward}
    works |= {"backward": backward, "optimizer": optimize}
    return {"step": step} | {
        name: tf.function(work).get_concrete_function() for name, work in works.items()
    }


def _step(pretrainer, batch):
    import tensorflow as tf

    pretrainer.optimizer.build(pretrainer.trainable_variables)
    function = tf.function(lambda: pretrainer.train_step(batch))
    return function.get_concrete_function()


def _finished(function):
    """Runs a traced function and waits for its results."""
    import tensorflow as tf

    return lambda: tf.nest.map_structure(
        lambda each: each.numpy().shape if each is not None else None, function()
    )


if __name__ == "__main__":
    main(benchmark)
