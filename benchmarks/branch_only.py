"""Bytes of a preset with its backbone inside, and of one that refers to it.

    python benchmarks/branch_only.py

The backbones have random weights; their size is that of trained ones.
"""

import argparse
import pathlib
import tempfile

import keras

from keras_cr import CommonRationaleEncoder
from keras_cr.models import backbone_from_name, load_backbone

BACKBONES = {
    "squeezenet": lambda: backbone_from_name("squeezenet", seed=0),
    "resnet50": lambda: backbone_from_name("resnet50", seed=0),
    "EfficientNetV2B0 of keras.applications": lambda: keras.applications.EfficientNetV2B0(
        include_top=False, weights=None
    ),
}


def size(folder: pathlib.Path) -> int:
    """Bytes of a folder's files."""
    return sum(path.stat().st_size for path in folder.iterdir())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--num-detectors", type=int, default=1)
    detectors = parser.parse_args().num_detectors
    print("| backbone | whole, bytes | branch alone, bytes | of it config.json |")
    print("| --- | --- | --- | --- |")
    for name, build in BACKBONES.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            build().save(folder / "backbone.keras")
            backbone, source = load_backbone(folder / "backbone.keras")
            encoder = CommonRationaleEncoder(
                backbone, num_detectors=detectors, image_size=224, backbone_source=source
            )
            whole = size(encoder.save_to_preset(folder / "whole"))
            branch = encoder.save_to_preset(folder / "branch", backbone="reference")
            config = (branch / "config.json").stat().st_size
            print(f"| {name} | {whole:,} | {size(branch):,} | {config:,} |", flush=True)


if __name__ == "__main__":
    main()
