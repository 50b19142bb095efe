"""Imports of what only some of the package needs."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def scikit_learn(purpose: str) -> Iterator[None]:
    """Around imports from scikit-learn and what comes with it: says which extra brings them.

    Raises:
        ImportError: if it is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f'{purpose} needs scikit-learn: pip install "keras-cr[recipes]"'
        ) from error
