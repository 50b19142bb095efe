"""A user's program that mypy checks (pyproject.toml): what the annotations are good for.

It is read and not run; tests/test_readme.py runs such programs.
"""

from typing import Any, assert_type

import keras
import numpy as np

import keras_cr
from keras_cr.comparison import Arm
from keras_cr.data import FineGrainedDataset, image_batches, read_image_folder
from keras_cr.evaluation import Embeddings, Evaluation, evaluate_features, extract, nearest
from keras_cr.models import CommonRationaleClassifier, CommonRationaleEncoder
from keras_cr.rationale import Neighbours, Rationale, fit_rationale
from keras_cr.search import Index, Match


def encode(folder: str) -> Embeddings:
    """Loads an encoder, fits its branch and embeds a folder."""
    encoder = CommonRationaleEncoder.from_preset("demo_squeezenet")
    assert_type(encoder, CommonRationaleEncoder)
    dataset = read_image_folder(folder, test_fraction=0.2)
    assert_type(dataset, FineGrainedDataset)
    train = dataset.split("train")
    batches = image_batches(train, 224, 64)
    fit_rationale(encoder, batches, Rationale(Neighbours(k=5), temperature=0.1))
    assert_type(encoder.channels, int)
    assert_type(encoder.backbone_licence, str | None)
    return keras_cr.evaluation.embed(encoder, batches)


def classify(images: np.ndarray, labels: np.ndarray) -> list[int]:
    """Fits a classifier's head and predicts."""
    classifier = CommonRationaleClassifier.from_preset("demo_squeezenet", num_classes=10)
    assert_type(classifier, CommonRationaleClassifier)
    found = classifier.fit_head(images, labels)
    assert_type(found, dict[str, Any])
    classifier.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy")
    classifier.fit(images, labels, epochs=2)
    return classifier.predict(images).argmax(axis=1).tolist()


def find(encoder: CommonRationaleEncoder, folder: str) -> list[str]:
    """Searches images like one."""
    index = Index.build(encoder, folder, metadata={"class": ["Lory", "Macaw"]})
    assert_type(index, Index)
    assert_type(index.similar("bird.jpg", k=3), list[Match])
    assert_type(index.duplicates(), list[list[str]])
    index.save("photos.index")
    again = Index.load("photos.index", encoder)
    return [match.name for match in again.similar("bird.jpg")]


def judge(encoder: CommonRationaleEncoder, dataset: FineGrainedDataset) -> float:
    """Evaluates an encoder, and looks neighbours up by hand."""
    features = extract(encoder, dataset, image_size=224)
    evaluation = evaluate_features(features, protocols=("retrieval", "knn"))
    assert_type(evaluation, Evaluation)
    assert_type(nearest(features.x("test", "average"), k=5), np.ndarray)
    return evaluation.metrics["retrieval"]["map"]


def mistakes(encoder: CommonRationaleEncoder) -> None:
    """What the types refuse; `warn_unused_ignores` holds each of these to be an error."""
    Index.build(encoder, "photos", image_size="224")  # type: ignore[arg-type]
    Arm("hot", "Learning rate 0.1", changes=0.1)  # type: ignore[arg-type]
    CommonRationaleEncoder.from_preset("demo_squeezenet", weights=False)  # type: ignore[call-arg]
    encoder.channels.shape  # type: ignore[attr-defined] # noqa: B018
