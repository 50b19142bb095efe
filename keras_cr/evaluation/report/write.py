"""report.html: numbers, protocols and pictures of an evaluation in one file, without a network."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_cr._files import whole_file
from keras_cr._numbers import as_whole
from keras_cr._progress import Progress, Verbose
from keras_cr._text import printable
from keras_cr.evaluation.evaluate import Evaluation
from keras_cr.evaluation.report.classes import classes
from keras_cr.evaluation.report.gallery import gallery
from keras_cr.evaluation.report.headline import headline
from keras_cr.evaluation.report.html import Markup, data_uri, el
from keras_cr.evaluation.report.page import page
from keras_cr.evaluation.report.places import boxes, looks
from keras_cr.evaluation.report.protocol import protocols
from keras_cr.evaluation.report.subject import Subject
from keras_cr.evaluation.report.tables import numbers
from keras_cr.visualization.picture import Picture


def write_report(
    path: str | os.PathLike,
    title: str,
    evaluation: Evaluation,
    initialization: dict | None = None,
    history: Mapping[str, Sequence[float]] | str | os.PathLike | Picture | None = None,
    source: Mapping[str, object] | None = None,
    max_examples: int = 24,
    verbose: Verbose = "auto",
) -> Path:
    """Writes a report as one HTML file that holds its pictures and asks for nothing else.

    It shows the maps over images and against their controls, retrieved images, the numbers with
    their protocols, boxes, accuracy and confusions class by class, and the training curves. What
    the data don't allow is left out, with the reason. Only images that are shown are read, and
    thumbnails of them are kept: a report is 1 to 3 MB, whatever the size of the data set.

    Args:
        path: the file to write; its folder is made, an earlier report replaced, whole or not at
            all.
        title: the heading.
        evaluation: what `evaluate_features` returned.
        initialization: what `evaluate` returned for the encoder before training, shown beside it.
        history: of the training, as for `keras_cr.visualization.curves`, a CSV file or a mapping,
            or what that has drawn.
        source: what else a reader has to know, by name, such as `"command"`, `"date"`, `"seed"`
            or `"note"`; shown as text.
        max_examples: images in the largest set of examples, the maps; the boxes and the queries
            have about half as many each.
        verbose: 0 shows no progress, 1 and `"auto"` show it on stderr; 2 in few lines.

    Returns:
        `path`.

    Raises:
        ImportError: Pillow or matplotlib is missing.
        ValueError: `evaluation` is not an `Evaluation`, `max_examples` is not positive, `history`
            holds no metric, or maps leave 0..1.
        FileNotFoundError: there is no file `history`.

    Example:

    >>> evaluation = evaluate_features(extract(encoder, dataset), checkpoint_rule="last epoch")
    >>> write_report("run/report.html", "Birds, 100 epochs", evaluation, history="run/history.csv")
    """
    if not isinstance(evaluation, Evaluation):
        raise ValueError(
            "`evaluation` must be an Evaluation, which evaluate_features(extract(encoder, "
            f"dataset)) returns; received a {type(evaluation).__name__}."
        )
    if (as_whole(max_examples) or 0) < 1:
        raise ValueError(f"`max_examples` must be a positive integer; received {max_examples!r}.")
    subject = Subject(evaluation, initialization, history, source, max_examples)
    parts = (looks, gallery, numbers, boxes, classes, training, protocols)
    sections = []
    with Progress("Writing the report", len(parts), "sections", verbose=verbose) as progress:
        for part in parts:
            progress.to(len(sections), note=part.__name__)
            sections.append(part(subject))
        progress.to(len(parts), note="")
    return write_text(path, page(title, headline(subject, title), sections))


def training(subject: Subject) -> Markup:
    """The curves of the training."""
    heading = el("h2", "Training")
    if subject.history is None:
        told = el("p", "Left out: no history of a training was given.", class_="absent")
        return el("section", heading, told, id="training")
    from keras_cr.visualization.curves import curves

    drawn = isinstance(subject.history, Picture)
    picture = subject.history if drawn else curves(subject.history)  # type: ignore[arg-type]
    address = data_uri(picture._repr_png_(), "image/png")  # type: ignore[attr-defined]
    height, width = picture.shape[:2]  # type: ignore[attr-defined]
    image = el("img", src=address, alt="Training curves", width=width, height=height)
    box = el("div", image, class_="scroll curves", tabindex="0", role="region", aria_label="Curves")
    return el("section", heading, box, id="training")


def write_text(path: str | os.PathLike, text: str) -> Path:
    """Writes a text file, whole or not at all; its folder is made."""
    with whole_file(path) as part:
        part.write_text(printable(text), encoding="utf-8")
    return Path(path)
