"""Versions of what a number depends on."""

import platform
from importlib import metadata

from keras_cr.version import __version__


def installed_versions(*packages: str) -> dict[str, str]:
    """Python's and keras_cr's versions, and those of packages that are installed, by name."""
    found = {"python": platform.python_version(), "keras_cr": __version__}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # such as tensorflow-cpu in tensorflow's place
            continue
    return found
