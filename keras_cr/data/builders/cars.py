"""Stanford Cars as a TFDS data set."""

from pathlib import Path
from typing import ClassVar

from keras_cr.data.builders.base import MANUAL_DIR, Builder, Config
from keras_cr.data.cars import CARS_LAYOUTS, read_cars
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.report import OFFICIAL


class KerasCrCars(Builder):
    """`keras_cr_cars`: Stanford Cars; the config `class_folders` is for copies without boxes."""

    BUILDER_CONFIGS: ClassVar = [
        Config(name="boxes", description="With boxes."),
        Config(name="class_folders", description="Without boxes.", boxes=False),
    ]
    SIGNS = (
        "devkit",
        "car_devkit",
        "car_ims",
        "train",
        "cars_meta.mat",
        "stanford_cars",
        "car_data",
    )
    PACKED = (
        "cars_train.tgz",
        "cars_test.tgz",
        "car_devkit.tgz",
        "cars_test_annos_withlabels.mat",
        "car_ims.tgz",
        "cars_annos.mat",
    )
    WITHOUT: ClassVar = {"boxes": "for class folders, load keras_cr_cars/class_folders"}
    ABOUT: ClassVar = {
        "description": "Stanford Cars, with its official split. Its source is gone, so the files "
        "must be in manual_dir.",
        "homepage": "https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
        "citation": "Krause et al., 3D Object Representations for Fine-Grained Categorization, "
        "3dRR workshop, 2013.",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Stanford Cars can't be downloaded, its source is gone. Put a copy {MANUAL_DIR}: "
        f"{CARS_LAYOUTS}. The .tgz files may stay packed, all of them with the .mat file beside."
    )

    def _read(self, folder: Path) -> FineGrainedDataset:
        return read_cars(folder)

    def _official(self) -> dict[str, int]:
        return OFFICIAL["cars"]
