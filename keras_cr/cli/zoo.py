"""The zoo's presets, one after the other: made by their recipes, checked, published, pinned."""

import argparse
import dataclasses
import json
import runpy
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_cr._flags import flags_of, in_flags
from keras_cr.experiment.ending import exit_with, in_one_line
from keras_cr.experiment.flags import settings_parser
from keras_cr.models import CommonRationaleEncoder
from keras_cr.presets import PresetError, cards, load_preset, publish
from keras_cr.presets.manifest import Located, fingerprint, names_of, read_manifest
from keras_cr.presets.publish import check_writable
from keras_cr.presets.register import register
from keras_cr.presets.registry import Card, own_cards_folder

_ROOT = Path(__file__).parents[2]
_STOPPED = (130, 143, -signal.SIGINT, -signal.SIGTERM)  # a recipe that a person stopped


@dataclasses.dataclass(frozen=True)
class Zoo:
    """What presets are made with.

    Attributes:
        output: folder that holds a run for each preset.
        data: folders of the data sets by the first part of the presets' names.
        flags: given to every recipe.
        organisation: on the Hub, where presets are published; None publishes none.
        tag: of what is published.
    """

    output: Path
    data: dict[str, str]
    flags: Sequence[str] = ()
    organisation: str | None = None
    tag: str | None = None

    def make(self, card: Card) -> str:
        """Makes a card's preset, as far as it isn't there already; returns what was done.

        Raises:
            RuntimeError: its recipe failed.
            PresetError: what it stored is damaged, or can't be published.
        """
        folder = self.output / card.name
        made = (folder / "metrics.json").is_file()
        if not made:
            going_on = ["--resume"] if (folder / "config.json").is_file() else []
            done = subprocess.run([*self.command(card), *going_on], cwd=_ROOT)
            if done.returncode in _STOPPED:
                raise KeyboardInterrupt
            if done.returncode:
                raise RuntimeError(f"its recipe ended with status {done.returncode}")
        preset = self.verified(folder)
        if self.organisation is None:
            return "was there" if made else "made"
        names = names_of(read_manifest(Located(preset, f"Preset {str(preset)!r}")))
        files = {name: fingerprint(preset / name) for name in names}
        if card.pinned and {name: dict(pin) for name, pin in card.files.items()} == files:
            return "was published"
        published = publish(preset, self.handle(card), card=card, tag=self.tag)
        register(preset, card.name, repo=f"hf://{published.repo}@{published.commit}")
        return f"published as {published.handle}"

    def command(self, card: Card) -> list[str]:
        """The command that makes a card's preset, with its data and its folder.

        Raises:
            ValueError: the card's own command is no recipe's, or its data are wanted.
        """
        recipe, arguments = _recipe_of(card)
        kind = card.name.partition("_")[0]
        if "--data-dir" in arguments:
            place = arguments.index("--data-dir")
            del arguments[place : place + 2]
            if kind not in self.data:
                raise ValueError(f"`data` must say where its images are: {kind}=DIR")
        if kind in self.data:
            arguments += ["--data-dir", self.data[kind]]
        folder = ["--output", str((self.output / card.name).absolute())]
        named = [] if "--preset-name" in arguments else ["--preset-name", card.name]
        return [sys.executable, str(recipe), *arguments, *self.flags, *folder, *named]

    def verified(self, folder: Path) -> Path:
        """A run's preset, loaded and compared with what the run measured.

        Raises:
            PresetError: it is damaged, or of another run.
        """
        preset = folder / "preset"
        load_preset(preset, expected=CommonRationaleEncoder)
        measured = json.loads((folder / "metrics.json").read_text())
        if read_manifest(Located(preset, f"Preset {str(preset)!r}"))["metrics"] != measured:
            raise PresetError(
                f"{str(preset)!r} holds other metrics than its run's metrics.json; make it anew."
            )
        return preset

    def handle(self, card: Card) -> str:
        """Where a card's preset is published."""
        return f"hf://{self.organisation}/{card.name}"


def _recipe_of(card: Card) -> tuple[Path, list[str]]:
    """The recipe that makes a card's preset, and its arguments.

    Raises:
        ValueError: the card's command is no recipe's.
    """
    python, *arguments = shlex.split(card.recipe["command"])
    if python != "python" or not arguments or not (_ROOT / arguments[0]).is_file():
        raise ValueError(
            f"{card.name}: its card names no recipe of this checkout. "
            f"Received: {card.recipe['command']!r}"
        )
    return _ROOT / arguments[0], arguments[1:]


