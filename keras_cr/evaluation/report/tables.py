"""The section of numbers: one table a family of protocols, and beneath it how they came about."""

from keras_cr.evaluation.report.html import Markup, el, table
from keras_cr.evaluation.report.numbers import (
    FAMILIES,
    Metric,
    Scored,
    protocol_name,
    reason,
    scored,
    spread,
)
from keras_cr.evaluation.report.subject import Subject


def numbers(subject: Subject) -> Markup:
    """All numbers of the encoder before and after training, under its own and plain pooling."""
    compared = scored(subject.metrics, subject.initialization)
    parts = [_family(title, metrics, compared, subject) for title, metrics in FAMILIES.items()]
    return el("section", el("h2", "Numbers"), el("p", "All in percent."), parts, id="numbers")


def method(protocol: dict, name: str, named: bool = False) -> Markup:
    """How a protocol measures, on which split, with which seed and choices."""
    stated = protocol[name]
    seed = "no seed plays a part" if stated["seed"] is None else f"seed {stated['seed']}"
    how = f"{stated['description']} Split: {stated['split']}; {seed}."
    chosen = [
        el("p", el("b", pooling), f": {told}.")
        for pooling, values in stated["choices"].items()
        if (told := choices(values))
    ]
    return el(
        "div",
        el("p", [el("b", protocol_name(name)), ": "] if named else None, how),
        el("details", el("summary", "Chosen and counted on the way"), chosen) if chosen else None,
        class_="method",
    )


def choices(chosen: dict) -> str:
    """What a protocol chose and counted, as text."""
    return "; ".join(f"{name.replace('_', ' ')} {_told(value)}" for name, value in chosen.items())


def _told(value) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{k.replace('_', ' ')} {_told(v)}" for k, v in value.items()) + ")"
    if isinstance(value, list | tuple):
        return " / ".join(map(_told, value))
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _family(
    title: str, metrics: tuple[Metric, ...], compared: list[Scored], subject: Subject
) -> Markup:
    names = list(dict.fromkeys(metric.protocol for metric in metrics))
    measured = [name for name in names if isinstance(subject.protocol.get(name), dict)]
    shown = [metric for metric in metrics if metric.protocol in measured]
    rows = [[arm.title, *(spread(metric, arm.scores) for metric in shown)] for arm in compared]
    named = "weights, pooling" if compared[0].weights else "pooling"
    head = [named, *(metric.title for metric in shown)]
    return el(
        "div",
        el("h3", title),
        table(head, rows, f"{title}, percent") if shown else None,
        [method(subject.protocol, name, named=len(names) > 1) for name in measured],
        [
            el("p", f"Not measured: {protocol_name(name)}; {reason(subject.metrics, name)}.")
            for name in names
            if name not in measured
        ],
        class_="family",
    )
