"""The library names arguments, command lines name flags: messages are translated in one place."""

import argparse
import ast
import pathlib

import pytest

import keras_cr
from keras_cr import cli
from keras_cr._flags import flags_of, in_flags
from keras_cr.comparison.flags import REFUSED, parse_comparison
from keras_cr.experiment.flags import settings_parser, told_in_flags

PACKAGE = pathlib.Path(keras_cr.__file__).parent


@pytest.fixture(scope="module")
def flags():
    parser = argparse.ArgumentParser()
    parser.add_argument("images", nargs="+", metavar="IMAGES")
    parser.add_argument("-s", "--image-size", type=int)
    parser.add_argument("--init")
    parser.add_argument("--rationale-options")
    parser.add_argument("--skip-bad", action="store_true")
    action = parser.add_subparsers().add_parser("verify")
    action.add_argument("--offline", action="store_true")
    return flags_of(parser._actions)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("`image_size` must be 32 or more", "--image-size must be 32 or more"),
        ("image_size: must be a number", "--image-size: must be a number"),
        ("images: 'x' does not exist", "IMAGES: 'x' does not exist"),
        ("leave them out with skip_bad=True.", "leave them out with --skip-bad."),
        ("leave them out (`skip_bad=True`)", "leave them out (--skip-bad)"),
        ("not with skip_bad=False", "not with no --skip-bad"),
        ("take init='none', or `init`", "take --init none, or --init"),
        ('take `init="./a b.keras"`.', "take --init ./a b.keras."),
        ("Received: image_size=8", "Received: --image-size 8"),
        ("pass it as init=, or not", "pass it as --init, or not"),
        ("name it, init=hf://org/name.", "name it, --init hf://org/name."),
        ("local_files_only=True forbids it", "--offline forbids it"),
        # what no flag sets stays
        (
            "`alpha` must be positive; pass labels=True",
            "`alpha` must be positive; pass labels=True",
        ),
        ("alpha: must be positive", "alpha: must be positive"),
        ("the init is image_size", "the init is image_size"),
        # what is inside of an argument is not the flag of that name
        ("`rationale_options`: `init` must be", "--rationale-options: `init` must be"),
        ("`rationale_options`: unknown, see `init`", "--rationale-options: unknown, see --init"),
        ("`alpha`: `init` must be", "`alpha`: `init` must be"),
    ],
)
def test_arguments_become_flags(flags, said, told):
    assert in_flags(said, flags) == told


def test_settings_are_told_in_the_recipes_flags():
    for said, told in (
        (
            "`batch_size` must be 2 or more. Received: 1",
            "--batch-size must be 2 or more. Received: 1",
        ),
        ("`arms` must name one; resume=True", "--arms must name one; --resume"),
        (
            "`monitor_every`: `dataset` must have labels",
            "--monitor-every: `dataset` must have labels",
        ),
    ):
        assert told_in_flags(ValueError(said)) == told


def strings(path):
    """The texts of a module that its user can meet: all but docstrings."""
    tree = ast.parse(path.read_text())
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if text and id(node) not in docstrings:
            yield node.value


def test_the_library_does_not_speak_of_flags():
    """Whose words are not translated is met by people who write Python."""
    known = {*settings_parser("")._option_string_actions, *REFUSED, "--arms", "--seeds"}
    known |= {flag for flag, _ in flags_of(cli._parser()._actions).values()}
    known = {flag for flag in known if flag.startswith("--")} - {"--help", "--version"}
    assert {"--data-dir", "--skip-bad", "--output", "--token", "--publish"} <= known
    spoken = {
        (str(path.relative_to(PACKAGE)), flag)
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "cli" and not path.name.endswith("flags.py")
        for text in strings(path)
        for flag in known
        if flag in text.replace(",", " ").replace(":", " ").replace(".", " ").split()
    }
    assert not spoken


def parsers(parser):
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action.choices.values():
                yield from parsers(choice)


def test_o_and_output_are_one_everywhere():
    """Every command that can be run takes both, and so does every recipe."""
    for parser in (*parsers(cli._parser()), settings_parser("")):
        options = parser._option_string_actions
        runs = not any(isinstance(a, argparse._SubParsersAction) for a in parser._actions)
        assert ("--output" in options) == runs, parser.prog
        assert options.get("-o") is options.get("--output"), parser.prog
    for flag in ("-o", "--output"):
        settings, _ = parse_comparison("doc", {"birds": {"read": None}}, [flag, "out"])
        assert settings.output == "out"
