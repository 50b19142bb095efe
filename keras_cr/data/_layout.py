"""Which folders of a data set's root are splits and which are classes, by their names."""

import collections
import dataclasses
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_cr._text import printable
from keras_cr.data.files import IMAGE_SUFFIXES
from keras_cr.data.walk import SEARCHED, PassedOver, Walk, is_hidden, told

SPLIT_NAMES = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("val", "valid", "validation", "dev", "eval"),
}
UNLABELLED = (
    "with unlabelled=True images are read without labels (recipes/train_folder.py and "
    "`keras-cr data verify` do so where there are no class folders)"
)
LOOSE = "outside any class folder"
_SPLITS = 3  # more folders alike are classes: of animals, say, each by the day
_NAMED = 5  # names a message gives
# What names of splits have besides: `training_set`, `seg_train`, `1_train`, `testset`.
_BESIDE = r"(?:set|dataset|data|images?|imgs?|seg|split|folder)"
_WORDS = re.compile(r"[\W_]+")
_OFFICIAL = {  # what official layouts hold -> their readers
    ("images.txt", "images"): "read_cub",
    ("images_variant_trainval.txt",): "read_aircraft",
    ("data/images_variant_trainval.txt",): "read_aircraft",
    ("cars_annos.mat",): "read_cars",
    ("devkit/cars_meta.mat",): "read_cars",
}


def split_of(name: str) -> str | None:
    """`"train"`, `"test"` or `"validation"` for a usual name of one, in any case; else None."""
    name = unicodedata.normalize("NFKC", name).strip().casefold()
    return next((split for split, names in SPLIT_NAMES.items() if name in names), None)


def wider_split_of(name: str) -> str | None:
    """As `split_of`, of names such as `training_set` and `1_train` too, which classes may have."""
    words = _WORDS.split(unicodedata.normalize("NFKC", name).strip().casefold())
    words = [word for word in words if not re.fullmatch(rf"\d*|{_BESIDE}", word)]
    if len(words) != 1:
        return None
    return split_of(re.sub(rf"^\d+|{_BESIDE}$", "", words[0])) or split_of(words[0])


def splits_among(folders: Sequence[Path]) -> list[Path]:
    """Those that are named as splits are; by wider names only where train and test are named."""
    exact = [folder for folder in folders if split_of(folder.name)]
    taken = {split_of(folder.name) for folder in exact}
    wider = {folder: wider_split_of(folder.name) for folder in folders if folder not in exact}
    wider = {folder: split for folder, split in wider.items() if split and split not in taken}
    both = taken | set(wider.values())
    can_split = "train" in both and len(both) > 1
    return [folder for folder in folders if folder in exact or (can_split and folder in wider)]


def folders_in(root: Path) -> list[Path]:
    """The visible folders in `root`, sorted by name."""
    return sorted(path for path in root.iterdir() if not is_hidden(path.name) and path.is_dir())


@dataclasses.dataclass
class Layout:
    """What a root holds.

    Args:
        splits: The folders of `"train"`, `"test"` and `"validation"` that there are; none where
            the class folders, or images, lie in the root itself.
        has_classes: Whether there are class folders, in the root or in the splits.
        remarks: What a user should know of the choice that was made.
    """

    splits: dict[str, Path] = dataclasses.field(default_factory=dict)
    has_classes: bool = True
    remarks: list[str] = dataclasses.field(default_factory=list)


