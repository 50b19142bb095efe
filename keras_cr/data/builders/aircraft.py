"""FGVC-Aircraft 2013b as a TFDS data set."""

from pathlib import Path
from typing import ClassVar

from keras_cr.data.aircraft import AIRCRAFT, BANNER, read_aircraft
from keras_cr.data.builders.base import MANUAL_DIR, Builder, Config
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.download import fetch
from keras_cr.data.report import OFFICIAL

_CLASSES = {"variant": 100, "family": 70, "manufacturer": 41}


class KerasCrAircraft(Builder):
    """`keras_cr_aircraft`: FGVC-Aircraft 2013b; its configs are the levels of the labels."""

    BUILDER_CONFIGS: ClassVar = [
        Config(name=level, description=f"Labels: the {count} classes of the level {level}.")
        for level, count in _CLASSES.items()
    ]
    SIGNS = ("fgvc-aircraft-2013b", "data/variants.txt", "variants.txt")
    ARCHIVES = (AIRCRAFT,)
    PACKED = (AIRCRAFT.name,)
    WITHOUT: ClassVar = {"boxes": "add images_box.txt"}
    ABOUT: ClassVar = {
        "description": "FGVC-Aircraft 2013b. The split train is the official trainval. The images "
        "are the official files, with the banner at the bottom that names their owner: cut the "
        f"last {BANNER} rows off before use. Boxes are fractions of the whole file.",
        "homepage": "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/",
        "citation": "Maji et al., Fine-Grained Visual Classification of Aircraft, "
        "arXiv:1306.5151, 2013.",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Put {AIRCRAFT.name}, or the folder fgvc-aircraft-2013b/ extracted from it, {MANUAL_DIR}. "
        "With neither there, it is downloaded."
    )

    def _read(self, folder: Path) -> FineGrainedDataset:
        return read_aircraft(folder, self.builder_config.name)

    def _download(self) -> FineGrainedDataset:
        return self._read(fetch(self.ARCHIVES[0], "fgvc_aircraft", self.data_dir_root))

    def _official(self) -> dict[str, int]:
        return {**OFFICIAL["aircraft"], "classes": _CLASSES[self.builder_config.name]}
