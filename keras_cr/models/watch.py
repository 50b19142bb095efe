"""Looking at what `fit`, `evaluate` and `predict` are given, while its values can be seen."""

import contextlib
import types
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_cr.models.inputs import Seen


class Watch:
    """Checks data on its way into a Keras model, whatever kind of data it is.

    Arrays are checked at once, a stream batch by batch as it passes by: nothing is read twice and
    no order changes.

    Args:
        pick: from a batch to those of its parts that are looked at.
        check: called with a part, an array, and `seen=`; raises a ValueError, or returns the part
            as the model is to get it, which counts for arrays.
        first_only: whether of a stream only the first batch is looked at.
    """

    def __init__(
        self, pick: Callable[[Any], list], check: Callable[..., Any], first_only: bool = False
    ):
        self.pick, self.check, self.first_only = pick, check, first_only
        self._error: Exception | None = None

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """Raises a check's own error, and not what a data pipeline makes of it."""
        try:
            yield
        except Exception:
            if self._error is None:
                raise
        if self._error is not None:
            raise self._error from None

    def data(self, data, seen: Seen):
        """What to give to Keras in place of `data`.

        Args:
            data: what Keras takes: arrays, a dict of them, a `tf.data.Dataset`, a generator, a
                `keras.utils.PyDataset` (of which only the first batch is looked at); what is none
                of these is left to Keras.
            seen: what is known of its images.
        """
        if isinstance(data, types.GeneratorType):
            return self._chained(data, seen)
        if isinstance(data, keras.utils.PyDataset):
            self._look_at(self.pick(data[0]), seen)
            return data
        if hasattr(data, "element_spec"):
            return self._mapped(data, seen) if hasattr(data, "enumerate") else data
        is_array = hasattr(data, "shape") or hasattr(data, "__array_interface__")
        if is_array or isinstance(data, str | list | tuple | dict):
            return self.check(data, seen=seen)
        return data

    def _look_at(self, parts: list, seen: Seen) -> None:
        try:
            for part in parts:
                self.check(part, seen=seen)
        except ValueError as error:
            self._error = error  # for where it is raised inside a pipeline
            raise

    def _chained(self, batches: types.GeneratorType, seen: Seen) -> types.GeneratorType:
        """A generator again, as Keras tells it from other iterables; its first batch is read."""
        try:
            first = next(batches)
        except StopIteration:
            return batches
        self._look_at(self.pick(first), seen)

        def all_of_them():
            yield first
            for batch in batches:
                if not self.first_only:
                    self._look_at(self.pick(batch), seen)
                yield batch

        return all_of_them()

    def _mapped(self, dataset, seen: Seen):
        """A `tf.data.Dataset` of the same elements."""
        import tensorflow as tf

        specs = self.pick(dataset.element_spec)
        if not all(isinstance(spec, tf.TensorSpec) and spec.shape.rank for spec in specs):
            return dataset
        self._look_at([keras.KerasTensor(spec.shape, spec.dtype.name) for spec in specs], seen)
        if all(spec.dtype == tf.uint8 and spec.shape[1:].is_fully_defined() for spec in specs):
            return dataset  # there is nothing more to see

        def look(number, *parts):
            if number == 0:
                seen.count = 0  # of the images in this epoch
            self._look_at(parts, seen)
            return np.True_

        def passing(number, element):
            def now():
                return tf.numpy_function(look, [number, *self.pick(element)], tf.bool)

            looked = tf.cond(number == 0, now, lambda: True) if self.first_only else now()
            with tf.control_dependencies([looked]):
                return tf.nest.map_structure(tf.identity, element)

        passed = dataset.enumerate().map(passing)
        return passed if self.first_only else passed.prefetch(1)  # looking does not hold up a step
