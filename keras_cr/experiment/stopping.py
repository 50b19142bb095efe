"""Ctrl-C and SIGTERM: at once, or where a training can be gone on with."""

import contextlib
import signal
import threading
from collections.abc import Iterator

from keras_cr._progress import announce


class Terminated(KeyboardInterrupt):
    """A run was asked to end by SIGTERM."""

    exit_status = 143


_RAISED = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}


class Signals:
    """What a training asks between two steps: whether it is to end.

    Attributes:
        met: the signal that came, or None.
    """

    def __init__(self) -> None:
        self.met: int | None = None

    def check(self) -> None:
        """Ends what runs, as the signal would have done, if one came.

        Raises:
            KeyboardInterrupt: of Ctrl-C; `Terminated` of SIGTERM.
        """
        if self.met is not None:
            raise _RAISED[self.met]


@contextlib.contextmanager
def signals(at_once: bool) -> Iterator[Signals]:
    """Takes Ctrl-C and SIGTERM while the body runs; in the main thread alone.

    Args:
        at_once: raise where the body is; else the first signal is noted, and the second raises.
    """
    noted = Signals()

    def take(number, frame):
        if not at_once and noted.met is None:
            noted.met = number
            announce("Stopping after this step; once more stops at once.")
            return
        raise _RAISED[number]

    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {number: signal.signal(number, take) for number in _RAISED}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
