"""What images retrieve: queries with their nearest neighbours, right and wrong ones marked."""

import numpy as np

from keras_cr.evaluation.nearest import nearest
from keras_cr.evaluation.report.html import Markup, el
from keras_cr.evaluation.report.subject import Subject, evenly, image

NEIGHBORS = 5


def mark(right: bool) -> Markup:
    """A tick or a cross, which a screen reader calls right or wrong."""
    kind = "right" if right else "wrong"
    return el("span", "✓" if right else "✗", class_=f"mark {kind}", role="img", aria_label=kind)


def gallery(subject: Subject) -> Markup:
    """Queries spread evenly over the test images, then some whose nearest image is a wrong one."""
    features = subject.features
    test = features.rows("test")
    heading = el("h2", "Retrieval")
    if len(test) < 2:
        told = "Left out: there are no two test images to compare."
        return el("section", heading, el("p", told, class_="absent"), id="gallery")
    found = nearest(features.x("test", features.pooling), k=min(NEIGHBORS, len(test) - 1))
    half = max(subject.max_examples // 4, 1)
    some = evenly(np.arange(len(test)), half)
    parts = [el("h3", "Spread evenly over the test images"), _queries(subject, test, some, found)]
    if subject.labels is not None:
        labels = features.labels("test")
        _, classes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        failed = np.flatnonzero((labels[found[:, 0]] != labels) & (sizes[classes] > 1))
        told = (
            f"{len(failed):,} of {np.sum(sizes[classes] > 1):,} queries have a nearest image of "
            "another class"
        )
        failed = evenly(np.setdiff1d(failed, some), half)
        parts.append(el("h3", "Where the nearest image is wrong"))
        parts.append(el("p", told + (", some of them:" if len(failed) else ".")))
        if len(failed):
            parts.append(_queries(subject, test, failed, found))
    told = (
        f"A test image and the {found.shape[1]} most similar other test images under "
        f"{features.pooling} pooling, nearest first. "
    )
    if subject.labels is None:
        legend = el("p", told, "The images have no labels: none is right or wrong.")
    else:
        legend = el(
            "p", told, mark(True), " is of the query's class, ", mark(False), " of another."
        )
    return el("section", heading, legend, parts, id="gallery")


def _queries(subject: Subject, test: np.ndarray, positions, found: np.ndarray) -> Markup:
    shown = test[np.unique(np.concatenate([positions, found[positions].ravel()]))]
    addresses = subject.pictures.thumbnails(shown)
    rows = []
    for position in positions:
        query = test[position]
        tiles = [
            el(
                "figure",
                image(addresses[query], f"query: {subject.name(query)}"),
                el("figcaption", el("b", "query "), subject.name(query)),
                class_="query",
            )
        ]
        for rank, row in enumerate(test[found[position]], 1):
            name, signs, kind = subject.name(row), [], None
            if subject.labels is not None:
                right = subject.labels[row] == subject.labels[query]
                signs, kind = [mark(right), " "], "right" if right else "wrong"
            picture = image(addresses[row], f"number {rank}: {name}")
            tiles.append(el("figure", picture, el("figcaption", signs, name), class_=kind))
        rows.append(el("div", tiles, class_="neighbors"))
    return el("div", rows)
