"""Training curves as small multiples."""

import os
from collections.abc import Mapping, Sequence

import numpy as np

from keras_cr._csv import read_csv
from keras_cr.visualization._optional import optional
from keras_cr.visualization._sheet import BLUE, ORANGE
from keras_cr.visualization.picture import Picture

COLUMNS = 3


def curves(
    history: Mapping[str, Sequence[float]] | str | os.PathLike,
    path: str | os.PathLike | None = None,
) -> Picture:
    """Draws one panel a metric over the epochs; `val_` metrics share the panel of theirs.

    Args:
        history: `model.fit(...).history`, or a CSV file of `keras.callbacks.CSVLogger`: a header
            of names, a row an epoch. A column `epoch` is the axis, counted from 0 as Keras does
            and shown from 1. Cells that hold no number are left out.
        path: PNG file to write; its folder is made. None writes nothing.

    Returns:
        The panels, a `Picture` (height, width, 3) uint8, which a notebook shows.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: `history` holds no metric, or its columns differ in length, or `path` does not
            end in '.png'.
        FileNotFoundError: there is no such CSV file.

    Example:

    >>> curves("run/history.csv")  # or what model.fit(...) returns, .history
    """
    columns = history if isinstance(history, Mapping) else _read(history)
    columns = {name: np.array([_number(v) for v in values]) for name, values in columns.items()}
    lengths = {len(values) for values in columns.values()}
    epochs = columns.pop("epoch", None)
    drawn = {name: values for name, values in columns.items() if np.isfinite(values).any()}
    if not drawn:
        raise ValueError(
            f"`history` must hold at least one metric with numbers; received {_told(history)}."
        )
    if len(lengths) > 1:
        raise ValueError(
            f"`history` must have one value an epoch in every column; received {_told(history)} "
            f"with lengths {sorted(lengths)}."
        )
    epochs = np.arange(lengths.pop()) + 1 if epochs is None else epochs + 1
    panels = list(dict.fromkeys(name.removeprefix("val_") for name in drawn))
    figure_module = optional("matplotlib.figure", "matplotlib")
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = figure_module.Figure((3.6 * columns, 2.6 * rows), dpi=120, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1)
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for axis, panel in zip(axes, panels, strict=False):
        both = [name for name in (panel, f"val_{panel}") if name in drawn]
        for name, color in zip(both, (BLUE, ORANGE), strict=False):
            _draw(axis, epochs, drawn[name], color, "validation" if name != panel else "training")
        axis.set_title(panel.replace("_", " "), fontsize=11)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
        axis.xaxis.get_major_locator().set_params(integer=True)
        if len(both) > 1:
            axis.legend(frameon=False, fontsize=9)
    for axis in figure.axes[len(panels) :]:
        axis.remove()
    figure.supxlabel("epoch", fontsize=10)
    canvas = optional("matplotlib.backends.backend_agg", "matplotlib").FigureCanvasAgg(figure)
    canvas.draw()
    picture = Picture(np.array(canvas.buffer_rgba())[..., :3])
    if path is not None:
        picture.save(path)
    return picture


def _draw(axis, epochs: np.ndarray, values: np.ndarray, color: str, label: str) -> None:
    kept = np.isfinite(values)
    marker = "o" if kept.sum() < 20 else ""
    axis.plot(epochs[kept], values[kept], color=color, label=label, marker=marker, markersize=3)


def _read(path: str | os.PathLike) -> dict[str, list[str]]:
    names, rows = read_csv(path)
    return {name: [row[name] for row in rows] for name in names}


def _number(value) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _told(history) -> str:
    return f"columns {list(history)}" if isinstance(history, Mapping) else f"{str(history)!r}"
