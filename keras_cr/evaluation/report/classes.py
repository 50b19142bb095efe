"""Accuracy class by class, and the classes that are taken for one another."""

import numpy as np

from keras_cr.evaluation.nearest import nearest
from keras_cr.evaluation.report.html import Markup, el, table
from keras_cr.evaluation.report.numbers import (
    CLASSIFIERS,
    MISSING,
    percent,
    protocol_name,
    reason,
)
from keras_cr.evaluation.report.subject import Subject, image

PAIRS = 10


def classes(subject: Subject) -> Markup:
    """The sortable table of classes and the most confused pairs."""
    labels = subject.labels
    heading = el("h2", "Classes")
    if labels is None or not len(subject.features.rows("test")):
        told = "the images have no labels" if labels is None else "there is no test split"
        absent = el("p", f"Left out: {told}.", class_="absent")
        return el("section", heading, absent, id="classes")
    return el("section", heading, _class_table(subject), _confusions(subject), id="classes")


def class_scores(subject: Subject) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Of each class with test images, its own label, its number of test images and its scores.

    Returns:
        (classes (K,), images (K,), {column: (K,) fractions, NaN where nothing could be asked}).
    """
    labels = subject.features.labels("test")
    names, of, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    values = {}
    for protocol in CLASSIFIERS:
        if protocol in subject.own:
            values[protocol_name(protocol)] = subject.own[protocol]["predicted"] == labels
    if "retrieval" in subject.own:
        first = subject.own["retrieval"]["first_rank"]
        values["rank-1"] = np.where(first > 0, first == 1, np.nan)
        values["mAP"] = subject.own["retrieval"]["average_precision"]
    return names, sizes, {title: _means(value, of, sizes) for title, value in values.items()}


def confused_pairs(subject: Subject) -> tuple[str, list[tuple[int, int, np.ndarray]]]:
    """The pairs of classes that are confused most.

    Returns:
        By what (such as "linear probe"), and up to ten (class, class it was taken for, positions
        of the images among the test images), the most images first.
    """
    labels = subject.features.labels("test")
    measured = [protocol for protocol in CLASSIFIERS if protocol in subject.own]
    if measured:
        by, predicted = protocol_name(measured[0]), subject.own[measured[0]]["predicted"]
    else:
        x = subject.features.x("test", subject.features.pooling)
        by, predicted = "nearest other test image", labels[nearest(x, k=1)[:, 0]]
    wrong = np.flatnonzero(predicted != labels)
    pairs = np.stack([labels[wrong], predicted[wrong]], axis=1)
    names, of, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:PAIRS]
    return by, [(*map(int, names[i]), wrong[of.ravel() == i]) for i in most]


def _means(values: np.ndarray, of: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    counts = np.bincount(of, known, len(sizes))
    sums = np.bincount(of, np.where(known, values, 0), len(sizes))
    return np.divide(sums, counts, out=np.full(len(sizes), np.nan), where=counts > 0)


def _class_table(subject: Subject) -> list[Markup]:
    names, sizes, scores = class_scores(subject)
    head = [
        el("th", el("button", title, type="button"), scope="col", aria_sort="none")
        for title in ("class", "images", *scores)
    ]
    rows = [
        [subject.class_name(name), el("td", f"{size:,}", data_value=size)]
        + [_cell(scores[title][i]) for title in scores]
        for i, (name, size) in enumerate(zip(names, sizes, strict=True))
    ]
    told = (
        f"{len(names)} classes and their test images, {subject.features.pooling} pooling, in "
        "percent. A heading sorts by its column, once more from the other end."
    )
    return [
        el("p", told),
        table(head, rows, "Numbers of each class", class_="sortable", id="class-table"),
    ]


def _cell(value: float) -> Markup:
    if np.isnan(value):
        return el("td", MISSING)
    return el("td", percent(value), data_value=f"{value:.6f}", style=f"--share:{value:.3f}")


def _confusions(subject: Subject) -> list[Markup]:
    title = el("h3", "Most confused pairs")
    if len(subject.features.rows("test")) < 2 and subject.own.keys().isdisjoint(CLASSIFIERS):
        told = f"Left out: {reason(subject.metrics, 'retrieval')}."
        return [title, el("p", told, class_="absent")]
    by, pairs = confused_pairs(subject)
    if not pairs:
        return [title, el("p", f"By the {by} no test image was taken for another class.")]
    labels = subject.features.labels("test")
    items = []
    for true, taken, wrong in pairs:
        mistaken, typical = _examples(subject, taken, wrong)
        addresses = subject.pictures.thumbnails([mistaken, typical])
        a, b = subject.class_name(true), subject.class_name(taken)
        figures = [
            el("figure", image(addresses[row], alt), el("figcaption", told))
            for row, alt, told in (
                (mistaken, f"{a}, taken for {b}", f"{a}, mistaken"),
                (typical, f"{b}, a typical image", f"{b}, typical"),
            )
        ]
        told = [
            el("b", a),
            " taken for ",
            el("b", b),
            f": {len(wrong)}\u00a0of\u00a0{np.sum(labels == true)}",
        ]
        items.append(el("li", el("p", told), el("div", figures, class_="pair")))
    told = (
        f"By the {by}. Left a mistaken image, of several the one most like the other class; right "
        "the image of that class that is closest to its mean."
    )
    return [title, el("p", told), el("ol", items, class_="grid confusions")]


def _examples(subject: Subject, taken: int, wrong: np.ndarray) -> tuple[int, int]:
    """Rows of the mistaken image most like class `taken`, and of that class's most typical one."""
    features = subject.features
    test, x = features.rows("test"), features.embeddings.embedding
    members = np.flatnonzero(subject.labels == taken)
    own = np.intersect1d(members, test)
    members = own if len(own) else members
    mean = x[members].mean(axis=0)
    rows = test[wrong]
    return int(rows[np.argmax(x[rows] @ mean)]), int(members[np.argmax(x[members] @ mean)])