def layout_of(root: Path, walk: Walk) -> Layout:
    """Tells splits from classes.

    Raises:
        ValueError: Two folders have the name of one split, one is no split beside those that are,
            splits hold no class folders beside those that do, there is no training folder, or
            `root` has an official layout, which another function reads.
    """
    if reader := _reader_of(root):
        raise ValueError(
            f"data_dir: {_quoted(root)} has the layout that keras_cr.data.{reader} reads; use "
            "that, or give the folder of class folders in it."
        )
    folders = folders_in(root)
    named = splits_among(folders)
    others = [folder for folder in folders if folder not in named]
    if not named:
        return Layout(has_classes=bool(folders))
    deep = [folder for folder in named if folders_in(folder)]
    can_train = any(wider_split_of(folder.name) == "train" for folder in named)
    if not deep and (not can_train or (others and len(named) == 1)):  # a train is a vehicle, too
        remark = f"{_names(named)} in {_quoted(root)}: read as classes, though named as splits are."
        return Layout(remarks=[remark])
    for folder in [folder for folder in others if walk.is_claimed(folder)]:
        walk.passed_over.append(PassedOver(str(folder), SEARCHED))
        others.remove(folder)
    splits = {}
    for folder in named:
        split = wider_split_of(folder.name)
        if split in splits:
            raise ValueError(
                f"data_dir: {_names([splits[split], folder])} in {_quoted(root)} are both names of "
                f"the {split} split; make one folder of them."
            )
        splits[split] = folder
    foreign = [folder for folder in others if _holds_images(folder)]
    if foreign:
        raise ValueError(
            f"data_dir: {_names(foreign)} in {_quoted(root)} is no split, beside {_names(named)}, "
            f"which are named as splits are ({_known()}); move it away, or rename it. If these are "
            "all classes, rename those that are named as splits."
        )
    if not can_train:
        raise ValueError(
            f"data_dir: {_quoted(root)} holds {_names(named)} and no training folder; name that "
            "`train`, or rename the others if they are classes."
        )
    if not deep:
        return Layout(splits, has_classes=False)  # type: ignore[arg-type]
    if flat := [folder for folder in named if folder not in deep]:
        raise ValueError(
            f"data_dir: {_names(flat)} in {_quoted(root)} holds no class folder, beside "
            f"{_names(deep)}; sort its images into class folders, or move it away."
        )
    return Layout(splits)  # type: ignore[arg-type]


def class_images(root: Path, walk: Walk, prefix: str = "") -> dict[str, list[str]]:
    """Class name -> sorted image paths, or the error that says what was found instead.

    Args:
        root: The folder of class folders.
        walk: Collects what is passed over.
        prefix: The split's name and a slash, for messages.
    """
    folders = _claimed(root, walk, prefix)
    _check_classes(folders, root)
    classes, written = {}, set()
    for folder in folders:
        name = printable(folder.name)
        if (plain := unicodedata.normalize("NFC", name)) in written:
            raise ValueError(
                f"data_dir: two classes in {_quoted(root)} are called {plain!r}, written in "
                "different bytes; make one folder of them."
            )
        written.add(plain)
        classes[name] = walk.images(folder, prefix + folder.name)
    loose = walk.loose_images(root)
    if len(classes) < 2:
        found = f"one class folder ({next(iter(classes))})" if classes else "no class folder"
        raise ValueError(
            f"data_dir: {_quoted(root)} holds {found} and {len(loose)} images outside any; put the "
            f"images into one folder a class, two classes or more; {UNLABELLED}."
            f"{_seen(walk.passed_over)}"
        )
    if empty := [name for name, images in classes.items() if not images]:
        raise ValueError(
            f"data_dir: {len(empty)} of {len(classes)} class folders in {_quoted(root)} hold no "
            f"image ({' '.join(IMAGE_SUFFIXES)}): {', '.join(empty[:_NAMED])}; fill or remove them."
            f"{_seen(walk.passed_over)}"
        )
    walk.passed_over += [PassedOver(path, LOOSE) for path in loose]
    return classes


def check_same_classes(train: dict, test: dict, train_root: Path, test_root: Path) -> None:
    """Refuses classes of `test` that `train` lacks."""
    if not (foreign := sorted(set(test) - set(train))):
        return
    alike = {_folded(name): name for name in train}
    twin = next((alike[_folded(name)] for name in foreign if _folded(name) in alike), None)
    hint = f" ({twin!r} there differs in case or accents alone)" if twin else ""
    raise ValueError(
        f"data_dir: {_quoted(test_root)} has classes that {_quoted(train_root)} lacks: "
        f"{', '.join(foreign[:_NAMED])}{hint}; both must hold the same class folders."
    )


