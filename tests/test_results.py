"""Numbers in the method's page are those that the comparisons wrote."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
TABLES = {
    "*off*": "off",
    "large cut-outs": "large_cut_outs",
    "bent": "bent_cut_outs",
    "correlated birds": "birds_correlated",
    "independent birds": "birds_independent",
}
FROZEN = "Rationale fitted to the initialization"
PLAIN = "With rationale, foregrounds off"
BY_CENTER, DEFAULT = "With rationale, cut center", "With rationale"
CENTER = "branch fitted to the centre prior"
COLUMNS = {  # of both tables of the page, an arm and its pooling
    "features": [(arm, "average") for arm in (FROZEN, PLAIN, BY_CENTER, DEFAULT)],
    "embedding": [
        *((arm, "rationale_vlad") for arm in (FROZEN, PLAIN, BY_CENTER, DEFAULT)),
        (DEFAULT, CENTER),
        (DEFAULT, "the same, self-trained as a rationale"),
        (DEFAULT, "true mask"),
    ],
}


def rows_of(text: str) -> list[list[str]]:
    """The cells of the rows of Markdown's tables, without what makes them bold."""
    lines = (line for line in text.splitlines() if line.startswith("| "))
    return [[cell.strip().strip("*") for cell in line.strip("|").split("|")] for line in lines]


def scores(page: Path) -> dict[tuple[str, str], dict[str, str]]:
    """{(arm, pooling): {column: mean}} of a comparison's page."""
    section = page.read_text(encoding="utf-8").partition("## Scores")[2].partition("\n## ")[0]
    head, _, *rows = rows_of(section)
    means = [[cell.partition(" ±")[0] for cell in row] for row in rows]
    return {(row[0], row[1]): dict(zip(head, row, strict=True)) for row in means}


@pytest.mark.parametrize("name", TABLES)
def test_the_methods_page_tells_what_was_measured(name):
    text = (DOCS / "rationale.md").read_text(encoding="utf-8")
    text = text.partition("**The features**")[2].partition("\n## ")[0]
    told = [row[1:] for row in rows_of(text) if row[0] == name.strip("*")]
    assert len(told) == len(COLUMNS), name
    measured = scores(DOCS / "results" / "tables" / f"{TABLES[name]}.md")
    for cells, columns in zip(told, COLUMNS.values(), strict=True):
        for cell, column in zip(cells, columns, strict=True):
            numbers = re.findall(r"[\d.]+", cell)
            names = ("rank-1", "mAP", "linear")[: len(numbers)]
            assert numbers == [measured[column][each] for each in names], (name, column)


def test_the_readme_tells_what_was_measured():
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    told = {row[0]: row[1:] for row in rows_of(text.partition("## What has been measured")[2])}
    arms = {
        "initialisation": FROZEN,
        "plain MoCo": PLAIN,
        "control: cut out by the centre": BY_CENTER,
        "the default": DEFAULT,
    }
    pages = [
        scores(DOCS / "results" / "tables" / f"{TABLES[name]}.md") for name in list(TABLES)[:2]
    ]
    for row, arm in arms.items():
        expected = [
            f"{page[arm, pooling]['rank-1']} / {page[arm, pooling]['mAP']}"
            for page in pages
            for pooling in ("average", "rationale_vlad")
        ]
        assert [cell.strip("*") for cell in told[row][:4]] == expected, row


@pytest.mark.parametrize("name", TABLES)
def test_the_objectives_page_tells_what_was_measured(name):
    text = (DOCS / "objectives.md").read_text(encoding="utf-8")
    text = text.partition("### With the rationale in the loop")[2].partition("\n## ")[0]
    (told,) = [row[1:] for row in rows_of(text) if row[0] == name.strip("*")]
    measured = scores(DOCS / "results" / "tables" / f"objectives_{TABLES[name]}.md")
    arms = [DEFAULT, *(f"{DEFAULT}, objective {each}" for each in ("barlow_twins", "vicreg"))]
    expected = [
        f"{measured[key]['rank-1']} / {measured[key]['mAP']}" if key in measured else "not measured"
        for key in ((arm, pooling) for arm in arms for pooling in ("average", "rationale_vlad"))
    ]
    assert told == expected


@pytest.mark.parametrize("page", [*TABLES.values(), *(f"objectives_{p}" for p in TABLES.values())])
def test_a_comparisons_page_is_whole_and_of_no_machine(page):
    text = (DOCS / "results" / "tables" / f"{page}.md").read_text(encoding="utf-8")
    assert "python recipes/compare.py" in text
    assert "Not finished" not in text
    assert not re.search(r"/(?:work|home|tmp|root)/", text)
    assert "Seeds: 0, 1, 2." in text
