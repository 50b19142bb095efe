"""Official archives through TFDS's download manager: fetched once, verified, extracted, cached."""

import dataclasses
import os
from pathlib import Path

_TIMEOUT = 10.0  # seconds for a server's first answer


@dataclasses.dataclass(frozen=True)
class Archive:
    """A file to download: its name, where it is, and what it must be.

    Args:
        name: File name, ending in how it is packed, such as `"CUB_200_2011.tgz"`.
        url: Where to fetch it.
        sha256: Checksum of the file, 64 hexadecimal digits.
        size: Size of the file in bytes.
    """

    name: str
    url: str
    sha256: str
    size: int


def fetch(archive: Archive, dataset_name: str, data_dir: str | os.PathLike | None = None) -> Path:
    """Returns the folder an archive is extracted to, downloading it where it is not cached.

    Args:
        archive: What to fetch, and its checksum.
        dataset_name: TFDS's name of the dataset, whose cached downloads are used.
        data_dir: TFDS's data folder; None takes `$TFDS_DATA_DIR`, else ~/tensorflow_datasets.

    Raises:
        ImportError: tensorflow_datasets is not installed.
        ConnectionError: The archive cannot be fetched.
        ValueError: The archive's size or checksum is not the expected one, or it does not extract.
    """
    try:
        from tensorflow_datasets import download
        from tensorflow_datasets.core.download import checksums, download_manager, extractor
        from tensorflow_datasets.core.download import resource as resources
    except ImportError as error:
        raise ImportError(
            f"Downloading {archive.name} needs tensorflow-datasets ({error}): "
            'pip install "keras-cr[recipes]", or read a copy, `data_dir`.'
        ) from error
    default = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    folder = Path(data_dir or default).expanduser() / "downloads"
    info = checksums.UrlInfo(archive.size, archive.sha256.lower(), archive.name)
    manager = download.DownloadManager(
        download_dir=folder,
        extract_dir=folder / "extracted",
        dataset_name=dataset_name,
        url_infos={archive.url: info},
        force_checksums_validation=True,
    )
    cached = folder / dataset_name / resources.get_dl_fname(archive.url, info.checksum)
    try:
        if not cached.exists():
            _probe(archive.url)
        return Path(manager.download_and_extract(archive.url))
    except download_manager.NonMatchingChecksumError as error:
        raise ValueError(
            f"{archive.url}: is not the expected {archive.name} of {archive.size} bytes with "
            f"sha256 {archive.sha256}; try again, or fetch it by hand and read "
            "that folder, `data_dir`."
        ) from error
    except extractor.ExtractError as error:
        raise ValueError(
            f"{cached}: {archive.name} does not extract ({_first_line(error)}); remove it and try "
            "again, or extract it by hand and read that folder, `data_dir`."
        ) from error
    except (OSError, download.DownloadError) as error:
        raise ConnectionError(
            f"Cannot download {archive.name} from {archive.url} ({type(error).__name__}); fetch "
            "and extract it where there is a network, and read that folder, `data_dir`."
        ) from error


def _probe(url: str) -> None:
    """Asks for the first bytes, because TFDS tries a dead server for minutes before it gives up."""
    import requests

    with requests.get(url, stream=True, timeout=_TIMEOUT) as response:
        response.raise_for_status()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