def _claimed(root: Path, walk: Walk, prefix: str) -> list[Path]:
    """The class folders; none of them is another one's, or lies above."""
    folders = []
    for folder in folders_in(root):
        first, owner = walk.claim(str(folder), prefix + folder.name)
        if first == str(folder):
            folders.append(folder)
        elif owner is None:
            walk.passed_over.append(PassedOver(str(folder), SEARCHED))
        else:
            raise ValueError(
                f"data_dir: {_quoted(folder)} and {printable(first)!r} are one folder, so its "
                "images would be in two classes or splits; remove the link."
            )
    return folders


def _check_classes(folders: list[Path], root: Path) -> None:
    """Refuses folders that are no classes by what they hold.

    Raises:
        ValueError: One has an official layout or splits in it, or several hold folders of the same
            names, as splits do.
    """
    for folder in folders:
        if reader := _reader_of(folder):
            raise ValueError(
                f"data_dir: {_quoted(folder)} is no class folder: it has the layout that "
                f"keras_cr.data.{reader} reads; use that, or move it away."
            )
    inner = {folder: folders_in(folder) for folder in folders}
    inner = {folder: below for folder, below in inner.items() if below and not _has_loose(folder)}
    above = [folder for folder, below in inner.items() if _are_splits(below)]
    if len(above) == 1 < len(folders):
        raise ValueError(
            f"data_dir: {_quoted(above[0])} is no class folder: it holds the splits "
            f"{_names(inner[above[0]])}; give it as data_dir, or move it away."
        )
    if above:
        raise ValueError(
            f"data_dir: {len(above)} of {len(folders)} folders in {_quoted(root)} hold the splits "
            f"{_names(inner[above[0]])}: {_names(above)}. If those are classes, put the splits "
            "above them (train/CLASS/..., test/CLASS/...); if a data set, give one as data_dir."
        )
    if alike := next(_alike(inner), None):
        raise ValueError(
            f"data_dir: {_names(alike)} in {_quoted(root)} hold folders of the same names "
            f"({_names(inner[alike[0]])}), as splits do, so they are not read as classes. Rename "
            "splits to train/ and test/, or give one of them as data_dir; of classes, take the "
            "images out of these folders."
        )


def _are_splits(folders: Sequence[Path]) -> bool:
    found = {wider_split_of(folder.name) for folder in splits_among(folders)}
    return "train" in found and len(found) > 1


def _alike(inner: dict[Path, list[Path]]) -> Iterator[list[Path]]:
    """Two or three folders that hold two or more folders of the same names, and no others do."""
    below = {folder: {_folded(path.name) for path in paths} for folder, paths in inner.items()}
    holders = collections.defaultdict(list)
    for folder, names in below.items():
        for name in names:
            holders[name].append(folder)
    for names in below.values():
        shared = collections.Counter(other for name in names for other in holders[name])
        group = sorted(other for other, number in shared.items() if number > 1)
        if len(names) > 1 and 1 < len(group) <= _SPLITS:
            yield group


def _reader_of(folder: Path) -> str | None:
    """The function that reads a folder's layout, if it is an official one."""
    held = (
        reader for paths, reader in _OFFICIAL.items() if all((folder / p).exists() for p in paths)
    )
    return next(held, None)


def _has_loose(folder: Path) -> bool:
    """Whether a folder itself, not those below, holds what looks like images."""
    walk = Walk(folder)
    return bool(walk.loose_images(folder) or walk.passed_over)


def _holds_images(folder: Path) -> bool:
    """Whether it holds what looks like images, read or not."""
    walk = Walk(folder)
    return bool(walk.images(folder) or walk.passed_over)


def _seen(passed_over: list[PassedOver]) -> str:
    return f" {text}" if (text := told(passed_over)) else ""


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _names(folders: list[Path]) -> str:
    names = [printable(folder.name) for folder in folders]
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _quoted(path: str | os.PathLike) -> str:
    return repr(printable(path))


def _known() -> str:
    return ", ".join(name for names in SPLIT_NAMES.values() for name in names)
