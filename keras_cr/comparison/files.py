"""The files a comparison writes: for people, for spreadsheets, for programs."""

from collections.abc import Iterable
from pathlib import Path

from keras_cr._csv import write_csv
from keras_cr._files import whole_file
from keras_cr.comparison.summary import COLUMNS, FIELDS, PAIRED
from keras_cr.evaluation import CONTROLS
from keras_cr.experiment.outputs import write_json


def write_comparison(output: Path, comparison: dict) -> None:
    """Writes `comparison.md`, `comparison.csv` and `comparison.json`, each whole or not at all."""
    write_json(output / "comparison.json", comparison)
    write_csv(output / "comparison.csv", FIELDS, comparison["values"])
    with whole_file(output / "comparison.md") as part:
        part.write_text(markdown(comparison), encoding="utf-8")


def markdown(comparison: dict) -> str:
    """The comparison as Markdown: how it was made, scores, paired differences, protocols."""
    protocol = comparison["protocol"]
    images, classes = protocol["images"], protocol["classes"].get("test")
    seeds = ", ".join(map(str, comparison["seeds"]))
    settings = ", ".join(f"{name} {value}" for name, value in comparison["settings"].items())
    lines = [
        f"# Comparison on {protocol['dataset']}",
        "",
        f"    {comparison['command']}",
        "",
        f"Data: {images['train']} training and {images['test']} test images"
        + (f" of {classes} classes" if classes else "")
        + f", {protocol['image_size']} px ({protocol['geometry']}).",
        f"Seeds: {seeds}. Weights: {protocol['checkpoint_rule']}. Settings, unless an arm changes "
        f"them: {settings}.",
        "",
        *(_arm_line(arm) for arm in comparison["arms"]),
        "",
    ]
    if comparison["missing"]:
        runs = ", ".join(f"{arm} seed {seed}" for arm, seed in comparison["missing"])
        lines += [f"**Not finished.** Missing runs: {runs}. The same command goes on.", ""]
    for one, other in comparison["alike"]:
        told = f"**`{one}` and `{other}` have the same numbers**: what differs had no effect."
        lines += [told, ""]
    lines += ["## Scores", "", scores_table(comparison), ""]
    lines += [
        "Percent (energy ratio: energy on the foreground relative to its area, 1 is chance); mean "
        "± sample standard deviation over seeds.",
        "",
        "## Paired differences",
        "",
        differences_table(comparison),
        "",
        _caption(comparison),
        "",
        *_owns(comparison),
        *_leads(comparison),
        "## Protocols",
        "",
    ]
    for name in dict.fromkeys(metric.protocol for metric in COLUMNS):
        if stated := protocol.get(name):
            lines.append(f"- {name} ({stated['split']}): {stated['description']}")
        elif reason := protocol["missing"].get(name):
            lines.append(f"- {name}: not measured, {reason}.")
    versions = ", ".join(f"{name} {version}" for name, version in protocol["versions"].items())
    return "\n".join([*lines, "", f"Versions: {versions}.", ""])


def _owns(comparison: dict) -> list[str]:
    if not any(row["own"] for row in comparison["rows"]):
        return []
    return [
        f"## Each arm's own pooling before {_baseline(comparison)} under its own",
        "",
        owns_table(comparison),
        "",
        "Percentage points, by seed and image as above: what one gets from either run.",
        "",
    ]


def _leads(comparison: dict) -> list[str]:
    if not any(row["lead"] for row in comparison["rows"]):
        return []
    return [
        "## Before other poolings of the same encoder",
        "",
        leads_table(comparison),
        "",
        "The arm's own pooling minus another one, on the same feature maps of the same run, so "
        "that the weights are all that differs; intervals as above. A `control` sees no mask: a "
        "rationale that is no better has learned nothing. A `bound` sees masks, a `variant` is "
        "the rationale used in another way.",
        "",
    ]


