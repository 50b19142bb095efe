"""What the TFDS builders share: where files are looked for, and what an example holds."""

import abc
import dataclasses
import hashlib
import os
import shutil
import tarfile
import tempfile
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.decode import load_image
from keras_cr.data.download import Archive
from keras_cr.data.files import UnreadableImageError
from keras_cr.data.report import odd_counts

try:
    import importlib_resources  # noqa: F401, TFDS needs it later and does not declare it
    from tensorflow_datasets import core, features
except ImportError as error:
    raise ImportError(
        f'The TFDS builders need tensorflow-datasets ({error}): pip install "keras-cr[recipes]"'
    ) from error

MANUAL_DIR = (
    "into manual_dir (tfds.download.DownloadConfig(manual_dir=...); without one, downloads/manual "
    "in TFDS's data folder)"
)


@dataclasses.dataclass(eq=False)
class Config(core.BuilderConfig):
    """What examples hold beside image, label and file name."""

    boxes: bool = True
    masks: bool = False


class Builder(core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """What the builders share; a builder says where its files are and how they are read."""

    VERSION = core.Version("1.0.0")
    SIGNS: tuple[str, ...]  # one of these in manual_dir: it holds the unpacked data
    PACKED: tuple[str, ...]  # files that are unpacked together where none of the signs is there
    ARCHIVES: tuple[Archive, ...] = ()  # what is downloaded where manual_dir has nothing
    WITHOUT: ClassVar[dict[str, str]]  # the way out where boxes or masks are missing
    ABOUT: ClassVar[dict[str, str]]

    @abc.abstractmethod
    def _read(self, folder: Path) -> FineGrainedDataset: ...

    @abc.abstractmethod
    def _official(self) -> dict[str, int]: ...

    def _download(self) -> FineGrainedDataset:
        """Not called where there are no `ARCHIVES`."""
        raise NotImplementedError

    def _info(self) -> core.DatasetInfo:
        columns = {
            "image": features.Image(encoding_format="jpeg"),
            "label": features.ClassLabel(),
            "filename": features.Text(),
        }
        if self.builder_config.boxes:
            columns["bbox"] = features.BBoxFeature()
        if self.builder_config.masks:
            columns["mask"] = features.Image(shape=(None, None, 1), encoding_format="png")
        return core.DatasetInfo(
            builder=self,
            features=features.FeaturesDict(columns),
            supervised_keys=("image", "label"),
            **self.ABOUT,
        )

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        try:
            manual = Path(dl_manager.manual_dir)
        except AssertionError as error:  # the folder is missing or empty
            folder, found = None, str(error).partition(" Create it")[0]
        else:
            folder = self._manual_folder(manual, Path(dl_manager.download_dir) / "extracted")
            found = f"{str(manual)!r} holds none of it."
        dataset = self._read(folder) if folder else self._fetch(found)
        self._check(dataset, folder)
        self.info.features["label"].names = dataset.class_names
        root = Path(os.path.commonpath(dataset.images))
        return {
            split: self._generate_examples(dataset.split(split), root)
            for split in ("train", "test")
        }

    def _manual_folder(self, manual: Path, extracted: Path) -> Path | None:
        """The folder to read, or None where `manual` has nothing of this data set."""
        if any((manual / sign).exists() for sign in self.SIGNS):
            return manual
        packed = [manual / name for name in self.PACKED if (manual / name).is_file()]
        if all(file.suffix == ".mat" for file in packed):
            return None
        return _unpack(packed, extracted, self.name)

    def _fetch(self, found: str) -> FineGrainedDataset:
        """What is downloaded, or an error with what was `found` in manual_dir and what to do."""
        hint = f"manual_dir: {found} {self.MANUAL_DOWNLOAD_INSTRUCTIONS}"
        if not self.ARCHIVES:
            raise FileNotFoundError(hint)
        try:
            return self._download()
        except ConnectionError as error:
            raise ConnectionError(f"{error} For TFDS: {hint}") from error

    def _check(self, dataset: FineGrainedDataset, folder: Path | None) -> None:
        """Refuses a download whose counts are not the official ones, and missing boxes or masks."""
        train = int(dataset.is_train.sum())
        found = {
            "train": train,
            "test": len(dataset) - train,
            "classes": dataset.num_classes,
        }
        if odd := odd_counts(found, self._official()):
            message = f"{self.name}: not the official counts, but {', '.join(odd)}"
            if folder is None:
                raise ValueError(f"{message}; remove the download and try again.")
            warnings.warn(f"{message}, in {folder}.", stacklevel=2)
        for what, way_out in self.WITHOUT.items():
            values = getattr(dataset, what)
            lacking = values is None or any(value is None for value in values)
            if lacking and getattr(self.builder_config, what):
                raise ValueError(
                    f"config: {self.name}/{self.builder_config.name} needs the {what} of all "
                    f"images, and some or all are missing; {way_out}."
                )

    def _generate_examples(self, dataset: FineGrainedDataset, root: Path) -> Iterator[tuple]:
        for row, path in enumerate(dataset.images):
            try:
                height, width, _ = load_image(path).shape
            except UnreadableImageError as error:
                raise UnreadableImageError(
                    f"{path}: {error.fault}; repair it, or extract its archive again."
                ) from error
            name = Path(path).relative_to(root).as_posix()
            example = {"image": path, "label": int(dataset.labels[row]), "filename": name}
            if self.builder_config.boxes:
                x, y, w, h = dataset.boxes[row].tolist()
                edges = [y / height, x / width, (y + h) / height, (x + w) / width]
                example["bbox"] = np.clip(edges, 0.0, 1.0)
            if self.builder_config.masks:
                example["mask"] = dataset.masks[row]
            yield name, example


def _unpack(files: Sequence[Path], folder: Path, name: str) -> Path:
    """Extracts archives, and copies MATLAB files, into one folder; once for the same files."""
    states = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    target = folder / f"{name}-{hashlib.sha256(repr(states).encode()).hexdigest()[:16]}"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as parent:
        whole = Path(parent) / name  # renamed once it is
        whole.mkdir()
        for file in files:
            if file.suffix == ".mat":
                shutil.copy(file, whole)
                continue
            try:
                with tarfile.open(file) as archive:
                    # absent before Python 3.11.4
                    archive.extraction_filter = getattr(tarfile, "data_filter", None)
                    archive.extractall(whole)
            except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
                reason = " ".join(str(error).split())
                raise ValueError(
                    f"{file}: does not extract ({reason}); get it again, or put the extracted "
                    "folder into manual_dir."
                ) from error
        whole.rename(target)
    return target
