"""How well maps cut objects out, refined by colours and not, against true masks.

    python benchmarks/cuts.py CUB_200_2011 --backbone backbone.keras --image-size 160

A data set in CUB layout with `segmentations/`, its training images alone. The rationale is fitted
to the frozen backbone, its control to a Gaussian in the middle. For each: the mean over images of
intersection over union, precision and recall of what the cut lets through, and its share of the
image.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import argparse

import numpy as np
from keras import ops

from keras_cr import CommonRationaleEncoder
from keras_cr.data import BackgroundSwap, image_batches, read_cub
from keras_cr.rationale import fit_rationale, foreground_maps
from keras_cr.rationale.foregrounds import mask_batches


def measures(alpha: np.ndarray, masks: np.ndarray) -> dict[str, float]:
    """Of soft cuts and masks, `(N, h, w)` in 0..1; means over the images."""
    axes = (1, 2)
    both, either = (alpha * masks).sum(axes), np.maximum(alpha, masks).sum(axes)
    return {
        "intersection over union": float(np.mean(both / np.maximum(either, 1e-6))),
        "precision": float(np.mean(both / np.maximum(alpha.sum(axes), 1e-6))),
        "recall": float(np.mean(both / np.maximum(masks.sum(axes), 1e-6))),
        "share of the image": float(alpha.mean()),
    }


def resized(maps, side: int) -> np.ndarray:
    maps = ops.image.resize(ops.cast(maps, "float32")[..., None], (side, side), antialias=True)
    return ops.convert_to_numpy(maps[..., 0])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_dir")
    parser.add_argument("--backbone", required=True, help="a backbone's .keras file")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--side", type=int, default=80, help="places at which both are compared")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    size, train = args.image_size, read_cub(args.data_dir).split("train")
    masks = np.concatenate([resized(each, args.side) for each in mask_batches(train, size)])
    encoder = CommonRationaleEncoder.from_backbone(args.backbone, image_size=size)
    fit_rationale(encoder, image_batches(train, size, 64), seed=args.seed)
    print(f"{len(train)} training images; masks cover {masks.mean():.3f} of them")
    for cut in ("rationale", "center"):
        for refine in ("none", "colours"):
            maps = foreground_maps(encoder, train, size, cut=cut, seed=args.seed, refine=refine)
            alpha = BackgroundSwap(maps).alpha(maps).numpy()
            found = measures(resized(alpha, args.side), masks)
            told = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
            print(f"cut={cut}, refine={refine}: {told}", flush=True)


if __name__ == "__main__":
    main()
