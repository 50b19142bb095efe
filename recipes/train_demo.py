"""Learns a common rationale from birds it draws itself: no data, no network, some two minutes.

    python recipes/train_demo.py

480 images of 8 species that differ only in their parts (beak, crest, wing, tail, colours), in
random pose and light on cluttered backgrounds, train the SqueezeNet that comes with the package,
which has seen photographs and none of these birds. Labels and masks are used for nothing but the
evaluation. Look at runs/demo_birds/rationales.png and report.html; the encoder is stored as the
preset demo_birds.
"""

from keras_cr import experiment
from keras_cr.data import Augmentation, read_cub, synthetic_birds

SETTINGS = {
    "dataset": "demo",
    "preset_name": "demo_birds",
    "init": "demo_squeezenet",
    "output_stride": 8,
    "epochs": 5,
    "batch_size": 32,
    "image_size": 96,
    "optimizer": "adamw",
    "learning_rate": 2e-3,
    "objective_options": {"temperature": 0.1},
}

# Colours tell these species apart and time is short: gentler changes than MoCo v2's.
AUGMENTATION = Augmentation(
    scale=(0.4, 1.0), brightness=0.2, contrast=0.2, saturation=0.2, hue=0.03, grayscale=0.0
)


def birds(data_dir):
    if data_dir:
        return read_cub(data_dir)
    return synthetic_birds(num_classes=8, train_per_class=60, test_per_class=20, image_size=96)


def print_change(metrics):
    """What training changed, better or worse, on test images the network has never trained on."""
    before, own = metrics["initialization"], metrics["protocol"]["pooling"]
    print("\nBefore and after training on these birds:")
    for title, group, key in (
        ("images of the same species at rank 1", "retrieval", "rank1"),
        ("mean average precision", "retrieval", "map"),
        ("linear probe", "linear_probe", "top1"),
    ):
        for pooling, scores, old in (
            (f"{own} pooling", metrics, before),
            ("average pooling", metrics["average_pooling"], before["average_pooling"]),
        ):
            if group in scores:
                change = f"{old[group][key]:6.1%} -> {scores[group][key]:6.1%}"
                print(f"  {title + ', ' + pooling:<56} {change}")
    if "localization" in metrics:
        old, new = (m["localization"]["energy_ratio"] for m in (before, metrics))
        title = "energy on the bird, relative to its area (1: none)"
        print(f"  {title:<56} {old:6.2f} -> {new:6.2f}")


if __name__ == "__main__":
    print_change(experiment.main(__doc__, birds, augmentation=AUGMENTATION, **SETTINGS))
