"""README.md and the guides as a newcomer takes them: Python in one session, shell lines parsed."""

import os
import pathlib
import re
import runpy
import shlex
import shutil
import subprocess
import sys

import pytest

from keras_cr import cli
from keras_cr.comparison.compare import Comparison
from keras_cr.data import synthetic_birds, write_cub_layout
from keras_cr.experiment.run import Run
from tests.hub.server import HubServer

ROOT = pathlib.Path(__file__).parents[1]
MOST = 150  # lines of README.md
SESSION = """
import sys, traceback
blocks = sys.stdin.read().split("\\0")
session = {"__name__": "__main__"}
for number, block in enumerate(blocks, 1):
    print(f"block {number} of {len(blocks)}", flush=True)
    try:
        exec(compile(block, f"Python block {number}", "exec"), session)
    except BaseException:
        sys.exit(f"{block}\\n{traceback.format_exc()}")
"""


PAGES = (
    "README.md",
    "docs/training.md",
    "docs/evaluation.md",
    "docs/search.md",
    "docs/commands.md",
    "docs/explain.md",
    "docs/report.md",
    "docs/comparison.md",
)


def blocks(language):
    """The fenced blocks of a language, word for word, page after page."""
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in PAGES]
    fenced = re.compile(rf"^```{language}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return [block for text in texts for block in fenced.findall(text)]


def installed(folder):
    """The package as pip installs it: in a checkout, `register` would write to weights_card/."""
    shutil.copytree(ROOT / "keras_cr", folder / "keras_cr")
    shutil.copytree(ROOT / "weights_card", folder / "keras_cr" / "weights_card")
    return folder


@pytest.mark.slow
def test_the_python_runs_block_after_block_in_one_fresh_session(tmp_path):
    here = tmp_path / "here"
    birds = synthetic_birds(num_classes=3, train_per_class=11, test_per_class=1, image_size=96)
    shutil.copytree(write_cub_layout(birds, tmp_path / "birds") / "images", here / "photos")
    with HubServer(tmp_path / "hub", tokens={"hf_mine": {"name": "my-name"}}, xet=False) as hub:
        environment = os.environ | {
            "PYTHONPATH": str(installed(tmp_path / "site")),
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_CACHE": str(tmp_path / "hf" / "hub"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": "hf_mine",
        }
        for name in ("KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL"):
            environment.pop(name, None)
        done = subprocess.run(
            [sys.executable, "-c", SESSION],
            input="\0".join(blocks("python")),
            cwd=here,
            env=environment,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, f"{done.stdout[-1000:]}\n{done.stderr[-5000:]}"
    written = {path.name for path in here.iterdir()}
    assert written == {
        "photos",
        "rationales.png",
        "runs",
        "report.html",
        "found.png",
        "my_preset",
        "photos.index",
    }
    home = pathlib.Path(os.environ["KERAS_CR_HOME"])
    assert (home / "cards" / "my_birds.yaml").is_file()
    assert (home / "presets" / "my_parts" / "preset.json").is_file()


def commands():
    """The shell lines that start keras_cr, their continuations joined and comments left out."""
    text = "\n".join(blocks("sh")).replace("\\\n", " ")
    for line in text.splitlines():
        for command in line.split("&&"):
            words = shlex.split(command, comments=True)
            if words[:1] == ["keras-cr"] or (words[:1] == ["python"] and "/" in words[1]):
                yield words


def test_it_is_short_and_its_links_lead_somewhere():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MOST
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text("utf-8")):
            assert ((ROOT / page).parent / link).exists(), f"{page}: {link}"


def test_there_are_commands_to_check():
    assert {words[words[0] == "python"] for words in commands()} >= {
        "keras-cr",
        "recipes/compare.py",
        "recipes/train_cub.py",
        "recipes/train_demo.py",
    }


@pytest.mark.parametrize("words", [*commands()], ids=" ".join)
def test_the_shell_lines_are_understood(words, tmp_path, monkeypatch):
    for name in words:  # files that a flag names have to be there
        if re.fullmatch(r"[\w.]+\.(keras|pth|pth\.tar|safetensors)", name):
            (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    if words[0] == "keras-cr":
        args = cli._parser().parse_args(words[1:])
        assert callable(args.run)
        return

    class Understood(BaseException):
        pass

    def stop(cls, settings, *_, **__):
        raise Understood

    for program in (Run, Comparison):
        monkeypatch.setattr(program, "prepare", classmethod(stop))
    monkeypatch.setattr(sys, "argv", words[1:])
    monkeypatch.syspath_prepend(ROOT / "recipes")
    with pytest.raises(Understood):
        runpy.run_path(str(ROOT / words[1]), run_name="__main__")
