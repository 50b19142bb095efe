"""The site's pages beside those in docs/: the reference, the notebooks, and files of the root.

Links in docs/ are written for the repository, as files beside each other. Those that leave docs/
are led to the page that a file became here, and become its name where it became none.
"""

import ast
import posixpath
import re
from pathlib import Path

import griffe
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[2]
PAGES = {  # a file of the repository, and its page
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "notebooks/quickstart.ipynb": "notebooks/quickstart.md",
    "notebooks/few_labels.ipynb": "notebooks/few_labels.md",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s:#]+)(#[^)\s]*)?\)")
_FETCHED = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^>]*>"
    r"|<link\b(?=[^>]*rel=[\"']?(?:stylesheet|preconnect|preload|icon))"
    r"[^>]*\bhref=[\"']?(?:https?:)?//[^>]*>"
)
_CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)


def on_config(config):
    """The nav's reference: a page for each package."""
    config.nav = [
        {"Reference": [{name: page} for name, page in reference()]} if item == "Reference" else item
        for item in config.nav
    ]
    return config


def on_files(files, config):
    for source, page in PAGES.items():
        for path, content in converted(source, page).items():
            files.append(File.generated(config, path, content=content))
    package = griffe.load("keras_cr", search_paths=[ROOT])
    for name, page in reference():
        text = reference_page(package, name)
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Links as the site has them."""
    sources = {target: source for source, target in PAGES.items()}
    of_page = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    here = posixpath.dirname(page.file.src_uri)

    def led(link):
        image, text, target, anchor = link.groups()
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(of_page), target))
        if wanted.startswith("docs/"):
            found = wanted.removeprefix("docs/")
        elif wanted in PAGES:
            found = PAGES[wanted]
        elif files.get_file_from_path(posixpath.normpath(posixpath.join(here, target))):
            return link[0]  # a page of the site alone: of the reference, or a notebook's picture
        elif (ROOT / wanted).exists() and not image:
            return f"{text} (`{wanted}`)" if text.strip("`") != wanted else f"`{wanted}`"
        else:
            raise PluginError(f"{of_page}: nothing lies at {target}")
        return f"{image}[{text}]({posixpath.relpath(found, here)}{anchor or ''})"

    parts, end = [], 0
    for code in _CODE.finditer(markdown):  # what is code stays as it is
        parts += [_LINK.sub(led, markdown[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _LINK.sub(led, markdown[end:])])


def on_post_page(output, page, config):
    """Refuses what a browser would fetch from elsewhere."""
    if found := _FETCHED.search(output):
        raise PluginError(f"{page.file.src_uri} fetches from elsewhere: {found[0]}")
    return output


def converted(source: str, page: str) -> dict[str, str | bytes]:
    """The page of a file of the repository, and the pictures that it shows."""
    if not source.endswith(".ipynb"):
        return {page: (ROOT / source).read_text(encoding="utf-8")}
    folder, name = posixpath.split(page)
    pictures = f"{Path(name).stem}_files"
    markdown, resources = MarkdownExporter().from_filename(
        ROOT / source, resources={"output_files_dir": pictures}
    )
    outputs = {posixpath.join(folder, path): data for path, data in resources["outputs"].items()}
    return {page: markdown} | outputs


def reference() -> list[tuple[str, str]]:
    """The packages and their pages."""
    tree = ast.parse((ROOT / "keras_cr" / "__init__.py").read_text(encoding="utf-8"))
    names = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "_SUBPACKAGES"
    )
    return [(f"keras_cr.{name}", f"reference/{name}.md") for name in names]


def reference_page(package: griffe.Module, name: str) -> str:
    """The page of a package: its docstring, then each public name's."""
    module = package[name.removeprefix("keras_cr.")]
    parts = [f"# `{name}`", module.docstring.value if module.docstring else ""]
    for public in sorted(public_names(module), key=str.lower):
        parts.append(f"::: {where(module, public)}")
    return "\n\n".join(parts) + "\n"


def public_names(module: griffe.Module) -> list[str]:
    return [str(each) if isinstance(each, str) else each.name for each in module.exports]


def where(module: griffe.Module, name: str) -> str:
    """The path of the object; some packages import a name when it is first used."""
    member = module.members.get(name)
    if member and member.is_alias:
        return member.target_path
    if member and not member.is_module:
        return member.path
    for inner in module.modules.values():  # a module can have the name of what it defines
        if name in inner.members and not inner.members[name].is_alias:
            return inner.members[name].path
    raise PluginError(f"{module.path}: no module defines {name}")
