"""report.md: the numbers of an evaluation for a pull request."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from keras_cr.evaluation.evaluate import Evaluation
from keras_cr.evaluation.protocols import PROTOCOLS
from keras_cr.evaluation.report.headline import summary
from keras_cr.evaluation.report.numbers import (
    FAMILIES,
    PLACES,
    Metric,
    Scored,
    baselines,
    maps,
    place,
    points,
    protocol_name,
    reason,
    scored,
    source_line,
    spread,
)
from keras_cr.evaluation.report.tables import choices
from keras_cr.evaluation.report.write import write_text


def write_markdown(
    path: str | os.PathLike,
    title: str,
    evaluation: Evaluation | dict,
    initialization: dict | None = None,
    source: Mapping[str, object] | None = None,
) -> Path:
    """Writes the numbers of an evaluation as GitHub's Markdown, without pictures.

    One table has a row a metric and a column for each of what `write_report` compares, with the
    differences in percentage points; one sets the map beside its controls. Below stand the command,
    how each protocol measures, and what is missing and why.

    Args:
        path: the file to write; its folder is made, an earlier one replaced, whole or not at all.
        title: the heading.
        evaluation: what `evaluate_features` or `evaluate` returned, or the content of a
            metrics.json.
        initialization: what `evaluate` returned for the encoder before training; None takes what
            stands under that key in the metrics, if anything.
        source: as for `write_report`.

    Returns:
        `path`.

    Raises:
        ValueError: `evaluation` holds no protocol.

    Example:

    >>> write_markdown("run/report.md", "Birds, 100 epochs", metrics)
    """
    metrics = evaluation.metrics if isinstance(evaluation, Evaluation) else evaluation
    if not (isinstance(metrics, dict) and "pooling" in metrics.get("protocol", {})):
        raise ValueError(
            "`evaluation` must be what evaluate or evaluate_features returned; received "
            f"{_told(metrics)}."
        )
    initialization = initialization or metrics.get("initialization")
    protocol = metrics["protocol"]
    source = {k: v for k, v in (source or {}).items() if k not in protocol["versions"]}
    command = source.pop("command", None)
    parts = [
        f"## {_escape(title)}",
        *map(_escape, summary(metrics, initialization)),
        _numbers(scored(metrics, initialization)),
        _places(metrics, initialization),
        _fenced(str(command)) if command else None,
        _bullets(
            [
                *(source_line(name, value) for name, value in source.items() if value is not None),
                ("Checkpoint", protocol["checkpoint_rule"]),
                ("Images", _pairs(protocol["images"]) + f" at {protocol['image_size']} pixels"),
                ("Versions", _pairs(protocol["versions"])),
            ]
        ),
        _bullets(
            (f"not measured: {protocol_name(name)}", reason(metrics, name))
            for name in protocol["missing"]
        ),
        _folded(
            "How each number is measured",
            _bullets(
                (protocol_name(name), _method(protocol[name]))
                for name in PROTOCOLS
                if isinstance(protocol.get(name), dict)
            ),
        ),
    ]
    return write_text(path, "\n\n".join(part for part in parts if part) + "\n")


def _numbers(compared: list[Scored]) -> str | None:
    own, others = compared[-1], baselines(compared)
    head = ["percent", *(f"{arm.title} pooling" for arm in compared)]
    head += [f"against {own.against(other)}, points" for other in others]
    rows = [
        [_title(metric)]
        + [spread(metric, arm.scores) for arm in compared]
        + [points(metric.of(own.scores), metric.of(other.scores)) for other in others]
        for family in FAMILIES.values()
        for metric in family
        if metric.short and any(metric.of(arm.scores) is not None for arm in compared)
    ]
    return _table(head, rows) if rows else None


def _title(metric: Metric) -> str:
    name = protocol_name(metric.protocol)
    return metric.title if metric.title == name else f"{name}, {metric.title}"


def _places(metrics: dict, initialization: dict | None) -> str | None:
    if not metrics.get("localization"):
        return None
    rows = [
        [title, *(place(name, scores) for name in PLACES)]
        for title, scores in maps(metrics, initialization)
    ]
    return _table(["map, percent", *PLACES.values()], rows)


def _method(stated: dict) -> str:
    seed = "" if stated["seed"] is None else f"; seed {stated['seed']}"
    chosen = [
        f"{pooling}: {told}" for pooling, c in stated["choices"].items() if (told := choices(c))
    ]
    return f"{stated['description']} Split: {stated['split']}{seed}. {'. '.join(chosen)}".strip()


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _bullets(pairs: Iterable[tuple[str, object]]) -> str | None:
    lines = [f"- **{_escape(name)}**: {_escape(value)}" for name, value in pairs]
    return "\n".join(lines) or None


def _folded(title: str, text: str | None) -> str | None:
    return text and f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def _fenced(text: str) -> str:
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _pairs(values: Mapping) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _cell(text: str) -> str:
    return text if set(text) <= {"-", ":"} else _escape(text)


def _escape(text) -> str:
    """One line of plain text: what Markdown or HTML would read as markup is shown as it is."""
    return re.sub(r"([\\`*\[\]<>|#~&]|\b_|_\b)", r"\\\1", " ".join(str(text).split()))


def _told(metrics) -> str:
    return f"keys {list(metrics)}" if isinstance(metrics, dict) else f"a {type(metrics).__name__}"