def scores_table(comparison: dict) -> str:
    """A row an arm and pooling, with mean and spread over its seeds."""
    rows = comparison["rows"]
    shown = [m for m in COLUMNS if any(m.title in row["scores"] for row in rows)]
    return _table(
        ["arm", "pooling", "seeds", *(metric.title for metric in shown)],
        (
            [
                row["title"],
                _pooling(row),
                str(len(row["seeds"])),
                *(_spread(row["scores"].get(m.title), 100 if m.fraction else 1) for m in shown),
            ]
            for row in rows
        ),
    )


def differences_table(comparison: dict) -> str:
    """A row an arm, pooling and metric, with the single differences and the interval."""
    rows = []
    for row in comparison["rows"]:
        names, differences = [row["title"], _pooling(row)], row["differences"]
        if differences == "baseline":
            rows.append([*names, "baseline", *5 * [""]])
        elif row["kind"] is None:
            rows += _difference_rows(names, differences)
    return _table(["arm", "pooling", *_difference_columns(comparison)], rows)


def owns_table(comparison: dict) -> str:
    """What each arm's own pooling has before the baseline's own."""
    rows = []
    for row in comparison["rows"]:
        rows += _difference_rows([row["title"], _pooling(row)], row["own"])
    return _table(["arm", "pooling", *_difference_columns(comparison)], rows)


def leads_table(comparison: dict) -> str:
    """What each arm's own pooling has before the other poolings of the same encoder."""
    rows = []
    for row in comparison["rows"]:
        rows += _difference_rows([row["title"], _pooling(row), row["kind"] or ""], row["lead"])
    return _table(["arm", "before", "kind", *_difference_columns(comparison)], rows)


def _difference_columns(comparison: dict) -> tuple[str, ...]:
    interval = f"{_percent(comparison)} interval"
    return ("metric", "seeds", "by seed", "mean ± std", interval, "excludes 0")


def _difference_rows(names: list[str], differences: dict[str, dict]) -> list[list[str]]:
    rows = []
    for metric in (title for title in PAIRED if title in differences):
        found = differences[metric]
        low, high = found["interval"]
        rows.append(
            [
                *names,
                metric,
                str(found["n"]),
                ", ".join(f"{100 * value:+.1f}" for value in found["values"]),
                _spread(found, 100, sign="+"),
                f"{100 * low:+.1f} to {100 * high:+.1f}",
                "yes" if found["excludes_zero"] else "no",
            ]
        )
    return rows


def _pooling(row: dict) -> str:
    return CONTROLS[row["pooling"]].title if row["kind"] else row["pooling"]


def _caption(comparison: dict) -> str:
    number = len(comparison["seeds"])
    text = (
        f"Percentage points, minus {_baseline(comparison)} under average pooling with the same "
        f"seed, image by image. The interval holds {_percent(comparison)} of "
        f"{comparison['bootstrap']['draws']:,} bootstrap draws, of the seeds and then of the test "
        "images, the same ones for all seeds: it covers the chance of training and the choice of "
        "test images, not other data or other settings, and not that many numbers are looked at "
        "together. "
    )
    if number == 1:
        return text + "One seed says nothing about the chance of training: test images alone."
    if number < 10:
        text += f"{number} seeds are few: such an interval is too narrow then. "
    return text + "Read it beside the single differences."


def _baseline(comparison: dict) -> str:
    return next(a["title"] for a in comparison["arms"] if a["name"] == comparison["baseline"])


def _percent(comparison: dict) -> str:
    return f"{100 * comparison['bootstrap']['confidence']:g} %"


def _arm_line(arm: dict) -> str:
    changes = ", ".join(f"{name} {value}" for name, value in arm["changes"].items())
    return f"- {arm['title']} (`{arm['name']}`): {changes or 'the settings as they are'}"


def _spread(score: dict | None, scale: int, sign: str = "") -> str:
    if score is None:
        return "-"
    fewer = f" (n = {score['n']})" if score["n"] < len(score["values"]) else ""
    digits = 1 if scale == 100 else 2
    std = "-" if score["std"] is None else f"{scale * score['std']:.{digits}f}"
    return f"{scale * score['mean']:{sign}.{digits}f} ± {std}{fewer}"


def _table(header: list[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table whose columns also line up in a terminal."""
    rows = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    lines = (map(str.ljust, row, widths) for row in rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
