"""The section of what was done, in full, where it comes from, and all numbers as a file."""

import json

from keras_cr._csv import csv_text
from keras_cr.evaluation.records import FIELDS, records
from keras_cr.evaluation.report.html import Markup, data_uri, el, facts, table
from keras_cr.evaluation.report.numbers import protocol_name, reason, source_line
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
        el("p", f"Images: {protocol['geometry']}."),
        _provenance(subject),
        [el("h3", "Not measured"), el("ul", missing)] if missing else None,
        _records(subject),
        el("details", el("summary", "The protocol in full"), el("pre", whole, tabindex="0")),
        id="protocol",
    )


def _provenance(subject: Subject) -> Markup:
    """Where the numbers come from."""
    protocol = subject.protocol
    source = {k: v for k, v in (subject.source or {}).items() if k not in protocol["versions"]}
    classes, command = protocol["classes"], source.pop("command", None)
    counts = [
        f"{count:,} {split}" + (f" ({classes[split]:,} classes)" if classes.get(split) else "")
        for split, count in protocol["images"].items()
    ]
    return facts(
        [
            ("Data set", protocol["dataset"]),
            ("Images", ", ".join(counts)),
            ("Image size", f"{protocol['image_size']} × {protocol['image_size']} pixels"),
            ("Pooling", protocol["pooling"]),
            ("Checkpoint", protocol["checkpoint_rule"]),
            ("Seed of evaluation", protocol["seed"]),
            *(source_line(name, value) for name, value in source.items() if value is not None),
            ("Versions", ", ".join(f"{k} {v}" for k, v in protocol["versions"].items())),
            ("Command", command and el("code", command)),
        ],
        class_="facts",
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
