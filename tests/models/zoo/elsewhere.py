"""Presets of the zoo under another backend of Keras, in one process for all of them.

Run as `python -m tests.models.zoo.elsewhere FOLDER`, where `store` has left the presets.
"""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np

from keras_cr import CommonRationaleEncoder
from tests.models.zoo import checks
from tests.models.zoo.cases import Case
from tests.models.zoo.families import CASES

ROOT = pathlib.Path(__file__).parents[3]


def store(cases: list[Case], folder: pathlib.Path) -> None:
    """Presets of encoders, each loaded by `from_backbone`, and the embeddings that they give.

    Args:
        cases: whose.
        folder: an empty one.
    """
    for case in cases:
        place = folder / str(CASES.index(case))
        place.mkdir()
        encoder = checks.loaded(case, checks.build(case), place)
        encoder.save_to_preset(place / "preset")
        np.save(place / "embedding.npy", encoder(checks.images_of(case, 3)))
        keras.utils.clear_session(free_memory=False)


def under(backend: str, folder: pathlib.Path) -> dict[str, str]:
    """What goes wrong with each case under a backend, by its number in `CASES`; "" where nothing.

    Args:
        backend: Keras' name of it.
        folder: what `store` has filled.
    """
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.models.zoo.elsewhere", folder]
    done = subprocess.run(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads((folder / f"{backend}.json").read_text())


def check(case: Case, place: pathlib.Path) -> None:
    """The preset gives the embeddings that it gave, and its branch can be fitted."""
    encoder = CommonRationaleEncoder.from_preset(place / "preset")
    found = encoder.predict(checks.images_of(case, 3), verbose=0)
    np.testing.assert_allclose(found, np.load(place / "embedding.npy"), atol=1e-4)
    checks.check_fit(case, encoder)


def main(folder: pathlib.Path) -> None:
    failed = {}
    for place in (path for path in sorted(folder.iterdir()) if path.is_dir()):
        try:
            check(CASES[int(place.name)], place)
            failed[place.name] = ""
        except Exception as error:
            failed[place.name] = checks.told(error)
        keras.utils.clear_session()
        (folder / f"{keras.backend.backend()}.json").write_text(json.dumps(failed))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
