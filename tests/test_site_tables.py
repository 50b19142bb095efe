"""A click on a head sorts the site's tables, in a real browser."""

import pathlib

import pytest

from keras_cr.presets import cards
from keras_cr.presets.zoo import COLUMNS, in_order, row
from tests.browser import needs_browser

SCRIPT = pathlib.Path(__file__).parents[1] / "docs" / "site.js"


def html(heads, rows):
    lines = ["".join(f"<td>{cell}</td>" for cell in cells) for cells in rows]
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


@pytest.fixture
def page(browser, tmp_path):
    page = browser.new_page()

    def opened(heads, rows):
        text = f"<!doctype html><script>{SCRIPT.read_text()}</script>{html(heads, rows)}"
        (tmp_path / "page.html").write_text(text)
        page.goto((tmp_path / "page.html").as_uri())
        return page

    yield opened
    page.close()


def column(page, number):
    return page.locator(f"tbody td:nth-child({number})").all_text_contents()


@needs_browser
def test_the_zoo_by_any_column(page):
    known = cards(own=False).values()
    shown = page(COLUMNS, [row(card).values() for card in in_order(known)])
    heads = shown.locator("th")
    for number, name in enumerate(COLUMNS):
        heads.nth(number).click()
        assert heads.nth(number).get_attribute("aria-sort") == "ascending"
        if name in ("name", "backbone", "data", "command"):
            values = column(shown, number + 1)
            assert values == sorted(values, key=str.lower), name
    shown.locator("th", has_text="size").click()
    sizes = [float(text.split()[0]) for text in column(shown, 1 + list(COLUMNS).index("size"))]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) > 3


@needs_browser
def test_numbers_and_texts_and_the_other_way_round(page):
    rows = [["b", "1,024"], ["c", "-3"], ["a", "none"], ["d", "20 kB"]]
    shown = page(["name", "number"], rows)
    heads = shown.locator("th")
    heads.nth(1).click()
    assert column(shown, 2) == ["-3", "1,024", "20 kB", "none"]
    heads.nth(1).press("Enter")
    assert column(shown, 2) == ["none", "20 kB", "1,024", "-3"]
    assert heads.nth(1).get_attribute("aria-sort") == "descending"
    heads.nth(0).click()
    assert column(shown, 1) == ["a", "b", "c", "d"]
    assert heads.nth(1).get_attribute("aria-sort") is None
