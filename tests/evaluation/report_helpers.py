"""A small evaluation with right and wrong answers, and a reader of the page written from it."""

from html.parser import HTMLParser

import numpy as np

from keras_cr.data import FineGrainedDataset
from keras_cr.evaluation import Embeddings, Features, center_prior

SIZE = 24
SECTIONS = ["looks", "gallery", "numbers", "boxes", "classes", "training", "protocol"]


def features(classes=5, train=4, test=4, pooling="rationale", noise=1.6, **changes):
    """Squares on noise. Embeddings lie around one direction a class, near enough for mistakes.

    Of the last class there is one test image, so nothing can be found for it.
    """
    rng = np.random.default_rng(0)
    counts = np.repeat(train + test, classes)
    counts[-1] = train + min(test, 1)
    labels = np.repeat(np.arange(classes), counts)
    is_train = np.concatenate([np.arange(count) < train for count in counts])
    n = len(labels)
    images = rng.integers(0, 255, (n, SIZE, SIZE, 3)).astype("uint8")
    masks = np.zeros((n, SIZE, SIZE), bool)
    for image, mask, (y, x) in zip(images, masks, rng.integers(0, SIZE // 2, (n, 2)), strict=True):
        place = (slice(y, y + SIZE // 2), slice(x, x + SIZE // 2))
        image[place], mask[place] = 200, True
    fields = {
        "name": "squares",
        "images": images,
        "labels": labels,
        "class_names": [f"{number:03}.Class_{number}" for number in range(classes)],
        "is_train": is_train,
        "masks": masks,
    }
    dataset = FineGrainedDataset(**(fields | changes))

    def embedding(noise):
        x = np.eye(8)[labels % 8] + noise * rng.normal(size=(n, 8)) / np.sqrt(8)
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype("float32")

    maps = center_prior(4, 4) * rng.uniform(0.2, 1, (n, 4, 4))
    maps = (maps / maps.max(axis=(1, 2), keepdims=True)).astype("float32")
    own, plain = embedding(noise), embedding(1.2 * noise)
    return Features(dataset, Embeddings(own, plain, maps), pooling, SIZE)


class Page(HTMLParser):
    """Collects a page's text, addresses and elements, and checks that what is opened is closed."""

    def __init__(self, page):
        super().__init__()
        self.stack, self.texts, self.elements, self.sources = [], [], [], {}
        self.feed(page)
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "link"):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag
        if tag in ("td", "th"):
            self.texts.append(" ")

    def handle_data(self, data):
        if self.stack and self.stack[-1] in ("style", "script"):
            self.sources[self.stack[-1]] = data
        else:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())

    def all(self, tag, class_=None):
        """Attributes of the elements of one name, and class."""
        found = [attributes for name, attributes in self.elements if name == tag]
        return [a for a in found if class_ is None or class_ in a.get("class", "").split()]

    def addresses(self):
        return [
            value
            for _, attributes in self.elements
            for name, value in attributes.items()
            if name in ("src", "href", "action", "data", "poster", "srcset", "xlink:href")
        ]


def read(path):
    return Page(path.read_text(encoding="utf-8"))
