"""How long it takes until something can be done: imports, commands, and loading a preset.

    python benchmarks/start.py

Each in a process of its own, which takes turns with the others. A ResNet-50's preset, with its
checksums, is loaded beside `keras.saving.load_model` of the same encoder, after the imports; the
memory is the process' peak above what it held before, in units of the weights.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.program import main
from benchmarks.rows import Row
from benchmarks.timing import Times, interleaved

SAVE = """
import sys
import keras_cr._environment
from keras_cr import CommonRationaleEncoder
encoder = CommonRationaleEncoder(sys.argv[1])
encoder.save_to_preset(sys.argv[2])
encoder.save(sys.argv[3])
"""
LOAD = """
import json, os, sys, threading, time
import keras_cr._environment
import keras_cr.models
from keras.saving import load_model
from keras_cr.presets import load_preset

def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

can_watch = os.path.exists("/proc/self/statm")
before, peak, done = held() if can_watch else 0, 0, not can_watch
def watch():
    global peak
    while not done:
        peak = max(peak, held())
        time.sleep(0.001)
watcher = threading.Thread(target=watch)
watcher.start()
start = time.perf_counter()
model = load_preset(sys.argv[1]) if sys.argv[2] == "preset" else load_model(sys.argv[1])
seconds = time.perf_counter() - start
done = True
watcher.join()
weights = sum(v.numpy().nbytes for v in model.weights)
print(json.dumps({"peak": (peak - before) / weights, "seconds": seconds}))
"""
IMPORT = "import time; s = time.perf_counter(); import keras_cr; print(time.perf_counter() - s)"


def benchmark(backbone: str = "resnet50", repeats: int = 2) -> Iterator[Row]:
    imports = [float(_python("-c", IMPORT)) for _ in range(repeats)]
    yield Times(it=imports).row("import keras_cr", "it", goal="<= 0.01")
    command = "from keras_cr.cli import main; main()"
    commands = {
        "python, nothing more": ("-c", "pass"),
        "keras-cr --help": ("-c", command, "--help"),
        "keras-cr presets list": ("-c", command, "presets", "list"),
    }
    works = {name: lambda flags=flags: _python(*flags) for name, flags in commands.items()}
    times = interleaved(works, repeats)
    for name in commands:
        yield times.row(name, name, goal="<= 1" if name.startswith("keras-cr") else "")
    with tempfile.TemporaryDirectory() as folder:
        preset, file = Path(folder, "preset"), Path(folder, "encoder.keras")
        _python("-c", SAVE, backbone, str(preset), str(file))
        found: dict[str, list] = {"preset": [], "load_model": []}
        for _ in range(repeats):
            for kind, path in zip(found, (preset, file), strict=True):
                found[kind].append(json.loads(_python("-c", LOAD, str(path), kind)))
        times = Times((kind, [each["seconds"] for each in all_]) for kind, all_ in found.items())
        what = f"{backbone}, from_preset with every sha256"
        yield times.row(f"{backbone}, keras.saving.load_model", "load_model")
        yield times.row(what, "preset", against="load_model", goal="<= 1.3")
        peaks = Times((kind, [each["peak"] for each in all_]) for kind, all_ in found.items())
        yield peaks.row(f"{what}: peak memory", "preset", unit="x weights", against="load_model")


def _python(*flags: str) -> str:
    done = subprocess.run([sys.executable, *flags], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


if __name__ == "__main__":
    main(benchmark)
