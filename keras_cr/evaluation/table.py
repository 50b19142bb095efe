"""Evaluations side by side, as plain text."""

from keras_cr._metrics import shown_in

COLUMNS = shown_in("table")


def format_table(metrics_by_name: dict[str, dict]) -> str:
    """Formats evaluations as a table, one a row, in percent.

    Args:
        metrics_by_name: {name of the row: what `evaluate` returned}. A number that is None is
            printed as "-".

    Returns:
        Lines of text: the columns rank-1, rank-5, mAP, linear and k-NN under the encoder's own
        pooling, then under average pooling.

    Raises:
        ValueError: if there is no evaluation.

    Example:

    >>> print(format_table({"initialisation": before, "with rationale": after}))
    """
    if not metrics_by_name:
        raise ValueError("`metrics_by_name` must hold at least one evaluation; received none.")
    poolings = {m.get("protocol", {}).get("pooling", "rationale") for m in metrics_by_name.values()}
    own = f"{poolings.pop()} pooling" if len(poolings) == 1 else "own pooling"
    width = max(len(name) for name in (*metrics_by_name, "percent"))
    header = " ".join(f"{metric.title:>6}" for metric in COLUMNS)
    lines = [
        f"{'':{width}} | {own:^{len(header)}} | {'average pooling':^{len(header)}}",
        f"{'percent':{width}} | {header} | {header}",
        f"{'-' * width}-+-{'-' * len(header)}-+-{'-' * len(header)}",
    ]
    for name, metrics in metrics_by_name.items():
        groups = (_joined(metrics), _joined(metrics.get("average_pooling") or {}))
        lines.append(" | ".join((f"{name:{width}}", *groups)))
    return "\n".join(lines)


def cells(metrics: dict) -> list[str]:
    """The columns of one row, in percent, "-" where there is no number."""
    values = (metric.of(metrics) for metric in COLUMNS)
    return ["-" if value is None else f"{100 * value:.1f}" for value in values]


def _joined(metrics: dict) -> str:
    return " ".join(f"{cell:>6}" for cell in cells(metrics))
