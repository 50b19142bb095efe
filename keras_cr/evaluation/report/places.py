"""Where the encoder looks: the map against its controls, overlays, and boxes."""

import numpy as np

from keras_cr.evaluation.boxes import DEFAULT_THRESHOLD, box_iou, foreground_boxes, map_boxes
from keras_cr.evaluation.report.html import Markup, el, table
from keras_cr.evaluation.report.numbers import PLACES, maps, percent, place, reason
from keras_cr.evaluation.report.subject import Subject, evenly, image, thumbnail
from keras_cr.evaluation.report.tables import method
from keras_cr.visualization.overlay import overlay

CANDIDATES = 200  # images among which the worst boxes are looked for
FAINT = 0.4  # weight of the map's colours beneath boxes


def looks(subject: Subject) -> Markup:
    """Overlays spread evenly over the images, and the localisation table."""
    return el(
        "section",
        el("h2", "Where it looks"),
        _overlays(subject),
        el("h3", "Maps against their controls"),
        _table(subject),
        id="looks",
    )


def boxes(subject: Subject) -> Markup:
    """Boxes around the object and around what the map marks: some spread evenly, and the worst."""
    heading = el("h2", "Boxes")
    if not subject.metrics.get("localization"):
        told = f"Not measured: {reason(subject.metrics, 'localization')}."
        return el("section", heading, el("p", told, class_="absent"), id="boxes")
    candidates = evenly(subject.features.rows("test"), CANDIDATES)
    rows, true, found = _judged(subject, candidates)
    if not len(rows):
        told = f"Left out: none of {len(candidates)} test images shows an object."
        return el("section", heading, el("p", told, class_="absent"), id="boxes")
    overlap = box_iou(found, true)
    half = max(subject.max_examples // 4, 1)
    some = evenly(np.arange(len(rows)), half)
    order = np.argsort(overlap, kind="stable")
    worst = order[~np.isin(order, some)][:half]
    total = len(subject.features.rows("test"))
    among = f"the {len(rows)} test images"
    if len(candidates) < total:
        among = f"{len(rows)} test images spread evenly over all {total:,}"
    legend = el(
        "p",
        el("span", el("i", class_="key true"), "around the object"),
        " ",
        el(
            "span",
            el("i", class_="key found"),
            f"around what the map marks, at {_threshold(subject):g} of its maximum",
        ),
        class_="legend",
    )

    def grid(positions):
        return _boxed(subject, rows[positions], true[positions], found[positions])

    return el(
        "section",
        heading,
        legend,
        el("h3", "Spread evenly over the test images"),
        grid(some),
        [el("h3", f"The worst other ones of {among}"), grid(worst)] if len(worst) else None,
        id="boxes",
    )


def _table(subject: Subject) -> Markup:
    if not subject.metrics.get("localization"):
        told = f"Not measured against the object: {reason(subject.metrics, 'localization')}."
        return el("p", told, class_="absent")
    rows = [
        [title, *(place(name, scores) for name in PLACES)]
        for title, scores in maps(subject.metrics, subject.initialization)
    ]
    return el(
        "div",
        el(
            "p",
            "In percent. Energy inside is the share of the map's weight that lies on the object; "
            "the energy ratio divides it by the object's share of the image, and 1.00 says "
            "nothing. A map that is no better than the centre prior has not found the object.",
        ),
        table(["map", *PLACES.values()], rows, "Localisation"),
        method(subject.protocol, "localization"),
    )


def _overlays(subject: Subject) -> list[Markup]:
    test = subject.features.rows("test")
    rows = test if len(test) else np.arange(len(subject.features.dataset))
    rows = evenly(rows, subject.max_examples)
    of = "test images" if len(test) else "training images, for there is no test split"
    pixels = subject.pictures.pixels(rows)  # type: ignore[arg-type]
    laid = overlay(pixels, subject.features.embeddings.rationale[rows])
    pairs = [
        el(
            "figure",
            el(
                "div",
                image(thumbnail(plain), subject.name(row)),
                image(thumbnail(painted), f"the same under its map: {subject.name(row)}"),
                class_="pair",
            ),
            el("figcaption", subject.name(row)),
        )
        for row, plain, painted in zip(rows, pixels, laid, strict=True)
    ]
    told = (
        f"{len(rows)} {of}, spread evenly over the data set and not chosen. Bright places weigh "
        "most, dark ones count for nothing."
    )
    return [el("p", told), el("div", pairs, class_="grid pairs")]


def _judged(subject: Subject, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows whose object is seen, its box, and the box of the map; of some test images."""
    from keras_cr.data import foreground_batches  # it needs TensorFlow

    features = subject.features
    batches = foreground_batches(
        features.dataset.take(rows), features.image_size, features.batch_size
    )
    true = np.concatenate([foreground_boxes(batch) for batch in batches.as_numpy_iterator()])
    seen = true[:, 2] > 0
    rows, true = rows[seen], true[seen]
    found = map_boxes(features.embeddings.rationale[rows], features.image_size, _threshold(subject))
    return rows, true, found


def _threshold(subject: Subject) -> float:
    chosen = subject.protocol["localization"]["choices"][subject.features.pooling]
    return (chosen["box_thresholds"] or {}).get("rationale", DEFAULT_THRESHOLD)


def _boxed(subject: Subject, rows, true: np.ndarray, found: np.ndarray) -> Markup:
    pixels = subject.pictures.pixels(rows)
    laid = overlay(pixels, subject.features.embeddings.rationale[rows], alpha=FAINT)
    size = subject.features.image_size
    figures = []
    for row, painted, wanted, got, overlap in zip(
        rows, laid, true, found, box_iou(found, true), strict=True
    ):
        told = f"IoU {percent(overlap)} %"
        drawing = el(
            "svg",
            *(_rectangle(wanted, kind) for kind in ("halo", "true")),
            *(_rectangle(got, kind) for kind in ("halo", "found")),
            viewBox=f"0 0 {size} {size}",
            aria_hidden="true",
        )
        alt = f"{subject.name(row)}, its map and both boxes, {told}"
        figures.append(
            el(
                "figure",
                el("div", image(thumbnail(painted), alt), drawing, class_="boxed"),
                el("figcaption", el("b", told), " ", subject.name(row)),
            )
        )
    return el("div", figures, class_="grid tiles")


def _rectangle(box: np.ndarray, kind: str) -> Markup:
    x, y, width, height = (f"{side:g}" for side in box)
    return el("rect", x=x, y=y, width=width, height=height, class_=kind)
