"""What a user does under another backend than TensorFlow; test_backends.py compares the results.

Run as `python -m tests.interoperability.other_backend FOLDER`, which holds what it reads.
"""

import contextlib
import importlib
import io
import json
import sys
from pathlib import Path

import keras
import numpy as np

import keras_cr
import keras_cr.models  # registers the classes for keras.saving.load_model


def main(folder: Path) -> None:
    batch, labels = np.load(folder / "images.npy"), np.array([0, 1, 2])
    loaded = keras.saving.load_model(folder / "encoder")
    arrays = {"load_model": loaded(batch)}
    # A preset is checked by Keras' serialization, which imports an installed TensorFlow.
    facts = {"backend": keras.backend.backend(), "tensorflow": "tensorflow" in sys.modules}
    encoder = keras_cr.CommonRationaleEncoder.from_preset(str(folder / "encoder"))
    arrays["predict"] = encoder.predict(batch, verbose=0)
    arrays |= encoder.encode(batch)
    arrays["embed"] = keras_cr.evaluation.embed(encoder, batch, batch_size=2).embedding
    encoder.save_to_preset(folder / "again")

    classifier = keras_cr.CommonRationaleClassifier.from_preset(str(folder / "classifier"))
    arrays["probabilities"] = classifier(batch)
    classifier.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    facts["losses"] = classifier.fit(batch, labels, epochs=2, verbose=0).history["loss"]

    facts["packages"] = [name for name in keras_cr.__all__ if imports(f"keras_cr.{name}")]
    facts["errors"] = {
        "pretraining": message(lambda: keras_cr.pretraining.MoCo),
        "experiment": message(lambda: importlib.import_module("keras_cr.experiment.run")),
        "grad_cam": message(
            lambda: keras_cr.attribution.grad_cam_from_loss(keras.ops.sum, arrays["feature_map"])
        ),
    }
    from keras_cr.cli import main as command

    with contextlib.redirect_stderr(io.StringIO()) as said:
        preset = ["--preset", str(folder / "encoder"), "--image-size", "32"]
        facts["status"] = command(["fit", *sys.argv[2:], *preset, "-o", str(folder / "fitted")])
    facts["errors"]["keras-cr fit"] = said.getvalue()
    np.savez(
        folder / "results.npz", **{k: keras.ops.convert_to_numpy(v) for k, v in arrays.items()}
    )
    (folder / "facts.json").write_text(json.dumps(facts))


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
    main(Path(sys.argv[1]))
