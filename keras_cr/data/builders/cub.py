"""CUB-200-2011 as a TFDS data set."""

from pathlib import Path
from typing import ClassVar

from keras_cr.data.builders.base import MANUAL_DIR, Builder, Config
from keras_cr.data.cub import CUB_IMAGES, CUB_SEGMENTATIONS, download_cub, read_cub
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.report import OFFICIAL


class KerasCrCub(Builder):
    """`keras_cr_cub`: CUB-200-2011; the config `masks` adds the segmentations."""

    BUILDER_CONFIGS: ClassVar = [
        Config(name="boxes", description="With boxes."),
        Config(name="masks", description="With boxes and masks.", masks=True),
    ]
    SIGNS = ("CUB_200_2011", "images.txt")
    ARCHIVES = (CUB_IMAGES, CUB_SEGMENTATIONS)
    PACKED = tuple(archive.name for archive in ARCHIVES)
    WITHOUT: ClassVar = {
        "boxes": "add bounding_boxes.txt",
        "masks": f"put {CUB_SEGMENTATIONS.name} extracted beside CUB_200_2011/, or load "
        "keras_cr_cub/boxes",
    }
    ABOUT: ClassVar = {
        "description": "CUB-200-2011, with its official split. A mask's pixel says how many "
        "annotators saw the bird there; half the range and more is the bird.",
        "homepage": "https://www.vision.caltech.edu/datasets/cub_200_2011/",
        "citation": "Wah et al., The Caltech-UCSD Birds-200-2011 Dataset, CNS-TR-2011-001, 2011.",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Put {CUB_IMAGES.name} and, for masks, {CUB_SEGMENTATIONS.name}, or the folders "
        f"CUB_200_2011/ and segmentations/ extracted from them, {MANUAL_DIR}. With neither there, "
        "they are downloaded."
    )

    def _read(self, folder: Path) -> FineGrainedDataset:
        return read_cub(folder)

    def _download(self) -> FineGrainedDataset:
        images, segmentations = self.ARCHIVES
        return download_cub(
            self.data_dir_root, images, segmentations if self.builder_config.masks else None
        )

    def _official(self) -> dict[str, int]:
        return OFFICIAL["cub"]
