"""What the site's pages are made of: links that leave docs/, the reference, and docstrings."""

import importlib
import importlib.util
import pathlib
import types

import pytest

pytest.importorskip("mkdocs", reason="the extra docs is not installed")
griffe = pytest.importorskip("griffe", reason="the extra docs is not installed")
pytest.importorskip("nbconvert", reason="the extra docs is not installed")

from mkdocs.exceptions import PluginError  # noqa: E402

import keras_cr  # noqa: E402

ROOT = pathlib.Path(__file__).parents[1]


def hook(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Files:
    def get_file_from_path(self, path):
        return path == "reference/models.md"


def led(markdown, page="results/overview.md"):
    page = types.SimpleNamespace(file=types.SimpleNamespace(src_uri=page))
    return hook("pages").on_page_markdown(markdown, page, None, Files())


@pytest.mark.parametrize(
    ("link", "becomes"),
    [
        ("[a](../rationale.md#measured)", "[a](../rationale.md#measured)"),
        ("![a](../images/birds.png)", "![a](../images/birds.png)"),
        ("[a](../../CONTRIBUTING.md)", "[a](../contributing.md)"),
        ("[a](../../notebooks/quickstart.ipynb)", "[a](../notebooks/quickstart.md)"),
        ("[a](../../recipes/zoo.py)", "a (`recipes/zoo.py`)"),
        ("[a](https://keras.io)", "[a](https://keras.io)"),
        ("`[a](../../recipes/zoo.py)`", "`[a](../../recipes/zoo.py)`"),
        ("```\n[a](nowhere.md)\n```", "```\n[a](nowhere.md)\n```"),
    ],
)
def test_links_lead_to_what_a_file_became(link, becomes):
    assert led(link) == becomes


def test_pages_of_the_root_link_as_they_do_there():
    assert led("[a](docs/search.md) [b](LICENSE)", "changelog.md") == "[a](search.md) b (`LICENSE`)"


def test_a_link_out_of_docs_to_nothing_is_an_error():
    with pytest.raises(PluginError, match=r"no_such\.py"):
        led("[a](../../recipes/no_such.py)")


@pytest.mark.parametrize(
    "tag",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link href="https://fonts.example/x.css" rel="stylesheet">',
        "<img src=//example/x.png>",
    ],
)
def test_nothing_is_fetched_from_elsewhere(tag):
    page = types.SimpleNamespace(file=types.SimpleNamespace(src_uri="index.md"))
    with pytest.raises(PluginError, match="fetches from elsewhere"):
        hook("pages").on_post_page(f"<p>{tag}</p>", page, None)
    kept = '<a href="https://keras.io">Keras</a> <script src="assets/x.js"></script>'
    assert hook("pages").on_post_page(kept, page, None) == kept


def test_the_reference_has_every_public_name():
    pages, package = hook("pages"), griffe.load("keras_cr", search_paths=[ROOT])
    names = [name for name, _ in pages.reference()]
    assert names == [f"keras_cr.{name}" for name in keras_cr._SUBPACKAGES]
    for name in names:
        module = importlib.import_module(name)
        for public in module.__all__:
            path = pages.where(package[name.removeprefix("keras_cr.")], public)
            assert path.rpartition(".")[2] == public
            assert f"::: {path}\n" in pages.reference_page(package, name)


def test_docstrings_come_out_as_markdown():
    docstring = (
        "Does it.\n\nArgs:\n    x: what.\n\nInput shape:\n    `(B, C)`\n\nExample:\n\n"
        ">>> y = f(\n...     x)\n>>> y\n"
    )
    assert hook("docstrings").as_markdown(docstring) == (
        "Does it.\n\nArgs:\n    x: what.\n\n**Input shape**\n\n`(B, C)`\n\n**Example**\n\n\n"
        "```python\ny = f(\n    x)\ny\n```\n"
    )
