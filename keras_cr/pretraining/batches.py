"""What a pretrainer's batch may look like."""

from typing import Any

from keras import ops

from keras_cr._replicas import gather
from keras_cr._types import Tensor


def training_batch(data: Any, pretrainer: Any) -> dict:
    """`unpack_views`, with the labels, small crops and boxes that a pretrainer needs.

    Raises:
        ValueError: the batch holds no two views, or not what the objective or a task needs.
    """
    batch = unpack_views(data)
    crops = pretrainer.small_crops
    needs = {
        "label": pretrainer.needs_labels and "two_views(..., labels=True)",
        "small": crops and f"two_views(..., small_crops={crops})",
    }
    boxes = pretrainer.boxes and "two_views(..., boxes=True)"
    needs |= {f"{view}_{what}": boxes for view in pretrainer.views for what in ("box", "flip")}
    for name, maker in needs.items():
        if maker and name not in batch:
            raise ValueError(
                f"{type(pretrainer).__name__} needs {name!r} beside the views, as "
                f"keras_cr.data.{maker} makes it. Received: {sorted(batch)}"
            )
    if crops and batch["small"].shape[1] != crops:
        raise ValueError(
            f"{type(pretrainer).__name__} was built with small_crops={crops}; batches must hold as "
            f"many of each image. Received: 'small' of shape {tuple(batch['small'].shape)}"
        )
    return batch


def unpack_views(data: Any) -> dict:
    """Two views of a batch as a dict with `query`, `key` and perhaps `index`.

    Raises:
        ValueError: the batch holds no two views.
    """
    if isinstance(data, (tuple, list)):
        data = [part for part in data if part is not None]  # Keras fills up with None
        if len(data) == 1:
            return unpack_views(data[0])
        if len(data) in (2, 3, 4):
            return dict(zip(("query", "key", "index", "image"), data, strict=False))
    if isinstance(data, dict) and {"query", "key"} <= set(data):
        return data
    received = sorted(data) if isinstance(data, dict) else type(data).__name__
    raise ValueError(
        "A pretrainer's batch is a dict with 'query' and 'key' (two views of every image), or a "
        f"tuple of them. Received: {received}"
    )


def seen_views(data: Any) -> list:
    """The parts of a batch that a pretrainer's encoder is shown.

    Raises:
        ValueError: as `unpack_views`.
    """
    views = unpack_views(data)
    return [views[name] for name in ("query", "key", "image") if name in views]


def image_numbers(views: dict) -> Tensor | None:
    """Which image each row of a batch is, of all replicas, or None where the views don't say."""
    if (index := views.get("index")) is None:
        return None
    return gather(ops.cast(index, "int32"))
