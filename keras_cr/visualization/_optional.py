"""Import of what only drawing needs."""

import importlib
from types import ModuleType


def optional(module: str, package: str) -> ModuleType:
    """Imports `module`, or says which extra brings `package`.

    Raises:
        ImportError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f'Pictures need {package}: pip install "keras-cr[recipes]"') from error
