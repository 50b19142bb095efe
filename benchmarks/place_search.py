"""What a search by one place finds: the same part, the object, the same class.

    python benchmarks/place_search.py                          # 240 drawn birds of 12 species
    python benchmarks/place_search.py --data-dir DIR           # images in CUB's layout, with masks

Of every second image a place is asked for, and its five nearest others are judged: is the place
where they were found on the same part, or on the object at all, and are they of the same class? A
place is on a part or an object if that covers a fifth of it. Drawn birds have parts: each is drawn
a second time with one part's colours turned round, and where the two differ, there it is. Controls:
places drawn at random from the query; other corrections of the features; whole images, by the
rationale and by the plain average. Chance: the share of all places that lie on the part or object.
"""

import argparse
from pathlib import Path
from unittest import mock

import keras
import numpy as np

from keras_cr import CommonRationaleEncoder
from keras_cr.data import FineGrainedDataset, image_batches, read_cub, synthetic_birds
from keras_cr.data.foreground import foreground
from keras_cr.data.synthetic import drawing, parts
from keras_cr.evaluation import embed
from keras_cr.search import PlaceSearch, place_search
from keras_cr.search.place_search import CHANNELS

FOUND, SIDE = 5, 160
directions = place_search._main_directions
COVERED = 0.2  # share of a place that a part covers
PARTS = {"head": ("draw_head", None), "wing": ("draw_wing", None)}
PARTS["tail"] = ("draw_plumes", parts.TAILS)


def birds() -> FineGrainedDataset:
    return synthetic_birds(12, train_per_class=1, test_per_class=20, image_size=SIDE, seed=0)


def part_masks(plain: FineGrainedDataset) -> dict[str, np.ndarray]:
    """Where each part is seen, (N, SIDE, SIDE): its pixels change with its colours."""
    found = {}
    for name, (function, only) in PARTS.items():
        draw = getattr(drawing, function)

        def turned(part, paint, draw=draw, only=only):
            shapes = draw(part, paint)
            changed = only is None or part in only
            return [(points, 255 - color) for points, color in shapes] if changed else shapes

        with mock.patch.object(drawing, function, turned):
            other = birds()
        difference = np.abs(other.images.astype(int) - plain.images).max(axis=-1)
        found[name] = ((difference > 50) & plain.masks)[~plain.is_train]
    return found


def places_of(masks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The share of every place that masks (N, SIDE, SIDE) cover, (N, h, w)."""
    small = keras.ops.image.resize(masks[..., None].astype("float32"), shape, antialias=True)
    return keras.ops.convert_to_numpy(small)[..., 0]


def judged(search, places, object_at, part_at, labels) -> str:
    """Shares of what is found for (image, row, column) places that lies where it should."""
    results = []
    height, width = object_at.shape[1:]
    for image, row, column in places:
        at = ((column + 0.5) / width, (row + 0.5) / height)
        for match in search.similar(str(image), at, FOUND):
            other = int(match.name)
            x, y = match.at
            place = other, int(y * height), int(x * width)
            on = [part_at[place] >= COVERED] if part_at is not None else []
            results.append([*on, object_at[place] >= COVERED, labels[other] == labels[image]])
    return " / ".join(f"{share:.2f}" for share in np.mean(results, axis=0))


def whole(embeddings: np.ndarray, queries: np.ndarray, labels: np.ndarray) -> str:
    similarity = embeddings[queries] @ embeddings.T
    similarity[np.arange(len(queries)), queries] = -np.inf
    found = np.argsort(-similarity, axis=1)[:, :FOUND]
    return f"{(labels[found] == labels[queries][:, None]).mean():.2f}"


def without_mean(batches, channels):
    mean, basis = directions(batches, channels)
    return np.zeros_like(mean), basis


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="CUB's layout; None draws birds")
    parser.add_argument("--preset", default="demo_squeezenet")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    encoder = CommonRationaleEncoder.from_preset(args.preset)
    dataset = birds() if args.data_dir is None else read_cub(args.data_dir)
    masks = part_masks(dataset) if args.data_dir is None else {}
    test = dataset.split("test")
    names, labels = [str(row) for row in range(len(test))], test.labels
    images = test if args.data_dir is None else test.images
    build = {"names": names, "image_size": SIDE, "verbose": 0}
    searches = {
        f"{CHANNELS} directions, float16 (the default)": PlaceSearch.build(
            encoder, images, **build
        ),
        "all channels": PlaceSearch.build(encoder, images, channels=None, **build),
    }
    with mock.patch.object(place_search, "_main_directions", without_mean):
        raw = PlaceSearch.build(encoder, images, channels=None, **build)
    searches["all channels, the mean left on"] = raw
    shape = searches["all channels"].similar("0", (0, 0), 1)[0].map.shape
    object_at = places_of(foreground(test, SIDE), shape)
    part_at = {name: places_of(mask, shape) for name, mask in masks.items()}
    queries = np.arange(0, len(test), 2)

    def highest(maps):
        return [(q, *np.unravel_index(maps[q].argmax(), shape)) for q in queries if maps[q].any()]

    def one_of(kept):
        found = [(q, np.argwhere(kept[q])) for q in queries if kept[q].any()]
        return [(q, *places[rng.integers(len(places))]) for q, places in found]

    asked = {name: (highest(maps), maps) for name, maps in part_at.items()}
    asked["any place of the object"] = one_of(object_at > 0.5), None
    asked["any place of the query"] = one_of(np.ones_like(object_at, bool)), None
    asked["any place beside the object"] = one_of(object_at < 0.02), None
    print(
        f"{len(test)} images, {shape[0]} x {shape[1]} places, {len(queries)} queries, {FOUND} found"
    )
    print("Shares found on the part (where there are parts) / on the object / of the same class:")
    print(f"| place asked for | chance | {' | '.join(searches)} |")
    print("| --- " * (len(searches) + 2) + "|")
    for name, (places, maps) in asked.items():
        chance = [maps] if maps is not None else []
        chance = " / ".join(f"{(each >= COVERED).mean():.2f}" for each in (*chance, object_at))
        cells = [judged(search, places, object_at, maps, labels) for search in searches.values()]
        print(f"| {name} | {chance} | {' | '.join(cells)} |")
    seen = embed(encoder, image_batches(test, SIDE, 64), verbose=0)
    print("Whole images, same class:", end=" ")
    print(f"rationale {whole(seen.embedding, queries, labels)},", end=" ")
    print(f"average {whole(seen.average_embedding, queries, labels)}")
    for name, search in searches.items():
        print(f"{name}: {search.nbytes / len(search):,.0f} bytes an image")


if __name__ == "__main__":
    main()
