"""Floating-point operations of a traced function: its convolutions and matrix products."""

import math
from typing import Any

_PRODUCTS = ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")


def flops(function: Any) -> float:
    """Of one call, a multiplication and an addition each counting one.

    Args:
        function: a concrete `tf.function` whose shapes are all known.
    """
    graph = function.graph
    return float(sum(_of(op, graph) for op in _operations(graph)))


def _operations(graph):
    """Those of a graph and of the functions that it calls, each called once."""
    for op in graph.get_operations():
        yield op
        if op.type in ("PartitionedCall", "StatefulPartitionedCall"):
            called = graph._functions.get(op.get_attr("f").name)
            if called is not None:
                yield from _operations(called.graph)


def _of(op, graph) -> int:
    if op.type in ("Conv2D", "DepthwiseConv2dNative"):
        kernel, out = _shape(op.inputs[1]), _shape(op.outputs[0])
        each = math.prod(kernel[:3]) if op.type == "Conv2D" else math.prod(kernel[:2])
        return 2 * math.prod(out) * each
    if op.type == "Conv2DBackpropInput":
        return 2 * math.prod(_shape(op.inputs[2])) * math.prod(_shape(op.inputs[1])[:3])
    if op.type == "Conv2DBackpropFilter":
        return 2 * math.prod(_shape(op.inputs[2])) * math.prod(_shape(op.outputs[0])[:3])
    if op.type in _PRODUCTS:
        turned = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
        inner = _shape(op.inputs[0])[-2 if turned else -1]
        return 2 * math.prod(_shape(op.outputs[0])) * inner
    return 0


def _shape(tensor) -> list[int]:
    shape = tensor.shape.as_list()
    if None in shape:
        raise ValueError(f"{tensor.op.type} {tensor.name} has no static shape: {shape}")
    return shape
