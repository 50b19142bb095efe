"""A network's convolutions alone, by TensorFlow's kernels and by PyTorch's.

    python benchmarks/convolutions.py --backbone resnet18 --image-size 64 --batch-size 64

Every convolution of the backbone with its shapes, on tensors that are there already, forward and
backward (by the kernel, and by the input but for the first one's). Both libraries call oneDNN on
Intel's processors. They bound what a step that is made of them can reach.
"""

from collections.abc import Callable, Iterator

from benchmarks.process import Process
from benchmarks.program import main, optional
from benchmarks.rows import NotMeasured, Row, not_measured
from benchmarks.timing import interleaved

FORWARD, BACKWARD = "forward", "forward and backward"


def benchmark(
    backbones: tuple[str, ...] = ("resnet18", "resnet50"),
    image_sizes: tuple[int, ...] = (64, 224),
    batch_sizes: tuple[int, ...] = (64, 16),
    repeats: int = 2,
) -> Iterator[Row]:
    for setting in zip(backbones, image_sizes, batch_sizes, strict=False):
        yield from compare(*setting, repeats)


def compare(backbone: str, image_size: int, batch_size: int, repeats: int) -> Iterator[Row]:
    size = f"{backbone}, {image_size} px, batch {batch_size}"
    plan = shapes(backbone, image_size)
    with Process(tensorflow_works, plan, batch_size) as ours:
        works = {f"TensorFlow, {name}": ours.work(name) for name in ours.names}
        try:
            with Process(torch_works, plan, batch_size) as theirs:
                works |= {f"PyTorch, {name}": theirs.work(name) for name in theirs.names}
                times = interleaved(works, repeats, warm_up=1)
        except NotMeasured as reason:
            times = interleaved(works, repeats, warm_up=1)
            yield not_measured(f"{size}: PyTorch's convolutions", reason)
    for name in times:
        direction = name.partition(", ")[2]
        other = f"PyTorch, {direction}"
        more = {"against": other} if name != other and other in times else {}
        yield times.row(f"{size}: {name}", name, 1e-3, "ms", **more)


def shapes(backbone: str, image_size: int) -> list[tuple[int, ...]]:
    """(side, channels, filters, kernel, stride, padding) of every convolution."""
    from keras import layers

    from keras_cr.models import backbone_from_name

    model = backbone_from_name(backbone, input_shape=(image_size, image_size, 3), seed=0)
    found = []
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            side, channels = layer.input.shape[1], layer.input.shape[-1]
            kernel, stride = layer.kernel_size[0], layer.strides[0]
            same = layer.padding == "same"
            found.append((side, channels, layer.filters, kernel, stride, kernel // 2 * same))
    return found


def tensorflow_works(plan: list, batch_size: int) -> dict[str, Callable]:
    import tensorflow as tf

    given = [  # padding by numbers would leave the fast kernels
        (
            tf.random.normal((batch_size, s, s, c)),
            tf.random.normal((k, k, c, f)),
            stride,
            "SAME" if p else "VALID",
        )
        for s, c, f, k, stride, p in plan
    ]

    def forward():
        return [tf.nn.conv2d(x, w, stride, p) for x, w, stride, p in given]

    def both():
        found = []
        for number, (x, w, stride, p) in enumerate(given):
            with tf.GradientTape() as tape:
                watched = [w] if number == 0 else [w, x]
                tape.watch(watched)
                y = tf.nn.conv2d(x, w, stride, p)
            found += tape.gradient(y, watched, output_gradients=y)
        return found

    def finished(function):
        traced = tf.function(function)
        return lambda: [each.numpy().shape for each in traced()][:0]

    return {FORWARD: finished(forward), BACKWARD: finished(both)}


def torch_works(plan: list, batch_size: int) -> dict[str, Callable]:
    torch = optional("torch")
    from torch.nn import functional as F

    last = torch.channels_last
    given = []
    for number, (s, c, f, k, stride, p) in enumerate(plan):
        x = torch.randn(batch_size, c, s, s).contiguous(memory_format=last)
        w = torch.randn(f, c, k, k).contiguous(memory_format=last).requires_grad_()
        given.append((x.requires_grad_(number > 0), w, stride, p))

    def forward():
        with torch.no_grad():
            for x, w, stride, p in given:
                F.conv2d(x, w, None, stride, p)

    def both():
        for x, w, stride, p in given:
            y = F.conv2d(x, w, None, stride, p)
            torch.autograd.grad(y, [each for each in (w, x) if each.requires_grad], y.detach())

    return {FORWARD: forward, BACKWARD: both}


if __name__ == "__main__":
    main(benchmark)
