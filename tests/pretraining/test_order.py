"""What a training step reads before its variables change, in the graph as TensorFlow runs it."""

import dataclasses

import keras
import pytest
from tensorflow.python.eager import context  # no public name gives the optimized graph

from keras_cr.optimizers import LARS, AdamW
from keras_cr.pretraining import Rationale
from tests.pretraining.objectives.test_moco import SMALL, batch, moco

LOOKS = ("ReadVariableOp", "AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")
MIRROR = dataclasses.replace(SMALL, positives=dataclasses.replace(SMALL.positives, mirror=True))


def graphs(step):
    """The graphs of a step's functions by node name: as traced, and as optimized."""
    collecting = context.context()
    collecting.enable_graph_collection()
    try:
        step()
        found = collecting.export_run_metadata().function_graphs
    finally:
        collecting.disable_graph_collection()
    both = ((each.pre_optimization_graph, each.post_optimization_graph) for each in found)
    return [tuple({node.name: node for node in graph.node} for graph in pair) for pair in both]


def followers(graph):
    """By a node's name, those that take something of it or wait for it."""
    found = {name: set() for name in graph}
    for node in graph.values():
        for source in node.input:
            found[source.lstrip("^").split(":")[0]].add(node.name)
    return found


def after(follows, name):
    """All that can only run when a node has run."""
    found, left = set(), [name]
    while left:
        new = follows[left.pop()] - found
        found |= new
        left += new
    return found


@pytest.mark.parametrize(
    ("rationale", "optimizer"),
    [
        (SMALL, keras.optimizers.SGD(0.1, momentum=0.9)),
        (MIRROR, AdamW(0.001, weight_decay=0.1)),
        (Rationale.reference(), LARS(0.1)),
    ],
)
def test_variables_are_read_and_changed_in_the_order_that_was_written(rationale, optimizer):
    pretrainer = moco(rationale, optimizer=optimizer)
    pairs = 0
    for traced, optimized in graphs(lambda: pretrainer.train_on_batch(batch())):
        follows = followers(optimized)
        for node in traced.values():
            if node.op not in LOOKS or node.name not in optimized:
                continue
            for earlier in (name[1:] for name in node.input if name.startswith("^")):
                if earlier in optimized and traced[earlier].op in LOOKS:
                    assert node.name in after(follows, earlier), (earlier, node.name)
                    pairs += 1
    assert pairs > 2 * len(pretrainer.trainable_variables)
