"""Runs benchmarks one after the other, each in a process of its own, and joins what they tell."""

import ast
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, machine
from benchmarks.rows import Row, markdown, number, row_of, stored

HERE = Path(__file__).parent


def benchmarks(folder: Path = HERE) -> dict[str, Path]:
    """The modules with a function `benchmark`, by name; none of them is imported."""
    found = {}
    for path in sorted(folder.glob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        if any(isinstance(node, ast.FunctionDef) and node.name == "benchmark" for node in body):
            found[path.stem] = path
    return found


def title(path: Path) -> str:
    """The first line of a benchmark's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def run(
    paths: dict[str, Path],
    output: Path,
    timeout: float,
    flags: Sequence[str] = (),
    join: bool = False,
) -> dict[str, Any]:
    """Runs benchmarks, and writes `speed.json` and `speed.md` after each.

    One that fails or takes too long keeps the rows it had told, and gets one that says so.

    Args:
        paths: the benchmarks' files by name.
        output: the folder of both files.
        timeout: of each, in seconds.
        flags: more flags for each.
        join: whether results of an earlier run on this machine stay, for the other benchmarks.

    Returns:
        What `speed.json` holds.

    Raises:
        ValueError: there are none to join, or they are another machine's.
    """
    result: dict[str, Any] = {"machine": machine(), "benchmarks": {}}
    if join:
        result["benchmarks"] = _earlier(output / "speed.json", result["machine"])
    for number_, (name, path) in enumerate(paths.items(), 1):
        print(f"{number_} of {len(paths)}: {name}, {title(path)}", file=sys.stderr, flush=True)
        result["benchmarks"][name] = _run_one(path, timeout, flags)
        write(result, output)
    return result


def _run_one(path: Path, timeout: float, flags: Sequence[str]) -> dict[str, Any]:
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(
            filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")])
        )
    }
    load, start = os.getloadavg()[0], time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "rows.jsonl")
        with open(Path(folder, "stderr"), "w+") as stderr:
            command = [sys.executable, str(path), "--rows", str(told), *flags]
            try:
                done = subprocess.run(command, stderr=stderr, timeout=timeout, env=env)
                failed = f"ended with {done.returncode}" if done.returncode else ""
            except subprocess.TimeoutExpired:
                failed = f"stopped after {timeout:g} s"
            stderr.seek(0)
            said = stderr.read()
        lines = told.read_text().splitlines() if told.is_file() else []
        rows = [json.loads(line) for line in lines]
    if failed:
        sys.stderr.write(said)
        last = (said.strip().splitlines() or [""])[-1]
        rows += stored([Row(path.stem, note=f"failed: {failed}; {last}".rstrip("; "))])
    seconds = time.perf_counter() - start
    return {
        "title": title(path),
        "seconds": round(seconds, 1),
        "load_before": round(load, 2),
        "failed": bool(failed),
        "rows": rows,
    }


def _earlier(path: Path, now: dict[str, Any]) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"There are no results to join: {path} is no file. Run without --join.")
    found = json.loads(path.read_text())
    changed = [key for key in now if key != "commit" and now[key] != found["machine"].get(key)]
    if changed:
        raise ValueError(
            f"{path} is of another machine or other versions ({', '.join(changed)}): "
            "give another --output, or run without --join."
        )
    return found["benchmarks"]


def write(result: dict[str, Any], output: Path) -> None:
    """Writes both files.

    Args:
        result: what `run` returns.
        output: a folder, which is made.
    """
    output.mkdir(parents=True, exist_ok=True)
    (output / "speed.json").write_text(json.dumps(result, indent=1) + "\n")
    (output / "speed.md").write_text(report(result))


def report(result: dict[str, Any]) -> str:
    """What `speed.md` says."""
    rows = [
        (name, row_of({key: value for key, value in each.items() if key != "met"}))
        for name, one in result["benchmarks"].items()
        for each in one["rows"]
    ]
    met = [row.met() for _, row in rows if row.met() is not None]
    took = sum(one["seconds"] for one in result["benchmarks"].values())
    return "\n".join(
        [
            "# Speed",
            "",
            describe(result["machine"]),
            f"{len(result['benchmarks'])} benchmarks, {number(round(took))} s. "
            f"Goals met: {sum(met)} of {len(met)}.",
            "",
            *markdown(rows),
            "",
        ]
    )
