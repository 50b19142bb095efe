"""What every public name has: a docstring that names all arguments, and types for all of them."""

import dataclasses
import importlib
import inspect
import re
import types
from collections.abc import Callable, Iterator
from typing import Any

import keras_cr

IMAGES = ("image", "images")
NO_PIXELS = {  # whose `images` are none
    "data.FineGrainedDataset": "names of files",
    "data.download_cub": "the checksum of an archive",
    "pretraining.Neighbours": "which ones are compared",
    "rationale.Neighbours": "which ones are compared",
}
UNTYPED = inspect.Parameter.empty


def public_names() -> dict[str, Any]:
    """Everything that a sub-package exports, by its full name; what two export, once."""
    found: dict[str, Any] = {}
    for package in keras_cr._SUBPACKAGES:
        module = importlib.import_module(f"keras_cr.{package}")
        found |= {f"{package}.{name}": getattr(module, name) for name in module.__all__}
    return found


NAMES = public_names()
CLASSES = {name: each for name, each in NAMES.items() if isinstance(each, type)}
FUNCTIONS = {
    name: each
    for name, each in NAMES.items()
    if callable(each) and not isinstance(each, type | types.GenericAlias)
}


def is_ours(kind: type) -> bool:
    return kind.__module__.startswith("keras_cr.")


def known_to_keras(kind: type) -> set[str]:
    """What a class has from others than ours, such as `call`, which Keras explains."""
    return {name for each in kind.__mro__ if not is_ours(each) for name in vars(each)}


def methods(kind: type) -> Iterator[tuple[str, Callable]]:
    """The public methods and properties, and the constructor, that classes of ours give a class."""
    seen = set()
    for each in filter(is_ours, kind.__mro__):
        for name, member in vars(each).items():
            if name in seen or (name.startswith("_") and name != "__init__"):
                continue
            seen.add(name)
            if isinstance(member, property):
                yield name, member.fget
            elif isinstance(member, classmethod | staticmethod):
                yield name, member.__func__
            elif isinstance(member, types.FunctionType):
                yield name, member


def parameters(function: Callable) -> list[inspect.Parameter]:
    """A function's own, wherever it wraps another; without `self` and `cls`."""
    found = inspect.signature(function, follow_wrapped=False).parameters.values()
    return [each for each in found if each.name not in ("self", "cls", "_cls")]


def untyped(function: Callable) -> list[str]:
    if not getattr(function, "__module__", "keras_cr").startswith("keras_cr"):
        return []
    missing = [each.name for each in parameters(function) if each.annotation is UNTYPED]
    returns = inspect.signature(function, follow_wrapped=False).return_annotation
    return missing + ["return"] * (returns is UNTYPED)


def documented(kind: type | Callable) -> tuple[str, set[str]]:
    """What is said of a function or a constructor, and its arguments.

    A constructor that a class has from another one is explained there.
    """
    if not isinstance(kind, type):
        return kind.__doc__ or "", {each.name for each in parameters(kind)}
    owner = next(each for each in kind.__mro__ if "__init__" in vars(each) or each is object)
    made = dataclasses.is_dataclass(kind) or issubclass(kind, tuple)
    if not made and not is_ours(owner):
        return kind.__doc__ or "", set()
    above = kind.__mro__[: 1 if made else kind.__mro__.index(owner) + 1]
    arguments = parameters(kind) if made else parameters(owner.__init__)
    return "\n".join(inspect.cleandoc(each.__doc__ or "") for each in above), {
        each.name for each in arguments
    }


def named(docstring: str) -> set[str]:
    """The arguments that `Args:` or `Attributes:` of a docstring explain."""
    found: set[str] = set()
    text = inspect.cleandoc(docstring)
    for section in re.findall(r"^(?:Args|Attributes):\n((?:[ ]{4}.*\n?|\n)+)", text, re.MULTILINE):
        for names in re.findall(r"^ {4}([*\w, ]+):", section, re.MULTILINE):
            found |= {name.strip(" *") for name in names.split(",")}
    return found


def test_there_are_as_many_names_as_the_package_tells():
    assert len(FUNCTIONS) > 50
    assert len(CLASSES) > 50
    assert set(keras_cr._FROM) <= {name.split(".")[1] for name in NAMES}


def test_every_name_says_what_it_is():
    said = {name: each.__doc__ or "" for name, each in (CLASSES | FUNCTIONS).items()}
    made = {name for name, text in said.items() if text.startswith(f"{name.split('.')[1]}(")}
    assert not made | {name for name, text in said.items() if not text.strip()}


def test_every_function_tells_its_types():
    found = {name: untyped(function) for name, function in FUNCTIONS.items()}
    assert not {name: missing for name, missing in found.items() if missing}


def test_every_class_tells_its_types():
    found = {
        f"{name}.{method}": untyped(function)
        for name, kind in CLASSES.items()
        for method, function in methods(kind)
    }
    assert not {name: missing for name, missing in found.items() if missing}


def test_every_method_says_what_it_does():
    silent = {
        f"{name}.{method}"
        for name, kind in CLASSES.items()
        for method, _ in methods(kind)
        if method not in known_to_keras(kind) and not inspect.getdoc(getattr(kind, method))
    }
    assert not silent


def test_every_docstring_names_the_arguments():
    unnamed = {}
    for name, each in (CLASSES | FUNCTIONS).items():
        docstring, arguments = documented(each)
        if left := arguments - named(docstring):
            unnamed[name] = left
    assert not unnamed


def test_images_are_said_to_be_rgb():
    """Of functions, constructors and methods that have an `Args:`."""
    taking = {name: documented(each) for name, each in (CLASSES | FUNCTIONS).items()}
    for name, kind in CLASSES.items():
        taking |= {
            f"{name}.{method}": (function.__doc__, {each.name for each in parameters(function)})
            for method, function in methods(kind)
            if method != "__init__" and "Args:" in (function.__doc__ or "")
        }
    silent = {
        name
        for name, (docstring, arguments) in taking.items()
        if arguments & set(IMAGES) and "RGB 0..255" not in " ".join(docstring.split())
    }
    assert silent == set(NO_PIXELS)
