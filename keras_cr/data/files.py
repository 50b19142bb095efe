"""Image files as the disk has them: which names are read, and what can be opened without harm.

A name ending in .jpg may be a pipe, a device that never ends, or a link to nothing. All that opens
an image file asks here first.
"""

import numbers
import os
import re
import stat
from collections.abc import Sequence

from keras_cr._text import printable

# What TensorFlow decodes, under the names that JPEG (.jpe, .jif, .pjp) and BMP (.dib) have besides.
_READ = ".jpg .jpeg .jpe .jif .jfif .pjp .pjpeg .png .bmp .dib .gif .webp .jxl"
IMAGE_SUFFIXES = tuple(_READ.split())
_UNREAD = """
    .tif .tiff .heic .heif .hif .avif .svg .svgz .eps .ps .psd .psb .xcf .ico .icns .cur .jp2 .j2k
    .jpf .jpx .jxr .wdp .tga .dds .exr .hdr .pbm .pgm .ppm .pnm .pam .pfm .pcx .qoi .mng .wmf .emf
    .dcm .fits .raw .dng .cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .orf .rw2 .raf .pef .srw .x3f
    .3fr .iiq .erf .kdc .dcr .mrw .mos .mef .rwl .gpr .apng .j2c .bpg .avifs .heics .heifs .xbm
"""  # images all the same, which are not read: named where they are passed over
UNREAD_SUFFIXES = tuple(_UNREAD.split())
# `x.jpg~`, `x.jpg_large`, `x.jpg?w=300`, `x.jpg.1`: what editors and downloads make of a name.
_ALTERED = re.compile(
    rf"(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})(?:[^a-z0-9.][^.]*|\.\d+)$", re.DOTALL
)
# The sensors of phones and of medium format cameras reach 108 million. As RGB these are 0.36 GB.
MAX_PIXELS = 120_000_000
MISSING, BROKEN_LINK = "missing", "a broken link"
_MOST_BYTES_A_PIXEL = 8  # four channels of 16 bits, not compressed
_MOST_METADATA = 2**26  # bytes
_KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a named pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}
_FOREIGN = {  # what other formats begin with, or have behind their fourth byte
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"ftypavif": "AVIF",
    b"ftypavis": "AVIF",
    b"ftyphei": "HEIC",
    b"ftyphev": "HEIC",
    b"ftypmif1": "HEIC",
    b"8BPS": "PSD",
    b"<svg": "SVG",
    b"%PDF": "PDF",
}
_BMP_BITS = (8, 24, 32)  # a pixel, that TensorFlow decodes
_BMP_PACKED = (1, 2)  # run lengths


def is_altered(name: str) -> bool:
    """Whether a file's name has the suffix of an image, and goes on after it."""
    return _ALTERED.search(name.lower()) is not None


class UnreadableImageError(ValueError):
    """Image files that are missing, do not decode, are too small or too large, each named."""

    fault = None  # of the one file that it is about, if it is about one

    @classmethod
    def of(cls, path: str | os.PathLike, fault: str) -> "UnreadableImageError":
        """The error about a single file; where there is none, a FileNotFoundError as well."""
        kind = MissingImageError if fault in (MISSING, BROKEN_LINK) else cls
        error = kind(f"{printable(path)}: {fault}; repair or remove it.")
        error.fault = fault  # type: ignore[assignment]
        return error


class MissingImageError(UnreadableImageError, FileNotFoundError):
    """There is no image file at a path."""


def check_max_pixels(max_pixels: int) -> None:
    """Raises ValueError if `max_pixels` is no positive whole number."""
    whole = isinstance(max_pixels, numbers.Integral) and not isinstance(max_pixels, bool)
    if not whole or max_pixels < 1:
        raise ValueError(f"max_pixels: must be a positive whole number; received {max_pixels!r}.")


def file_fault(path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> str | None:
    """Why a file can't be an image that is read, without opening it; None where it may be one.

    Args:
        path: The file.
        max_pixels: The most pixels an image may have, which says how many bytes are too many.
    """
    if _is_remote(path):
        return None
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return BROKEN_LINK if os.path.islink(path) else MISSING
    except PermissionError:
        return "no permission to read it"
    except (OSError, ValueError) as error:  # a link to itself, a name that is too long, a null byte
        return f"can't be read ({getattr(error, 'strerror', None) or error})"
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_kind, name in _KINDS.items() if is_kind(found.st_mode)), "special")
        return f"{kind}, no regular file"
    if not found.st_size:
        return "empty file"
    if found.st_size > (most := _MOST_BYTES_A_PIXEL * max_pixels + _MOST_METADATA):
        return f"{found.st_size:,} bytes, more than {most:,}, which max_pixels leaves it"
    return None


def read_file(path: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> bytes:
    """The bytes of an image file.

    Raises:
        UnreadableImageError: There is a `file_fault`, or it can't be opened.
    """
    if fault := file_fault(path, max_pixels):
        raise UnreadableImageError.of(path, fault)
    try:
        if _is_remote(path):
            return _read_remote(path)
        with open(path, "rb") as file:
            return file.read()
    except PermissionError as error:
        raise UnreadableImageError.of(path, "no permission to read it") from error
    except OSError as error:
        raise UnreadableImageError.of(path, f"can't be read ({error.strerror})") from error


def check_files(paths: Sequence[str], max_pixels: int = MAX_PIXELS) -> None:
    """Checks that files can be opened without harm, by those who hand them to TensorFlow.

    Raises:
        UnreadableImageError: One has a `file_fault`; a MissingImageError where there is no file.
    """
    for path in paths:
        if fault := file_fault(path, max_pixels):
            raise UnreadableImageError.of(path, fault)


def foreign_format(data: bytes) -> str | None:
    """The name of a format that is known and not read, by a file's first bytes; else None."""
    if data.startswith(b"BM") and len(data) > 54:
        bits, packed = int.from_bytes(data[28:30], "little"), int.from_bytes(data[30:34], "little")
        if packed in _BMP_PACKED or bits not in _BMP_BITS:
            return "compressed BMP" if packed in _BMP_PACKED else f"{bits}-bit BMP"
    begins = (data[:16], data[4:16])
    return next((name for sign, name in _FOREIGN.items() if _starts(begins, sign)), None)


def _starts(texts: Sequence[bytes], sign: bytes) -> bool:
    return any(text.startswith(sign) for text in texts)


def _is_remote(path: str | bytes | os.PathLike) -> bool:
    """Whether it is for one of TensorFlow's own file systems, such as gs:// or ram://."""
    return "://" in os.fsdecode(path)


def _read_remote(path: str | bytes | os.PathLike) -> bytes:
    import tensorflow as tf

    try:
        return tf.io.read_file(os.fsencode(path)).numpy()
    except tf.errors.OpError as error:
        raise OSError(None, error.message.strip().splitlines()[-1]) from error
