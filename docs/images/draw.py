"""Draws the pictures of README and docs: `python docs/images/draw.py`, in two minutes on two cores.

The birds are the project's own drawings, of 30 species. The packaged encoder's backbone stays as
it is; its rationale is fitted to 240 of them, without labels. The pictures show others.
"""

from pathlib import Path

import numpy as np
from keras import ops
from PIL import Image

from keras_cr import CommonRationaleEncoder
from keras_cr.data import Augmentation, image_batches, synthetic_birds, two_views
from keras_cr.rationale import Foregrounds, fit_rationale, foreground_maps
from keras_cr.search import Index, Places
from keras_cr.search.places import shown
from keras_cr.visualization import match_sheet, rationale_grid

HERE = Path(__file__).parent
SIZE = 160
QUERIES = (0, 24, 56)
CUT = (3, 60, 130, 200)


def main() -> None:
    search()
    cuts()


def cuts() -> None:
    """Birds cut out by maps as they are and by refined ones, each on another background."""
    birds = synthetic_birds(30, 8, 4, image_size=SIZE, seed=0, background="correlated")
    encoder = CommonRationaleEncoder.from_preset("demo_squeezenet")
    train = birds.split("train")
    fit_rationale(encoder, image_batches(train, SIZE, 64), seed=0)
    rows, still = np.array(CUT), Augmentation(scale=(1, 1), jitter=0, grayscale=0, blur=0, flip=0)
    images, maps, views = [train.images[rows]] * 2, [], []
    for refine in ("none", "colours"):
        foregrounds = Foregrounds(refine=refine, swap_probability=1)
        found = foreground_maps(encoder, train, SIZE, refine=refine)
        swapped = two_views(train, SIZE, len(train), still, backgrounds=foregrounds.swap(found))
        batch = next(swapped.as_numpy_iterator())
        views.append(batch["query"][np.argsort(batch["index"])][rows])
        found = ops.image.resize(found[rows][..., None].astype("float32"), (SIZE, SIZE))[..., 0]
        maps.append(np.asarray(found))
    by_bird = [
        np.stack(each, axis=1).reshape(-1, *each[0].shape[1:]) for each in (images, maps, views)
    ]
    titles = ["map, and cut by it", "refined by colours, and cut"] * len(rows)
    sheet = rationale_grid(*by_bird[:2], columns=2, titles=titles, beside=by_bird[2])
    write(sheet, "cuts_birds.png")


def search() -> None:
    birds = synthetic_birds(30, train_per_class=8, test_per_class=4, image_size=SIZE, seed=0)
    train, test = birds.split("train"), birds.split("test")
    encoder = CommonRationaleEncoder.from_preset("demo_squeezenet")
    fit_rationale(encoder, image_batches(train, SIZE, 64), seed=0)
    index = Index.build(encoder, test, names=[str(row) for row in range(len(test))])
    places = Places(encoder)
    found, query_maps, found_maps, titles = [], [], [], []
    for query in QUERIES:
        matches = index.similar(str(query), 4)
        pixels = test.images[[int(match.name) for match in matches]]
        of_query, of_found, _ = places.similarity(test.images[query], pixels)
        found.append(pixels)
        query_maps.append(shown(of_query.mean(axis=0)[None])[0])
        found_maps.append(shown(of_found))
        kind = index.metadata(str(query))["class"]
        same = ["same species" if m.metadata["class"] == kind else "another" for m in matches]
        titles.append(
            ["query", *(f"{m.similarity:.2f}, {s}" for m, s in zip(matches, same, strict=True))]
        )
    sheet = match_sheet(test.images[list(QUERIES)], found, np.stack(query_maps), found_maps, titles)
    write(sheet, "search_birds.png")


def write(sheet, name: str) -> None:
    Image.fromarray(np.asarray(sheet)).quantize(256).save(HERE / name, optimize=True)


if __name__ == "__main__":
    main()
