"""Works in a process of their own, so that two libraries' threads and memory stay apart."""

import multiprocessing
import os
import re
import resource
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from benchmarks.rows import NotMeasured

_FAILED = "failed:"


class Process:
    """Works that another process makes and runs when asked; it waits in between, and idles.

    Args:
        make: a function of a module, which returns works by name; it is called there.
        *args: its arguments.
        env: more environment variables for it, such as Keras' backend.

    Raises:
        NotMeasured: `make` raised it.
        RuntimeError: `make` failed.

    Example:

    >>> with Process(make, 64) as other:
    ...     times = interleaved({"here": work, "there": other.work("there")}, repeats=5)
    """

    def __init__(
        self,
        make: Callable[..., Mapping[str, Callable]],
        *args: Any,
        env: Mapping[str, str] | None = None,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, args), daemon=True)
        before = dict(os.environ)
        os.environ.update(env or {})
        try:
            self._process.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        theirs.close()
        self.names: list[str] = self._answer()

    def work(self, name: str) -> Callable[[], Any]:
        """A work as a function of this process: it returns what the work does."""

        def call():
            self._pipe.send(name)
            return self._answer()

        return call

    def _answer(self) -> Any:
        try:
            kind, answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(f"a process ended with {self._process.exitcode}") from None
        if kind == NotMeasured.__name__:
            raise NotMeasured(answer)
        if kind == _FAILED:
            raise RuntimeError(answer)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()  # which ends it
        self._process.join(10)
        self._process.kill()


def _serve(pipe, make, args) -> None:
    try:
        works = make(*args)
        pipe.send(("", list(works)))
        while True:
            pipe.send(("", works[pipe.recv()]()))
    except EOFError:
        return
    except NotMeasured as reason:
        pipe.send((NotMeasured.__name__, str(reason)))
    except Exception:
        pipe.send((_FAILED, traceback.format_exc()))


def peak_bytes() -> int:
    """The largest resident size of this process so far."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage's is that of the process which has started this one, or more
        told = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.MULTILINE)
        if told:
            return 1024 * int(told[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
