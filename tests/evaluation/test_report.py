from html.parser import HTMLParser

import pytest

from keras_cr.evaluation import write_report

PNG = b"\x89PNG fake"


class Page(HTMLParser):
    """Collects text and checks that what is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.sources = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_report_holds_numbers_protocol_and_pictures(tmp_path):
    scores = {"retrieval": {"rank1": 0.5, "rank5": 0.75, "map": 0.25}, "knn": None}
    places = {"energy_ratio": 2.5, "pointing_game": 0.8}
    metrics = {
        **scores,
        "average_pooling": {"retrieval": {"rank1": 0.125}},
        "localization": {**places, "uniform": places, "center_prior": places},
        "protocol": {"pooling": "rationale", "dataset": "<script>"},
    }
    (tmp_path / "a.png").write_bytes(PNG)
    path = write_report(
        tmp_path / "new" / "report.html",
        "Birds & <others>",
        metrics | {"initialization": {**scores, "average_pooling": scores}},
        {"What it weighs": tmp_path / "a.png"},
    )
    page = Page(path.read_text(encoding="utf-8"))
    text = " ".join(page.text)
    assert page.open == []
    for expected in ("Birds & <others>", "50.0", "12.5", "2.50", "80.0", "initialization", "-"):
        assert expected in text
    assert '"dataset": "<script>"' in text
    assert len(page.sources) == 1
    assert page.sources[0].startswith("data:image/png;base64,")
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_report_of_little(tmp_path):
    path = write_report(tmp_path / "report.html", "Nothing yet", {"retrieval": None})
    assert "Nothing yet" in path.read_text(encoding="utf-8")
    with pytest.raises(FileNotFoundError):
        write_report(tmp_path / "report.html", "x", {}, {"gone": tmp_path / "gone.png"})
