"""How far long work is: one line on stderr, from everything that can take more than a moment.

Nothing here writes to stdout, which belongs to results and to the programs that read them.
"""

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TextIO

Verbose = Literal["auto", 0, 1, 2] | bool

_TICK = 1.0  # seconds from one look at the line to the next while nothing is reported
_REDRAW = 0.1  # seconds between two drawings on a terminal
_SHORT = 2.0  # seconds; work that takes no longer leaves no trace in a log
_APART = 30.0  # seconds between two lines in a log
_BAR = 20  # characters
_open: "list[Progress]" = []  # one line can be drawn at a time: the outermost work's


class Progress:
    """What is being done, how much of it lies behind, and how long the rest will take.

    A terminal or a notebook shows one line, drawn again in place, every second even while nothing
    is reported. A log gets few lines: the first after two seconds, then two a minute, and one at
    the end; work that was done sooner leaves none. Work inside other work that shows its progress
    stays silent. To be used as a context manager: whatever happens inside, the line ends.

    The time left is reckoned from the first report on: what comes before it, such as the
    compilation of a step, happens once.

    Args:
        title: what is being done.
        total: number of steps; None where it isn't known, or where there are none to count.
        unit: what a step is, in the plural.
        done: steps that lie behind already, of work that was resumed.
        verbose: as in Keras, 0 shows nothing, 1 and `"auto"` show the line, 2 writes lines as into
            a log, to a terminal too.
        leave: whether a terminal keeps the finished line.
        clock: seconds, from any moment on.

    Raises:
        ValueError: `verbose` is something else.

    Example:

    >>> with Progress("Embedding", total=len(paths), unit="images") as progress:
    ...     for path in paths:
    ...         read_images([path], image_size=224)
    ...         progress.advance()
    """

    def __init__(
        self,
        title: str,
        total: int | None = None,
        unit: str = "steps",
        done: int = 0,
        verbose: Verbose = "auto",
        leave: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.title, self.total, self.unit, self.done = title, total, unit, done
        self.note = ""
        self._verbose, self._leave, self._clock = check_verbose(verbose), leave, clock
        self._first: tuple[float, int] | None = None  # when the first report came, and its steps
        self._file: TextIO | None = None  # None: nothing is shown
        self._drawn, self._said, self._width = None, done, 0
        self._lock, self._over = threading.Lock(), threading.Event()

    def __enter__(self) -> "Progress":
        self._start = self._clock()
        if self._verbose and not _open and sys.stderr is not None:
            self._file = sys.stderr
            self._live = self._verbose != 2 and redraws(self._file)
            _open.append(self)
            threading.Thread(target=self._tick, daemon=True).start()
            self._draw()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if self in _open:
            _open.remove(self)
        self._over.set()
        with self._lock:
            if self._file is not None:
                self._end(whole=kind is None)
            self._file = None

    def during(self, items: Iterable) -> Iterator:
        """Hands `items` on; the line is there until the last one has been dealt with."""
        with self:
            yield from items

    def advance(self, steps: int = 1, note: str | None = None) -> None:
        """Reports `steps` more, and what is to be told beside them."""
        self.to(self.done + steps, note=note)

    def to(self, done: int, total: int | None = None, note: str | None = None) -> None:
        """Reports that `done` steps lie behind."""
        self.done = done
        self.total = self.total if total is None else total
        if self._first is None:
            self._first = self._clock(), done
        self.tell(self.note if note is None else note)

    def tell(self, note: str, title: str | None = None) -> None:
        """Changes what is told beside the numbers, and the title."""
        self.note, self.title = note, title or self.title
        self._draw()

    def write_above(self, text: str) -> bool:
        """Writes a line of text above this one; False where this one is not drawn in place."""
        with self._lock:
            if self._file is None or not self._live:
                return False
            self._write(f"{self._blank()}{text}\n")
            self._drawn, self._width = None, 0
        self._draw()
        return True

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take; None while that can't be said."""
        if self._first is None or self.total is None:
            return None
        since, behind = self._first
        if self.done <= behind:
            return 0.0 if self.done >= self.total else None
        return (self._clock() - since) / (self.done - behind) * max(self.total - self.done, 0)

    def _tick(self) -> None:
        while not self._over.wait(_TICK):
            self._draw()

    def _draw(self) -> None:
        if self._file is None:
            return
        with self._lock:
            if self._file is None or not self._due(self._clock()):
                return
            self._drawn, self._said = self._clock(), self.done  # type: ignore[assignment]
            self._write(f"\r{self._fitted()}" if self._live else f"{self._line()}\n")

    def _due(self, now: float) -> bool:
        if self._drawn is None:
            return self._live or now - self._start >= _SHORT
        return now - self._drawn >= (_REDRAW if self._live else _APART)

    def _end(self, whole: bool) -> None:
        """Draws the line a last time; of work that failed it stays as it was."""
        if self._live:
            last = self._fitted() if whole else ""
            keep = self._leave or not whole
            self._write(f"\r{last}\n" if keep and last else "\n" if keep else self._blank())
        elif whole and self._counts and self._drawn is not None and self._said != self.done:
            self._write(f"{self._line()}\n")

    def _blank(self) -> str:
        return f"\r{' ' * self._width}\r"

    def _fitted(self) -> str:
        """The line as wide as the terminal allows, and at least as wide as the last one."""
        line = self._line(bar=True)[: max(shutil.get_terminal_size().columns - 1, 20)]
        before, self._width = self._width, len(line)
        return line.ljust(before)

    def _line(self, bar: bool = False) -> str:
        parts = [f"{self.title}:" if self._counts or self.note else self.title]
        if self._counts and self.total:
            share = min(self.done / self.total, 1.0)
            parts.append(f"{100 * share:3.0f}%")
            if bar:
                parts.append(f"|{'#' * int(_BAR * share):.<{_BAR}}|")
            parts.append(f"{self.done:,}/{self.total:,} {self.unit}")
        elif self._counts:
            parts.append(f"{self.done:,} {self.unit}")
        seconds, left = self._clock() - self._start, self.left
        rest = (
            ""
            if not self._counts or not self.total
            else "<" + ("?" if left is None else _told(left))
        )
        parts.append(f"[{_told(seconds)}{rest}]")
        return " ".join([*parts, self.note]).rstrip()

    @property
    def _counts(self) -> bool:
        return self.total is not None or self.done > 0

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
            self._file.flush()
        except (OSError, ValueError):  # the terminal is gone; the work is not
            self._file = None


def tracked(
    batches: Iterable,
    title: str,
    total: int | None = None,
    unit: str = "images",
    verbose: Verbose = "auto",
    leave: bool = True,
    single: bool = False,
) -> Iterator:
    """Hands batches on and shows how many images have been dealt with.

    Args:
        batches: arrays of images, or tuples whose first element is one.
        title, total, unit, verbose, leave: as for `Progress`.
        single: whether each of `batches` counts as one, whatever it holds.
    """
    with Progress(title, total, unit, verbose=verbose, leave=leave) as progress:
        for batch in batches:
            yield batch
            progress.advance(1 if single else _images(batch))


def announce(text: str, verbose: Verbose = "auto") -> None:
    """Writes a line of its own to stderr, above one that is being drawn."""
    if not check_verbose(verbose):
        return
    if _open and _open[0].write_above(text):
        return
    if sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)


