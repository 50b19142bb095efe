"""Presets: list, inspect, download, verify, publish and register them.

A preset is named as in `from_preset`: by name (`demo_squeezenet`), by folder (`./my_preset`) or by
handle (`hf://org/name`, `hf://org/name@v1`). Only `publish` builds a model: it loads what it has
uploaded and compares.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_cr._progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(name: str, text: str, as_json: bool = True) -> argparse.ArgumentParser:
        action = actions.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False
        )
        if as_json:
            action.add_argument("--json", action="store_true", help="print JSON")
        return action

    listed = add("list", "what can be loaded by name, and where it is")
    listed.add_argument(
        "--markdown", action="store_true", help="print the package's cards as docs/zoo.md has them"
    )
    listed.add_argument(
        "--sort",
        metavar="COLUMN",
        default="name",
        help="name, backbone, size, licence, data, metrics or command (default: name)",
    )
    info = add("info", "what a preset is, how it was made and how it was measured")
    info.add_argument("preset", metavar="NAME", help="a preset's name")
    for name, text in (
        ("download", "fetch a preset into the Hub's cache and check it"),
        ("verify", "check the sha256 of every file of a preset"),
    ):
        action = add(name, text)
        action.add_argument("preset", metavar="PRESET", help="a name, a folder or hf://org/name")
        action.add_argument("--revision", help="a branch, tag or commit of the handle")
        action.add_argument("--token", help="a Hub token (default: the stored one)")
        action.add_argument("--cache-dir", help="the Hub's cache (default: its own)")
        action.add_argument(
            "--backbone", metavar="PLACE", help="where the files of a backbone outside it are"
        )
        if name == "verify":
            action.add_argument("--offline", action="store_true", help="never use the network")
    publish = add("publish", "upload a preset in one commit, download it again, compare, tag it")
    publish.add_argument("preset", metavar="PRESET", help="a folder, or a preset's name")
    publish.add_argument("handle", metavar="HANDLE", help="where to: hf://org/name")
    publish.add_argument("--tag", help="a name for the commit, such as v1")
    publish.add_argument("--private", action="store_true", help="make a new repository private")
    publish.add_argument("--card", metavar="NAME", help="the card its page is made from")
    publish.add_argument("--message", help="of the commit")
    publish.add_argument("--token", help="a token that may write (default: the stored one)")
    card = add("card", "print the page that the Hub shows for a card, or check cards", False)
    card.add_argument("cards", metavar="CARD", nargs="*", help="a name or a FILE.yaml")
    card.add_argument("--check", action="store_true", help="check them (default: all) and no more")
    register = add("register", "pin a published preset into its card, so that its name loads it")
    register.add_argument("source", metavar="SOURCE", help="hf://org/name[@revision], or a folder")
    register.add_argument("--name", help="the card's name (default: the preset's own)")
    register.add_argument("--repo", help="with a folder: the handle it was published to")
    register.add_argument("--cards-folder", help="where cards are (default: weights_card/)")
    register.add_argument("--token", help="a Hub token (default: the stored one)")


def run(args: argparse.Namespace) -> None:
    with Progress(f"presets {args.action}", verbose=2):  # lines: the Hub's client draws bars
        _run(args)


def _run(args: argparse.Namespace) -> None:
    {
        "list": _list,
        "info": _info,
        "download": _verify,
        "verify": _verify,
        "publish": _publish,
        "card": _card,
        "register": _register,
    }[args.action](args)


def _list(args: argparse.Namespace) -> None:
    from keras_cr.presets import cards, list_presets
    from keras_cr.presets.zoo import in_order, row, zoo_page

    if args.markdown:
        print(zoo_page(cards(own=False).values(), args.sort), end="")
        return
    known = cards()
    order = [card.name for card in in_order(known.values(), args.sort)]
    presets = list_presets()  # by name
    if args.sort != "name":
        presets.sort(key=lambda each: order.index(each.name) if each.name in known else len(order))
    if args.json:
        fields = ("name", "title", "where", "model", "published", "packaged")
        rows = [
            {field: getattr(each, field) for field in fields}
            | {"stored": str(each.stored) if each.stored else None}
            | {"card": row(known[each.name]) if each.name in known else None}
            for each in presets
        ]
        print(json.dumps(rows, indent=2))
        return
    width = max((len(each.name) for each in presets), default=0)
    for each in presets:
        told = each.title or "(no card)"
        if each.name in known:
            about = row(known[each.name])
            told += f" ({about['backbone']}; {about['size']}; {about['metrics']})"
        print(f"{each.name:<{width}}  {each.where:<13}  {told}")


def _info(args: argparse.Namespace) -> None:
    from keras_cr.presets import UnknownPresetError, card, stored_presets
    from keras_cr.presets.manifest import Located, read_manifest

    folder = stored_presets().get(args.preset)
    try:
        entry = card(args.preset)
    except UnknownPresetError:
        if folder is None:
            raise
        entry = None
    found: dict[str, Any] = {"card": None if entry is None else dict(vars(entry))}
    if folder or (entry and entry.folder):
        place = folder or entry.folder
        found |= {"folder": str(place), "preset": read_manifest(Located(place, args.preset))}  # type: ignore[arg-type]
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        _tree({name: value for name, value in (found["card"] or {}).items() if value is not None})
        if "folder" in found:
            kept = ("class", "parameters", "keras_cr", "keras", "licence", "files", "backbone")
            print(f"folder: {found['folder']}")
            _tree({name: found["preset"][name] for name in kept if name in found["preset"]}, 1)


def _tree(values: Mapping[str, Any], depth: int = 0) -> None:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            print(f"{'  ' * depth}{name}:")
            _tree(value, depth + 1)
        else:
            shown = "none" if value in (None, {}) else " ".join(str(value).split())
            print(f"{'  ' * depth}{name}: {shown}")


def _verify(args: argparse.Namespace) -> None:
    from keras_cr.presets import verify_preset

    preset, manifest = verify_preset(
        args.preset,
        revision=args.revision,
        token=args.token,
        cache_dir=args.cache_dir,
        local_files_only=getattr(args, "offline", False),
        backbone=args.backbone,
    )
    result = {
        "ok": True,
        "folder": str(preset.folder),
        "class": manifest["class"],
        "keras_cr": manifest.get("keras_cr"),
        "pinned": bool(preset.pins),
        "files": manifest["files"],
        "backbone": manifest.get("backbone"),
    }
    if args.json:
        print(json.dumps(result, indent=2))
        return
    backbone = manifest.get("backbone") or {"handle": "", "files": {}}
    beside = {f"{backbone['handle']}: {name}": pin for name, pin in backbone["files"].items()}
    for name, entry in (manifest["files"] | beside).items():
        print(f"{entry['sha256']}  {entry['size']:>12,} bytes  {name}")
    against = "its card and preset.json" if preset.pins else "preset.json"
    print(f"{preset.label}: every file is as {against} has it.\n{preset.folder}")


def _publish(args: argparse.Namespace) -> None:
    from keras_cr.presets import publish

    done = publish(
        args.preset,
        args.handle,
        card=args.card,
        private=args.private,
        tag=args.tag,
        token=args.token,
        message=args.message,
    )
    if args.json:
        print(json.dumps(vars(done) | {"handle": done.handle}, indent=2))
    else:
        how = "Published" if done.changed else "Nothing to change: it is there already,"
        print(f"{how} {done.handle} (commit {done.commit}); downloaded again and compared.")
        print(f"Pin it into its card: keras-cr presets register {done.handle}")


def _card(args: argparse.Namespace) -> None:
    from keras_cr.presets import card, cards, model_card
    from keras_cr.presets.manifest import Located, read_manifest
    from keras_cr.presets.registry import read_card

    entries = [
        read_card(Path(each)) if each.endswith(".yaml") else card(each) for each in args.cards
    ]
    if args.check:
        entries = entries or list(cards().values())  # reading one checks it
        print(f"{len(entries)} card{'s' if len(entries) != 1 else ''}: no fault.")
        return
    if len(entries) != 1:
        args.usage_error("card: name one CARD to print, or add --check")
    entry = entries[0]
    manifest = {"class": "keras_cr>CommonRationaleEncoder", "name": entry.name}
    if entry.folder:
        manifest = read_manifest(Located(entry.folder, entry.name))
    elif entry.version:
        manifest["keras_cr"] = entry.version
    print(model_card(manifest, entry, entry.repo, entry.commit), end="")


def _register(args: argparse.Namespace) -> None:
    from keras_cr.presets import register

    path = register(
        args.source,
        args.name,
        repo=args.repo,
        cards_folder=args.cards_folder,
        token=args.token,
    )
    if args.json:
        print(json.dumps({"card": str(path), "name": path.stem}, indent=2))
    else:
        print(f"Wrote {path}. from_preset({path.stem!r}) loads exactly these files.")