def outlook(card: Card, images_per_second: float | None, flags: Sequence[str] = ()) -> dict:
    """What making a card's preset takes, by column; nothing is run.

    Args:
        card: whose preset.
        images_per_second: of training, from which the hours follow.
        flags: that every recipe is given.

    Raises:
        ValueError: the card's command is no recipe's.
    """
    recipe, arguments = _recipe_of(card)
    parser = settings_parser("", **_defaults(recipe))
    settings = parser.parse_args([*arguments, *flags])
    images = (card.data["train"] or 0) * max(settings.epochs, 1)  # a fit alone sees each once
    hours = "not measured"
    if images_per_second:
        hours = f"{images / images_per_second / 3600:.1f}"
    own = parser.parse_args(arguments)
    same = (settings.init, settings.backbone) == (own.init, own.backbone)
    known = card.file_size is not None and same
    return {
        "preset": card.name,
        "images": f"{images:,}",
        "hours": hours,
        "size": f"{card.file_size / 1e6:.0f} MB" if known else "not known",
        "licence": card.licence,
        "licence of the data": card.data["licence"],
    }


def _defaults(recipe: Path) -> dict:
    """A recipe's own settings."""
    sys.path.insert(0, str(recipe.parent))  # some take those of others
    try:
        return runpy.run_path(str(recipe), run_name="zoo").get("SETTINGS", {})
    finally:
        sys.path.remove(str(recipe.parent))


def main(description: str, argv: Sequence[str] | None = None) -> None:
    """The program of `recipes/zoo.py`.

    Raises:
        SystemExit: of status 1 where a preset failed, 2 for a mistake, 130 after Ctrl-C.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    place = given.index("--") if "--" in given else len(given)
    flags = given[place + 1 :]
    parser = _parser(description)
    args = parser.parse_args(given[:place])
    with in_one_line(ValueError, OSError):
        try:
            wanted, data = _wanted(args.only), dict(_pair(each) for each in args.data)
        except ValueError as error:
            raise ValueError(in_flags(str(error), flags_of(parser._actions))) from error
        zoo = Zoo(Path(args.output), data, flags, args.publish, args.tag)
        if args.dry_run:
            for card in wanted:
                told = outlook(card, args.images_per_second, flags)
                print(
                    "; ".join(f"{name}: {' '.join(value.split())}" for name, value in told.items())
                )
            return
        if args.publish:
            for card in wanted:
                check_writable(zoo.handle(card))
    failed = []
    with in_one_line(way_on="the same command"):
        for card in wanted:
            print(f"{card.name} ...", flush=True)
            try:
                told = zoo.make(card)
            except (RuntimeError, ValueError, OSError) as error:
                failed.append(card.name)
                told = f"failed: {' '.join(str(error).split())}"
            print(f"{card.name}: {told}", flush=True)
    if failed:
        raise exit_with(RuntimeError(f"{len(failed)} of {len(wanted)} failed: {', '.join(failed)}"))
    print(f"Cards are in {own_cards_folder()}." if args.publish else f"Runs are in {args.output}.")


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these cards (default: all)")
    parser.add_argument("-o", "--output", default="zoo", help="folder of the runs (default: zoo)")
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="a data set's folder, such as cub=CUB_200_2011; none: downloaded where it can be",
    )
    parser.add_argument("--publish", metavar="ORG", help="publish to hf://ORG/PRESET, and pin")
    parser.add_argument("--tag", help="of what is published, such as v1")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what each takes, and its licences; run nothing"
    )
    parser.add_argument(
        "--images-per-second", type=float, help="of training, for the hours that --dry-run tells"
    )
    return parser


def _wanted(names: Sequence[str] | None) -> list[Card]:
    """The cards of these names; of all that have no weights in the package."""
    known = cards()
    if unknown := [name for name in names or () if name not in known]:
        raise ValueError(
            f"`only` must name cards, {', '.join(known)}. Received: {', '.join(unknown)}"
        )
    return [known[name] for name in names or known if names or not known[name].packaged]


def _pair(text: str) -> tuple[str, str]:
    name, _, folder = text.partition("=")
    if not (name and folder) or not Path(folder).expanduser().is_dir():
        raise ValueError(f"`data` must be NAME=DIR, of a folder that exists. Received: {text!r}")
    return name, str(Path(folder).expanduser().absolute())
