"""The page around the sections: style and script within, nothing from elsewhere."""

from collections.abc import Sequence
from importlib import resources

from keras_cr.evaluation.report.html import Markup, el, join

POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
ICON = "data:,"  # none, and no request for one
CONTENTS = {
    "looks": "Where it looks",
    "gallery": "Retrieval",
    "numbers": "Numbers",
    "boxes": "Boxes",
    "classes": "Classes",
    "training": "Training",
    "protocol": "Protocol",
}


def page(title: str, head: Markup, sections: Sequence[Markup]) -> str:
    """The whole file: a headline, links to the sections, and the sections."""
    links = [el("li", el("a", name, href=f"#{key}")) for key, name in CONTENTS.items()]
    document = el(
        "html",
        el(
            "head",
            el("meta", charset="utf-8"),
            el("meta", http_equiv="Content-Security-Policy", content=POLICY),
            el("meta", name="viewport", content="width=device-width, initial-scale=1"),
            el("meta", name="color-scheme", content="light dark"),
            el("title", title),
            el("link", rel="icon", href=ICON),
            el("style", _file("style.css")),
        ),
        "\n",
        el(
            "body",
            head,
            el("nav", el("ul", links), aria_label="Contents"),
            "\n",
            el("main", join(Markup(f"{section}\n") for section in sections)),
            el("script", _file("script.js")),
        ),
        lang="en",
    )
    return f"<!doctype html>\n{document}\n"


def _file(name: str) -> Markup:
    return Markup(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))
