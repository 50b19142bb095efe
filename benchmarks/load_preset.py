"""Memory and time of loading a ResNet-50 preset, in a process of its own.

    python benchmarks/load_preset.py [--repeats 3]

The peak is that of the process above what it held after `import keras_cr.models`, in units of the
size of the weights (94 MB in float32). Medians over the repeats.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile

SAVE = "from keras_cr import CommonRationaleEncoder as E; E('resnet50').save_to_preset({!r})"
LOAD = """
import json, os, sys, threading, time
import keras_cr.models
from keras_cr.presets import load_preset

def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

before, peak, done = held(), 0, False
def watch():
    global peak
    while not done:
        peak = max(peak, held())
        time.sleep(0.001)
watcher = threading.Thread(target=watch)
watcher.start()
start = time.perf_counter()
model = load_preset(sys.argv[1])
seconds = time.perf_counter() - start
done = True
watcher.join()
weights = sum(v.numpy().nbytes for v in model.weights)
print(json.dumps({"peak": (peak - before) / weights, "seconds": seconds, "weights": weights}))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        preset = f"{folder}/resnet50"
        subprocess.run([sys.executable, "-c", SAVE.format(preset)], check=True)
        found = []
        for _ in range(args.repeats):
            command = [sys.executable, "-c", LOAD, preset]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found.append(json.loads(done.stdout))
    peak = statistics.median(each["peak"] for each in found)
    seconds = statistics.median(each["seconds"] for each in found)
    print(f"ResNet-50, {found[0]['weights'] / 1e6:.0f} MB of weights: peak {peak:.2f} times the")
    print(f"weights, {seconds:.1f} s with every sha256 checked (medians of {args.repeats})")


if __name__ == "__main__":
    main()
