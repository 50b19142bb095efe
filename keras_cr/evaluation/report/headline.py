"""The report's head: what was evaluated, and what came out."""

from keras_cr._metrics import Headline, Metric, shown_in
from keras_cr.evaluation.report.html import Markup, el
from keras_cr.evaluation.report.numbers import (
    Scored,
    baselines,
    margin,
    percent,
    points,
    scored,
)
from keras_cr.evaluation.report.subject import Subject

SENTENCES = {
    "retrieval, rank-1": "The nearest other test image is of the query's class for {} %{}.",
    "linear probe": "A linear probe on the frozen embeddings names {} % correctly{}.",
}


def headline(subject: Subject, title: str) -> Markup:
    """Title, summary and key numbers."""
    compared = scored(subject.metrics, subject.initialization)
    own, others = compared[-1], baselines(compared)
    cards = [
        _card(metric, own, others)
        for metric in shown_in("report")
        if metric.of(own.scores) is not None
    ]
    first, *more = summary(subject.metrics, subject.initialization)
    return el(
        "header",
        el("h1", title),
        el("p", first, class_="lead"),
        [el("p", text) for text in more],
        el("ul", cards, class_="cards") if cards else None,
    )


def summary(metrics: dict, initialization: dict | None) -> list[str]:
    """What was measured, what the map found and how sure that is: paragraphs of plain text."""
    protocol, compared = metrics["protocol"], scored(metrics, initialization)
    own, others = compared[-1], baselines(compared)
    count, classes = protocol["images"]["test"], protocol["classes"].get("test")
    of = f" of {classes:,} classes" if classes else ""
    first = [f"{count:,} test images{of} in {protocol['dataset']}, {own.pooling} pooling."]
    for metric in shown_in("report"):
        sentence, value = SENTENCES.get(metric.name), metric.of(own.scores)
        if sentence and value is not None:
            against = ", ".join(
                f"{difference} points against {name}"
                for difference, name, _ in _differences(metric, own, others)
            )
            first.append(sentence.format(percent(value), against and f" ({against})"))
    paragraphs = [" ".join(first)]
    places = metrics.get("localization")
    if places:
        paragraphs.append(
            f"The map puts {places['energy_ratio']:.2f} times as much of its weight on the object "
            f"as a uniform map does; a centre prior, which knows nothing of the image, "
            f"{places['center_prior']['energy_ratio']:.2f} times."
        )
    if len(first) > 1:
        paragraphs.append(
            f"With {count:,} test images a share is uncertain by up to {100 * margin(count):.1f} "
            "points (95 %), and another seed gives other numbers: small differences say nothing."
        )
    return paragraphs


def _differences(metric: Metric, own: Scored, others: list[Scored]) -> list[tuple[str, str, float]]:
    """(difference in points, against what, what that reaches)."""
    values = [(other, metric.of(other.scores)) for other in others]
    return [
        (points(metric.of(own.scores), value), own.against(other), value)
        for other, value in values
        if value is not None
    ]


def _card(metric: Headline, own: Scored, others: list[Scored]) -> Markup:
    lines = [
        el("li", el("b", difference), f" against {percent(value)}, {name}")
        for difference, name, value in _differences(metric, own, others)
    ]
    return el(
        "li",
        el("span", metric.name, class_="name"),
        el("span", percent(metric.of(own.scores)), el("small", " %"), class_="number"),
        el("ul", lines) if lines else None,
    )
