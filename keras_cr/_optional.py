"""Imports of what only some of the package needs."""

import contextlib
from collections.abc import Iterator
from types import ModuleType


@contextlib.contextmanager
def installed(purpose: str, package: str, extra: str) -> Iterator[None]:
    """Around the import of a package that not everybody has: says which extra brings it.

    Raises:
        ImportError: if it is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(f'{purpose} needs {package}: pip install "keras-cr[{extra}]"') from error


def scikit_learn(purpose: str) -> contextlib.AbstractContextManager[None]:
    """`installed` for scikit-learn and what comes with it."""
    return installed(purpose, "scikit-learn", "recipes")


def keras_hub(purpose: str) -> ModuleType:
    """KerasHub.

    Raises:
        ImportError: if it is not installed; `purpose` is the subject of the message.
    """
    with installed(purpose, "KerasHub", "keras-hub"):
        import keras_hub
    return keras_hub


def pyarrow_parquet() -> tuple[ModuleType, ModuleType]:
    """pyarrow, and its module for Parquet files.

    Raises:
        ImportError: it is not installed.
    """
    with installed("A Parquet file", "pyarrow", "parquet"):
        import pyarrow
        from pyarrow import parquet
    return pyarrow, parquet
