"""What a user does under any backend; test_backends.py compares what comes of it.

Run as `python -m tests.interoperability.other_backend FOLDER OUTPUT`; FOLDER holds what it reads.
"""

import contextlib
import importlib
import io
import json
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import ops

import keras_cr
import keras_cr.models  # registers the classes for keras.saving.load_model
from keras_cr.rationale import Neighbours, Rationale, fit_rationale, fit_vocabulary

SIDE = 32


def main(folder: Path, output: Path) -> None:
    batch, labels = np.load(folder / "images.npy"), np.array([0, 1, 2])
    encoder = keras.saving.load_model(folder / "encoder")
    arrays = {"load_model": encoder(batch)} | explained(encoder, batch)
    birds = np.load(folder / "birds.npy")
    arrays |= fitted(encoder, birds) | {"vocabulary": similarities(encoder, birds)}
    # A preset is checked by Keras' serialization, which imports an installed TensorFlow.
    facts = {"backend": keras.backend.backend(), "tensorflow": "tensorflow" in sys.modules}
    encoder = keras_cr.CommonRationaleEncoder.from_preset(str(folder / "encoder"))
    arrays["predict"] = encoder.predict(batch, verbose=0)
    arrays |= encoder.encode(batch)
    arrays["embed"] = keras_cr.evaluation.embed(encoder, batch, batch_size=2).embedding
    encoder.save_to_preset(output / "again")

    classifier = keras_cr.CommonRationaleClassifier.from_preset(str(folder / "classifier"))
    arrays["probabilities"] = classifier(batch)
    eager = keras.backend.backend() == "tensorflow"
    classifier.compile(
        keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", run_eagerly=eager
    )
    facts["losses"] = classifier.fit(batch, labels, epochs=2, verbose=0).history["loss"]

    facts["metrics"] = evaluated(encoder, folder / "photos")
    arrays |= commanded(folder, output)
    facts["packages"] = [name for name in keras_cr.__all__ if imports(f"keras_cr.{name}")]
    facts["errors"] = {
        "pretraining": message(lambda: keras_cr.pretraining.MoCo),
        "experiment": message(lambda: importlib.import_module("keras_cr.experiment.run")),
    }
    np.savez(output / "results.npz", **{k: ops.convert_to_numpy(v) for k, v in arrays.items()})
    (output / "facts.json").write_text(json.dumps(facts))


def explained(encoder, batch) -> dict:
    """GradCAM of a loss; one that doesn't depend on the map is refused."""
    kernel = ops.convert_to_tensor(np.linspace(-1, 1, encoder.channels, dtype="float32"))

    def loss(feature_map):
        return ops.sum(ops.mean(ops.tanh(feature_map) * kernel, axis=(1, 2)) ** 2)

    feature_map = encoder.feature_map(batch)
    cam, value = keras_cr.attribution.grad_cam_from_loss(loss, feature_map, sign=-1)
    for constant in (lambda x: ops.sum(kernel), lambda x: ops.sum(ops.stop_gradient(x))):
        said = message(lambda c=constant: keras_cr.attribution.grad_cam_from_loss(c, feature_map))
        assert "does not depend on the feature map" in said, said
    return {"cam": cam, "explained loss": value}


def fitted(encoder, images) -> dict:
    """The maps of a branch that was fitted to images, and what the fit said of itself."""
    options = {"rounds": 2, "epochs": 4, "batch_size": 16, "verbose": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = fit_rationale(encoder, images, Rationale(Neighbours(k=4, mirror=True)), **options)
    measured = np.array([list(of_round.values()) for of_round in history])
    return {"fitted maps": encoder.encode(images)["rationale"], "fit": measured}


def similarities(encoder, images) -> np.ndarray:
    """What images have in common by a vocabulary that was fitted to them."""
    encoder.pooling = "rationale_vlad"
    fit_vocabulary(encoder, images, verbose=0)
    embeddings = ops.convert_to_numpy(encoder(images))
    return embeddings @ embeddings.T


def evaluated(encoder, photos: Path) -> dict:
    """Every number of the encoder on a folder of photos, and of controls of each kind."""
    from keras_cr.data import read_image_folder
    from keras_cr.evaluation import add_controls, evaluate_features, extract

    dataset = read_image_folder(photos, test_fraction=0.5)
    features = extract(encoder, dataset, SIDE, verbose=0)
    controls = "activation_norm,untrained_branch,center_branch"
    features = add_controls(features, controls, verbose=0)
    metrics = evaluate_features(features, "retrieval,knn", verbose=0).metrics
    return {name: values for name, values in metrics.items() if name != "protocol"}


def commanded(folder: Path, output: Path) -> dict:
    """What `keras-cr` writes: a fitted preset, its maps and embeddings; it evaluates too."""
    from keras_cr.cli import main as command

    photos, fitted = str(folder / "photos"), str(output / "fitted")
    maps, embeddings = str(output / "maps"), str(output / "embeddings.npz")
    data = ["--data-dir", photos, "--dataset", "folder", "--protocols", "knn", "--json"]
    with contextlib.redirect_stderr(io.StringIO()):
        for name, preset, *argv in (
            (
                "fit",
                str(folder / "encoder"),
                photos,
                "--rounds",
                "1",
                "--epochs",
                "2",
                "--pooling",
                "rationale",
                "--rationale-options",
                "self_training=false",  # a colour's bin can turn by a rounding
                "-o",
                fitted,
            ),
            ("explain", fitted, photos, "-o", maps),
            ("embed", fitted, photos, "-o", embeddings),
            ("evaluate", fitted, *data),
        ):
            argv += ["--preset", preset, "--image-size", str(SIDE), "--batch-size", "16"]
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                assert command([name, *argv]) == 0, argv
    return {
        "explain": np.load(output / "maps" / "maps.npz")["maps"],
        "keras-cr embed": np.load(embeddings)["embedding"],
        "keras-cr evaluate": json.loads(printed.getvalue())["knn"]["top1"],
    }


def imports(name: str) -> bool:
    """Whether there is a package of that name that can be imported."""
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
        return True
    return False


def message(fails) -> str:
    """The kind of error that a call ends in, and what it says."""
    try:
        fails()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
