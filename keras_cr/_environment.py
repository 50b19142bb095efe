"""How Keras and TensorFlow are to start, where a command or a recipe is what starts them.

Imported before them, this module picks Keras' TensorFlow backend, keeps TensorFlow's log to fatal
errors (what goes wrong is raised in Python as well) and turns its oneDNN kernels on: they are off
by default on some processors, where they triple training speed. What a user has set stays as it is.
With TF_CPP_MIN_LOG_LEVEL=0 everything is told.
"""

import contextlib
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator

from keras_cr._imports import around_import

_QUIET = ("2", "3")
_CHATTER = re.compile(rb"[IWE]\d{4} \d\d:\d\d:|WARNING: All log messages before absl::")

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """TensorFlow's import without its chatter; its loggers in Python keep to errors afterwards."""
    with without_chatter():
        yield
    for name in ("tensorflow", "absl"):  # they are theirs from the import on
        logging.getLogger(name).setLevel(logging.ERROR)


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Leaves out of stderr what TensorFlow's libraries log while they are loaded.

    They obey TF_CPP_MIN_LOG_LEVEL only from the end of their loading on, and write to the file
    descriptor. Every other line, fatal errors among them, is written when the loading is over.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # a process without one
        yield
        return
    with tempfile.TemporaryFile() as said:
        _flush()
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            _flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            said.seek(0)
            for line in said:
                if not _CHATTER.match(line):
                    os.write(2, line)


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()


if os.environ["TF_CPP_MIN_LOG_LEVEL"] in _QUIET and "tensorflow" not in sys.modules:
    around_import("tensorflow", quiet_start)
