"""Runs benchmarks one after the other, each in a process of its own, and joins what they tell."""

import ast
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, machine
from benchmarks.rows import Row, markdown, number, row_of, stored
from keras_cr._files import check_place, whole_file

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
        OSError: `output` can't be written to, told before anything runs.
    """
    check_place("output", output, output)
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
            # A group of its own, so that what it has started ends with it.
            process = subprocess.Popen(command, stderr=stderr, env=env, start_new_session=True)
            try:
                status = process.wait(timeout)
                failed = f"ended with {status}" if status else ""
            except subprocess.TimeoutExpired:
                failed = f"stopped after {timeout:g} s"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            stderr.seek(0)
            said = stderr.read()
        lines = told.read_text().splitlines(keepends=True) if told.is_file() else []
        rows = [json.loads(line) for line in lines if line.endswith("\n")]
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
    try:
        found = json.loads(path.read_text())
        then, earlier = dict(found["machine"]), dict(found["benchmarks"])
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged, or no benchmarks' results: run without --join."
        ) from error
    changed = [key for key in now if key != "commit" and now[key] != then.get(key)]
    if changed:
        raise ValueError(
            f"{path} is of another machine or other versions ({', '.join(changed)}): "
            "give another --output, or run without --join."
        )
    return earlier


def write(result: dict[str, Any], output: Path) -> None:
    """Writes both files.

    Args:
        result: what `run` returns.
        output: a folder, which is made.
    """
    for name, text in (
        ("speed.json", json.dumps(result, indent=1) + "\n"),
        ("speed.md", report(result)),
    ):
        with whole_file(output / name) as part:
            part.write_text(text)


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
