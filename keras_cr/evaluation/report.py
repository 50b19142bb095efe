"""report.html: numbers, protocol and pictures of a run in one file that needs no network."""

import base64
import html
import json
import os
from collections.abc import Mapping
from pathlib import Path

from keras_cr.evaluation.table import COLUMNS, cells

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 72rem; margin: 2rem auto;
  padding: 0 1rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
img { max-width: 100%; height: auto }
pre { background: #f5f5f5; padding: 1rem; overflow-x: auto; font-size: .85rem }
"""


def write_report(
    path: str | os.PathLike,
    title: str,
    metrics: dict,
    pictures: Mapping[str, str | os.PathLike] | None = None,
) -> Path:
    """Writes a report as one HTML file, pictures included.

    Args:
        path: the file to write; its folder is made, an earlier report replaced.
        title: the heading.
        metrics: what `evaluate` returned; under the key `initialization` may stand the same of
            the encoder before training.
        pictures: {caption: PNG file}, shown in this order.

    Returns:
        `path`.

    Raises:
        FileNotFoundError: a picture is missing.
    """
    path = Path(path)
    evaluations = {"after training": metrics}
    if metrics.get("initialization"):
        evaluations = {"initialization": metrics["initialization"], **evaluations}
    rows = [
        [name, pooling, *cells(scores)]
        for name, result in evaluations.items()
        for pooling, scores in (
            (result.get("protocol", {}).get("pooling", "own"), result),
            ("average", result.get("average_pooling") or {}),
        )
    ]
    titles = ["percent", "pooling", *(title for title, _, _ in COLUMNS)]
    body = [f"<h1>{html.escape(title)}</h1>", _table(titles, rows)]
    places = metrics.get("localization")
    if places:
        maps = {
            "rationale": places,
            "uniform map": places["uniform"],
            "centre prior": places["center_prior"],
        }
        rows = [
            [name, f"{scores['energy_ratio']:.2f}", f"{100 * scores['pointing_game']:.1f}"]
            for name, scores in maps.items()
        ]
        head = ["map", "energy in the foreground ÷ its area", "pointing game, percent"]
        body += ["<h2>Where it looks</h2>", _table(head, rows)]
    for caption, picture in (pictures or {}).items():
        data, caption = base64.b64encode(Path(picture).read_bytes()).decode(), html.escape(caption)
        body.append(f'<h2>{caption}</h2><img alt="{caption}" src="data:image/png;base64,{data}">')
    protocol = html.escape(json.dumps(metrics.get("protocol", {}), indent=2, ensure_ascii=False))
    body.append(f"<h2>Protocol</h2><pre>{protocol}</pre>")
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(page, encoding="utf-8")
    os.replace(part, path)
    return path


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["".join(f"<th>{html.escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
    return '<div class="wide"><table>' + "".join(f"<tr>{x}</tr>" for x in lines) + "</table></div>"
