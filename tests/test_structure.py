"""Imports go one way: a room of the package uses only what is below it, and no circle closes.

And no file is too large to be kept.
"""

import ast
import collections
import graphlib
import pathlib
import shutil
import subprocess

import pytest

LARGEST = 5_000_000  # bytes of a file in the repository
PACKAGE = pathlib.Path(__file__).parents[1] / "keras_cr"
STOREYS = (  # from the top; rooms of one storey don't use each other
    ("cli",),
    ("comparison",),
    ("experiment", "explore"),
    ("pretraining", "callbacks", "search"),
    ("evaluation",),
    ("rationale", "conversion"),
    ("models",),
    ("presets", "visualization", "losses", "attribution"),
    ("layers", "data", "optimizers"),
)
OF = {room: number for number, rooms in enumerate(STOREYS) for room in rooms}


def modules() -> dict[str, pathlib.Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imports() -> dict[str, set[str]]:
    """The modules that each imports, inside functions too; not the packages they lie in."""
    known, found = modules(), collections.defaultdict(set)
    for name, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found[name] |= {each.name for each in node.names} & known.keys()
            elif isinstance(node, ast.ImportFrom) and node.module in known:
                inner = {f"{node.module}.{each.name}" for each in node.names}
                found[name] |= (inner & known.keys()) or {node.module}
    return found


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def test_every_room_has_its_storey():
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert rooms == set(OF)


def test_a_room_uses_only_what_is_below_it():
    up = [
        f"{name} -> {other}"
        for name, others in imports().items()
        for other in others
        if room(name) in OF and room(other) in OF and room(name) != room(other)
        if OF[room(name)] >= OF[room(other)]
    ]
    assert not up


def test_no_circle_closes():
    graph = {name: others - {name} for name, others in imports().items() if room(name) in OF}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert set(order) >= set(graph)


def test_no_file_is_too_large_for_the_repository():
    root = PACKAGE.parent
    if not ((root / ".git").exists() and shutil.which("git")):
        pytest.skip("needs a git checkout, and git")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True)
    paths = [root / name for name in listed.stdout.decode().split("\0") if name]
    assert len(paths) > 100
    sizes = {str(path): path.stat().st_size for path in paths if path.is_file()}
    assert {path: size for path, size in sizes.items() if size > LARGEST} == {}
