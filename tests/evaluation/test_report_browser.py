"""The report in a real browser, without a window: it opens, draws, sorts and can be read."""

import csv

import pytest

from keras_cr.evaluation import evaluate_features, records
from keras_cr.evaluation.report import write_report
from tests.browser import TEXTS, needs_browser
from tests.evaluation.report_helpers import features

pytestmark = needs_browser
PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The evaluation and the file written from it: everything there is, and long class names."""
    names = [f"{number:03}.{'Long_' * number}Class" for number in range(5)]
    evaluation = evaluate_features(features(class_names=names))
    path = write_report(
        tmp_path_factory.mktemp("report") / "report.html",
        "A report with a title that is longer than the screen of a phone is wide",
        evaluation,
        evaluation.metrics,
        {"loss": [2.0, 1.5, 1.0], "val_loss": [2.0, 1.7, 1.5]},
        {"command": "python " + "--flag/that/is/long " * 9 + "x" * 90},
    )
    return evaluation, path


@pytest.fixture
def opened(browser, report):
    """Opens the report in a window; at the end, nothing may have been complained about."""
    pages, complaints, requests = [], [], []

    def open_page(viewport=DESKTOP, **options):
        page = browser.new_page(viewport=viewport, **options)
        pages.append(page)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(report[1].as_uri())
        return page

    yield open_page
    for page in pages:
        page.close()
    assert complaints == []
    assert requests
    assert all(url.startswith(("file:", "data:")) for url in requests)


def test_every_image_is_drawn(opened):
    page = opened()
    drawn = page.evaluate("[...document.images].map((i) => [i.complete, i.naturalWidth, i.width])")
    assert len(drawn) > 50
    assert all(complete and natural > 0 and shown > 20 for complete, natural, shown in drawn)
    assert page.title().startswith("A report with a title")
    assert page.locator("img").first.bounding_box()["y"] < DESKTOP["height"], "on the first screen"


def column(page, number):
    """Names of the rows and the values of a column, None where one is missing."""
    rows = page.eval_on_selector_all(
        "#class-table tbody tr",
        f"""(rows) => rows.map((row) => [
            row.cells[0].textContent, row.cells[{number}].dataset.value ?? null])""",
    )
    return [(name, None if value is None else float(value)) for name, value in rows]


def test_class_table_sorts(opened):
    page = opened()
    headers = page.locator("#class-table thead th")
    original = column(page, 3)
    assert [value for _, value in original] != sorted(v for _, v in original)
    for number in (3, 4):  # k-NN; rank-1, which one class lacks
        original = sorted(column(page, number))  # classes come in the order of their names
        known = [row for row in original if row[1] is not None]
        missing = [row for row in original if row[1] is None]
        assert len(missing) == (number == 4)
        button = headers.nth(number).locator("button")
        button.click()
        # sorted is stable, so rows of one value keep their order either way
        assert column(page, number) == sorted(known, key=lambda row: row[1]) + missing
        assert headers.nth(number).get_attribute("aria-sort") == "ascending"
        button.click()
        assert column(page, number) == sorted(known, key=lambda row: -row[1]) + missing
        assert headers.nth(number).get_attribute("aria-sort") == "descending"
        assert page.locator('[aria-sort="none"]').count() == headers.count() - 1


def test_class_table_sorts_by_keyboard(opened):
    page = opened()
    page.locator("#class-table button").first.focus()
    page.keyboard.press("Enter")
    ascending = [name for name, _ in column(page, 1)]
    assert ascending == sorted(ascending)
    page.keyboard.press("Space")
    assert [name for name, _ in column(page, 1)] == ascending[::-1]
    page.keyboard.press("Tab")
    focused = page.evaluate("document.activeElement.textContent")
    assert focused == "images"
    page.keyboard.press("Enter")
    images = [value for _, value in column(page, 1)]
    assert images == sorted(images)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readable_on_a_phone(opened, scheme):
    page = opened(PHONE, color_scheme=scheme)
    for details in page.locator("details").all():
        details.evaluate("(node) => { node.open = true }")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    texts = page.evaluate(TEXTS)
    assert len(texts) > 100
    assert [text for text in texts if text[1] < 12] == []
    assert [text for text in texts if text[2] < 4.5] == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    side = page.evaluate("Math.min(...[...document.images].map((i) => i.width))")
    assert side >= 80


def test_numbers_are_downloaded(opened, report, tmp_path):
    page = opened()
    page.locator("details", has_text="one a row").evaluate("(node) => { node.open = true }")
    with page.expect_download() as download:
        page.click("a[download]")
    download.value.save_as(tmp_path / "metrics.csv")
    with open(tmp_path / "metrics.csv", newline="", encoding="utf-8") as file:
        values = [float(row["value"]) for row in csv.DictReader(file)]
    assert values == [row["value"] for row in records(report[0].metrics)]


def test_links_lead_to_their_sections(opened):
    page = opened()
    page.click("nav a[href='#classes']")
    top = page.evaluate("document.querySelector('#classes h2').getBoundingClientRect().top")
    menu = page.evaluate("document.querySelector('nav').getBoundingClientRect().bottom")
    assert menu <= top < DESKTOP["height"]


def test_print_shows_the_whole_table(opened):
    page = opened()
    page.emulate_media(media="print")
    shown, whole = page.eval_on_selector(
        "#class-table", "(t) => [t.parentElement.clientHeight, t.scrollHeight]"
    )
    assert shown >= whole
    assert not page.locator("nav").is_visible()
    assert page.pdf()[:4] == b"%PDF"
