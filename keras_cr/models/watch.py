"""Looking at what `fit`, `evaluate` and `predict` are given, while its values can be seen."""

import contextlib
import copy
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_cr.models.inputs import Seen


class Watch:
    """Checks data on its way into a Keras model, whatever kind of data it is.

    Arrays are checked at once, a stream batch by batch as it passes by: nothing is read twice and
    no order changes.

    Args:
        pick: from a batch to those of its parts that are looked at, images first.
        check: called with the parts and `seen=`, or with images alone where those come as arrays;
            raises a ValueError, or returns the images as the model is to get them.
        first_only: whether of a stream only the first batch is looked at.
    """

    def __init__(
        self, pick: Callable[[Any], list], check: Callable[..., Any], first_only: bool = False
    ) -> None:
        self.pick, self.check, self.first_only = pick, check, first_only
        self.error: Exception | None = None

    def data(self, data: Any, seen: Seen) -> Any:
        """What to give to Keras in place of `data`.

        Args:
            data: what Keras takes: arrays, a dict of them, a `tf.data.Dataset`, a generator, a
                `keras.utils.PyDataset` (of which only the first batch is looked at where other
                processes read it), a `torch.utils.data.DataLoader`.
            seen: what is known of its images.
        """
        if isinstance(data, types.GeneratorType):
            return self._chained(data, seen)
        if isinstance(data, keras.utils.PyDataset):
            self._look_at(self.pick(data[0]), seen)
            alone = self.first_only or data.use_multiprocessing
            return data if alone else self._indexed(data, seen)
        if hasattr(data, "element_spec"):
            return self._mapped(data, seen) if hasattr(data, "enumerate") else data
        if comes_whole(data):
            return self.check(data, seen=seen)
        if type(data).__module__.startswith("torch.") and hasattr(data, "__iter__"):
            return self._iterated(data, seen)
        if hasattr(data, "__iter__") or hasattr(data, "__getitem__"):
            return data
        raise ValueError(
            f"`{seen.argument}` must be images (N, H, W, 3), or batches of them. Received: "
            f"{'None' if data is None else 'a ' + type(data).__name__}"
        )

    def _look_at(self, parts: Sequence, seen: Seen) -> None:
        try:
            self.check(*parts, seen=seen)
        except ValueError as error:
            self.error = error  # for where it is raised inside a pipeline
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

    def _indexed(self, batches: keras.utils.PyDataset, seen: Seen) -> keras.utils.PyDataset:
        """The same data set, whose batches are looked at when Keras asks for them."""
        watch, kind = self, type(batches)

        def __getitem__(self, index):
            batch = kind.__getitem__(self, index)
            watch._look_at(watch.pick(batch), seen.of_batch(index))
            return batch

        return _of_kind(batches, {"__getitem__": __getitem__})

    def _iterated(self, batches, seen: Seen):
        """The same loader, whose batches are looked at as they pass by."""
        watch, kind = self, type(batches)

        def __iter__(self):
            seen.count = 0  # of the images in this epoch
            for number, batch in enumerate(kind.__iter__(self)):
                if number == 0 or not watch.first_only:
                    watch._look_at(watch.pick(batch), seen)
                yield batch

        return _of_kind(batches, {"__iter__": __iter__})

    def _mapped(self, dataset, seen: Seen):
        """A `tf.data.Dataset` of the same elements."""
        import tensorflow as tf

        specs = self.pick(dataset.element_spec)
        if not all(isinstance(spec, tf.TensorSpec) for spec in specs):  # ragged, or of other kinds
            return dataset
        if specs[0].shape.rank is None:
            raise ValueError(
                f"`{seen.argument}` must have a known shape; received batches of unknown rank. Set "
                "it: dataset.map(lambda x, y: (tf.ensure_shape(x, (None, 64, 64, 3)), y))."
            )
        self._look_at([keras.KerasTensor(spec.shape, spec.dtype.name) for spec in specs], seen)
        known = [spec.dtype == tf.uint8 and spec.shape[1:].is_fully_defined() for spec in specs]
        if all(known):
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
                return tf.nest.map_structure(
                    lambda part: part if part is None else tf.identity(part), element
                )

        passed = dataset.enumerate().map(passing)
        return passed if self.first_only else passed.prefetch(1)  # looking does not hold up a step


def comes_whole(data: Any) -> bool:
    """Whether data are arrays, and not a stream of batches."""
    is_array = hasattr(data, "shape") or hasattr(data, "__array_interface__")
    return is_array or isinstance(data, str | list | tuple | dict)


@contextlib.contextmanager
def raising(watches: list[Watch]) -> Iterator[None]:
    """Raises a check's own error, and not what a data pipeline makes of it."""
    try:
        yield
    except Exception:
        if not any(watch.error for watch in watches):
            raise
    for watch in watches:
        if watch.error is not None:
            raise watch.error from None


def _of_kind(data: Any, methods: dict[str, Callable]) -> Any:
    """A shallow copy whose class has other methods; it stays an instance of its own class."""
    twin = copy.copy(data)
    twin.__class__ = type(type(data).__name__, (type(data),), methods)
    return twin
