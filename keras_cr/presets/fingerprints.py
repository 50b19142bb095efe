"""What tells one file from another: its sha256 and its size."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SHA256 = re.compile(r"[0-9a-f]{64}")


def fingerprint(path: Path) -> dict[str, Any]:
    """The sha256 and the size in bytes of a file."""
    with path.open("rb") as file:
        return {
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
            "size": os.fstat(file.fileno()).st_size,
        }


def is_fingerprint(value: object) -> bool:
    """Whether `value` is what `fingerprint` returns."""
    return (
        isinstance(value, Mapping)
        and value.keys() == {"sha256", "size"}
        and type(value["size"]) is int
        and value["size"] >= 0
        and is_sha256(value["sha256"])
    )


def is_sha256(value: object) -> bool:
    """Whether `value` is a sha256 in lower-case hexadecimal digits."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None
