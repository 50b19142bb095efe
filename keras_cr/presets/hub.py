"""Fetching a preset's files from the Hugging Face Hub: all of them from one commit."""

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from keras_cr.presets.errors import (
    HubAccessError,
    HubBusyError,
    HubError,
    HubOfflineError,
    HubRepoNotFoundError,
    HubRevisionNotFoundError,
    PresetError,
    PublishConflictError,
    brief,
    shown,
)
from keras_cr.presets.fingerprints import fingerprint
from keras_cr.version import __version__

SCHEME = "hf://"
_PAUSES = (
    0.5,
    2.0,
)  # seconds before a busy Hub is asked again; the client does so for some requests
_HANDLE = re.compile(r"hf://(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\w[\w./-]*))?", re.ASCII)
_FILE = re.compile(r"(hf://[^/@]+/[^/@]+(?:@[^/]+)?)/([^/]+\.keras)")
_PREFIX = re.compile(
    r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/|hf:/{0,2}|huggingface:/*"
)


def parse_handle(handle: str, revision: str | None = None) -> tuple[str, str | None]:
    """Takes `hf://org/name[@revision]` apart.

    Args:
        handle: the handle.
        revision: a branch, tag or commit given beside it.

    Returns:
        The repository "org/name", and the revision or None.

    Raises:
        PresetError: if the handle has another form, or names another revision.
    """
    match = _HANDLE.fullmatch(handle)
    if match is None:
        raise PresetError(f"A Hub handle is 'hf://org/name[@revision]'; received {shown(handle)}.")
    inside = match["revision"]
    if inside and revision and inside != revision:
        raise PresetError(
            f"revision is given twice and differs: {inside!r} in the handle, "
            f"revision={revision!r}; give one."
        )
    return match["repo"], inside or revision


def split_file(handle: str) -> tuple[str, str | None]:
    """Takes `hf://org/name[@revision]/FILE.keras` apart: the repository's handle, and the file.

    The file is None where the handle names none.
    """
    match = _FILE.fullmatch(handle)
    return (match[1], match[2]) if match else (handle, None)


def handle_of(text: str) -> str | None:
    """The handle that `text` may stand for: a repository without `hf://`, or its page's address.

    Args:
        text: such as "org/name", "org/name@v1", "hf:org/name", "https://huggingface.co/org/name".

    Returns:
        The handle, or None if `text` is nothing like that.
    """
    bare = _PREFIX.sub("", text, count=1)
    return SCHEME + bare if _HANDLE.fullmatch(SCHEME + bare) else None


def fetch(
    repo: str,
    revision: str | None,
    files: tuple[str, ...],
    *,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike | None = None,
    local_files_only: bool = False,
    force: bool = False,
) -> Path:
    """Downloads files of one commit into the Hub's cache, or finds them there.

    Args:
        repo: "org/name".
        revision: a branch, tag or commit; None is the default branch.
        files: names of the files.
        token: a token, True for the one stored by `hf auth login`, False for none.
        cache_dir: the cache; None is huggingface_hub's own.
        local_files_only: never use the network.
        force: download what is in the cache once more.

    Returns:
        The folder that holds the files; its name is the commit.

    Raises:
        HubRepoNotFoundError, HubAccessError, HubRevisionNotFoundError, HubOfflineError: as named.
        HubError: for anything else that goes wrong on the way.
    """
    from huggingface_hub import snapshot_download

    pauses = iter(_PAUSES)
    while True:
        try:
            with explained(repo, "downloaded", revision, local_files_only):
                return Path(
                    snapshot_download(
                        repo,
                        revision=revision,
                        allow_patterns=list(files),
                        token=token,
                        cache_dir=None if cache_dir is None else Path(cache_dir).expanduser(),
                        local_files_only=local_files_only,
                        force_download=force,
                        library_name="keras_cr",
                        library_version=__version__,
                    )
                )
        except HubBusyError:
            if (pause := next(pauses, None)) is None:
                raise
            time.sleep(pause)


def holds(
    repo: str, commit: str, paths: Mapping[str, Path], token: str | bool | None = None
) -> bool:
    """Whether a commit on the Hub has these very files; none of them is downloaded.

    Args:
        repo: "org/name".
        commit: a branch, tag or commit.
        paths: files on this machine, by their names in the repository.
        token: a token that may read it.

    Raises:
        HubError: the Hub can't be asked, or has no such commit.
    """
    from huggingface_hub import HfApi

    def git_blob(path: Path) -> str:
        content = path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    with explained(repo, "looked at", commit):
        found = HfApi(token=token).get_paths_info(repo, list(paths), revision=commit)
    there = {info.path: info for info in found}
    return there.keys() == paths.keys() and all(
        info.lfs.sha256 == fingerprint(paths[name])["sha256"]
        if info.lfs
        else info.blob_id == git_blob(paths[name])
        for name, info in there.items()
    )


@contextlib.contextmanager
def explained(
    repo: str, done: str, revision: str | None = None, local_only: bool = False
) -> Iterator[None]:
    """Turns whatever the Hub's client raises inside into one of our errors, with the way out.

    Args:
        repo: "org/name".
        done: what could not be done, such as "downloaded".
        revision: the branch, tag or commit that was asked for.
        local_only: whether the network must not be used.
    """
    try:
        yield
    except PresetError:
        raise
    except Exception as error:  # the transport's own errors come through as they are
        raise _explained(error, repo, done, revision, local_only) from error


def _explained(
    error: Exception, repo: str, done: str, revision: str | None, local_only: bool
) -> HubError:
    """The same failure as one of our errors."""
    from huggingface_hub import errors, is_offline_mode

    handle = f"{SCHEME}{repo}" + (f"@{revision}" if revision else "")
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if isinstance(error, errors.LocalTokenNotFoundError):
        return HubAccessError(f"{handle}: there is no token; pass token=, or run hf auth login.")
    if isinstance(error, errors.GatedRepoError):
        return HubAccessError(
            f"{handle} is gated: ask for access on its page, then pass token= or run hf auth login."
        )
    if status in (401, 403) and not isinstance(error, errors.RepositoryNotFoundError):
        return HubAccessError(
            f"{handle}: the Hub refused the token (HTTP {status}); pass a valid one as token=, or "
            "run hf auth login."
        )
    if status in (409, 412):
        return PublishConflictError(
            f"{handle}: somebody else published there meanwhile (HTTP {status}); look at it, then "
            "publish again."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return HubRepoNotFoundError(
            f"{handle}: the Hub has no model repository {repo!r}, or it is private; check the "
            "name, or pass a token= that can read it."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return HubRevisionNotFoundError(
            f"{handle}: the repository has no branch, tag or commit {revision!r}; check its page."
        )
    if isinstance(error, errors.LocalEntryNotFoundError):
        if local_only or is_offline_mode():
            setting = "local_files_only=True" if local_only else "HF_HUB_OFFLINE"
            reason = f"{setting} forbids to download it; load it once with network"
        else:
            reason = f"the Hub cannot be reached ({brief(cause)}); try again with network"
        return HubOfflineError(f"{handle} is not in the cache, and {reason}.")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return HubOfflineError(f"{handle} could not be {done}: HF_HUB_OFFLINE is set; unset it.")
    if type(error).__module__.startswith("httpx") and status is None:
        return HubOfflineError(
            f"{handle} could not be {done}: the Hub cannot be reached ({brief(error)}); try again "
            "with network."
        )
    if status is not None and status >= 500:
        return HubBusyError(
            f"{handle} could not be {done}: the Hub is out of order (HTTP {status}); try again "
            "later."
        )
    return HubError(f"{handle} could not be {done} ({brief(error)}); try again.")
