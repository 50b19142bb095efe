"""Runs the notebooks and keeps what they show: `python notebooks/refresh.py`, in two minutes.

Each runs in an empty folder, in a kernel of its own. Pictures are kept small, in 64 colours, and
nothing of the machine or the moment is kept: a run that shows the same changes no file.
"""

import base64
import io
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).parent
NAMES = ("quickstart", "few_labels")
SECONDS = 600  # that a cell may take on a busy machine
COLOURS, WIDTH = 64, 900  # of pictures, the latter in pixels at most


def executed(name: str, folder: Path) -> nbformat.NotebookNode:
    """The notebook as a run in `folder` leaves it; a cell that raises is an error."""
    notebook = nbformat.read(HERE / f"{name}.ipynb", as_version=4)
    client = NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    return client.execute()


def kept(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without what a machine adds, and with small pictures."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type != "code":
            continue
        cell.outputs = [output for output in cell.outputs if not _logged(output)]
        for output in cell.outputs:
            output.get("metadata", {}).clear()
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = _smaller(output.data["image/png"])
    return notebook


def _logged(output: nbformat.NotebookNode) -> bool:
    return output.get("name") == "stderr" or output.get("text", "").startswith("WARNING:")


def _smaller(picture: str) -> str:
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    image.thumbnail((WIDTH, 10 * WIDTH))
    file = io.BytesIO()
    image.quantize(COLOURS).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def main(names=()) -> None:
    for name in names or NAMES:
        with tempfile.TemporaryDirectory() as folder:
            notebook = kept(executed(name, Path(folder)))
        path = HERE / f"{name}.ipynb"
        nbformat.write(notebook, path)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
