"""Draws the README's pictures: `python docs/images/draw.py`, in a minute on two CPU cores.

The birds are the project's own drawings, of 30 species. The packaged encoder's backbone stays as
it is; its rationale is fitted to 240 of them, without labels. The pictures show others.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from keras_cr import CommonRationaleEncoder
from keras_cr.data import image_batches, synthetic_birds
from keras_cr.rationale import fit_rationale
from keras_cr.search import Index, Places
from keras_cr.search.places import shown
from keras_cr.visualization import match_sheet

HERE = Path(__file__).parent
SIZE = 160
QUERIES = (0, 24, 56)


def main() -> None:
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
    path = HERE / "search_birds.png"
    sheet = match_sheet(test.images[list(QUERIES)], found, np.stack(query_maps), found_maps, titles)
    Image.fromarray(np.asarray(sheet)).quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    main()