def check_verbose(verbose: Verbose) -> int:
    """0, 1 or 2.

    Raises:
        ValueError: `verbose` is none of them, nor `"auto"` or a boolean.
    """
    if verbose == "auto":
        return 1
    if not isinstance(verbose, int) or verbose not in (0, 1, 2):
        raise ValueError(f"`verbose` must be 'auto', 0, 1 or 2. Received: verbose={verbose!r}")
    return int(verbose)


def reading(images: Iterable, batches: Iterable, title: str, verbose: Verbose = "auto") -> Iterator:
    """`tracked` for what a caller gave as images: an array's rows are counted, else batches.

    Args:
        images: what was given, which may know its length.
        batches: the same images, batch by batch.
        title, verbose: as for `Progress`.
    """
    try:
        total: int | None = len(images)  # type: ignore[arg-type]
    except TypeError:  # a generator, or a tf.data.Dataset that doesn't know
        total = None
    if hasattr(images, "shape"):
        return tracked(batches, title, total, "images", verbose)
    return tracked(batches, title, total, "batches", verbose, single=True)


def _images(batch) -> int:
    first = batch[0] if isinstance(batch, tuple | list) and batch else batch
    shape = getattr(first, "shape", None)
    return int(shape[0]) if shape else 1


def redraws(file: TextIO | None) -> bool:
    """Whether a line can be drawn again in place: on a terminal, or below a notebook's cell."""
    if type(file).__module__.startswith("ipykernel"):
        return True
    try:
        return file.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):  # None, no file at all, or a closed one
        return False


def _told(seconds: float) -> str:
    """`0:07`, `12:05`, `3:00:00`."""
    minutes, seconds = divmod(max(round(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
