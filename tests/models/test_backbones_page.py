"""docs/backbones.md: its Python runs as printed, its table has a row for every family."""

import pathlib
import re

import pytest

from keras_cr import CommonRationaleEncoder
from keras_cr.data import synthetic_birds, write_cub_layout
from tests.models.test_adapt_backbone import needs_hub
from tests.models.zoo import table

TEXT = table.PAGE.read_text("utf-8")


@needs_hub
@pytest.mark.filterwarnings("ignore:The fitted maps")
def test_the_python_runs_as_printed(tmp_path, monkeypatch):
    import keras_hub

    def small(preset, load_weights=True):  # of the same kind, and nothing is downloaded
        assert preset == "dinov2_small"
        return keras_hub.models.DINOV2Backbone(
            14, 1, 16, 2, 32, image_shape=(518, 518, 3), position_embedding_shape=(518, 518, 3)
        )

    monkeypatch.setattr(keras_hub.models.Backbone, "from_preset", small)
    monkeypatch.setattr(
        keras_hub.layers.DINOV2ImageConverter,
        "from_preset",
        lambda preset: keras_hub.layers.DINOV2ImageConverter(scale=1 / 255),
    )
    monkeypatch.chdir(tmp_path)
    birds = synthetic_birds(num_classes=2, train_per_class=12, test_per_class=1, image_size=64)
    (write_cub_layout(birds, tmp_path / "birds") / "images").rename("photos")
    session = {}
    for block in re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE):
        exec(compile(block, "docs/backbones.md", "exec"), session)
    encoder = CommonRationaleEncoder.from_preset(pathlib.Path("my_encoder"))
    assert encoder.backbone.output_shape == (None, 16, 16, 16)
    assert session["encoder"].backbone is session["convnext"]
    assert session["finer"].backbone.compute_output_shape((1, 160, 160, 3)) == (1, 17, 17, 512)


def test_the_table_has_a_row_for_every_family():
    rows = table.rows()
    assert list(rows) == [table.name_of(case) for case in table.CASES]
    for name, row in rows.items():
        assert set(row) >= {*table.STEPS, "PyTorch"}, name
