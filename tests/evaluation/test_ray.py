"""The pipeline of docs/embedding.md, with two workers of Ray Data on this machine."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from keras_cr import CommonRationaleEncoder
from keras_cr.data import read_images
from keras_cr.evaluation import embed, read_embeddings
from tests.data.helpers import pixels, save_image

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason='needs pip install "ray[data]"')
def test_parts_made_by_ray_are_those_of_one_process(tmp_path, monkeypatch, capsys):
    for number, image in enumerate(pixels(6, 64, 80)):
        save_image(tmp_path / "photos" / f"{number}.jpg", image)
    page = (ROOT / "docs" / "embedding.md").read_text()
    program = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[-1].replace("1024", "2")
    (tmp_path / "pipeline.py").write_text(program)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [sys.executable, "pipeline.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "6 images embedded"
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "pipeline.py", "exec"), {"__name__": "__main__"})
    assert not capsys.readouterr().out  # the second time nothing is missing
    paths, embedding = read_embeddings(tmp_path / "embeddings")
    assert paths == [f"photos/{number}.jpg" for number in range(6)]
    assert len(list((tmp_path / "embeddings").iterdir())) == 3
    images = read_images([tmp_path / path for path in paths], image_size=160)
    encoder = CommonRationaleEncoder.from_preset("demo_squeezenet")
    np.testing.assert_allclose(embedding, embed(encoder, images).embedding, atol=1e-5)
