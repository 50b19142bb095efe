"""What the sheets' tests share."""

import pytest

from keras_cr.visualization._sheet import Sheet


@pytest.fixture
def written(monkeypatch):
    """The lines that sheets are asked to write, in their order."""
    lines, write = [], Sheet.write

    def spy(sheet, text, *args):
        lines.append(text)
        return write(sheet, text, *args)

    monkeypatch.setattr(Sheet, "write", spy)
    return lines
