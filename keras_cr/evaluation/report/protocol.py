"""The section of what was done, in full, and all numbers as a file."""

import json

from keras_cr._csv import csv_text
from keras_cr.evaluation.records import FIELDS, records
from keras_cr.evaluation.report.html import Markup, data_uri, el, table
from keras_cr.evaluation.report.numbers import protocol_name, reason
from keras_cr.evaluation.report.subject import Subject

COLUMNS = ("protocol", "metric", "value", "pooling", "split", "seed")


def protocols(subject: Subject) -> Markup:
    """What all numbers share, what is missing and why, and everything to take away."""
    protocol = subject.protocol
    missing = [
        el("li", el("b", protocol_name(name)), f": {reason(subject.metrics, name)}.")
        for name in protocol["missing"]
    ]
    whole = json.dumps(protocol, indent=2, ensure_ascii=False)
    return el(
        "section",
        el("h2", "Protocol"),
        el("p", f"Images: {protocol['geometry']}. Checkpoint: {protocol['checkpoint_rule']}."),
        [el("h3", "Not measured"), el("ul", missing)] if missing else None,
        _records(subject),
        el("details", el("summary", "The protocol in full"), el("pre", whole, tabindex="0")),
        id="protocol",
    )


def _records(subject: Subject) -> Markup | None:
    rows = records(subject.metrics)
    if not rows:
        return None
    address = data_uri(csv_text(FIELDS, rows).encode(), "text/csv;charset=utf-8")
    cells = [
        [f"{row[name]:.4f}" if name == "value" else _text(row[name]) for name in COLUMNS]
        for row in rows
    ]
    return el(
        "details",
        el("summary", f"All {len(rows)} numbers, one a row"),
        el("p", el("a", "metrics.csv", href=address, download="metrics.csv")),
        table(COLUMNS, cells, "All numbers as fractions", class_="records"),
    )


def _text(value) -> str:
    return "" if value is None else str(value)
