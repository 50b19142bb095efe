"""Fetching a preset's files from the Hugging Face Hub: all of them from one commit."""

import os
import re
from pathlib import Path

from keras_cr.presets.errors import (
    HubAccessError,
    HubError,
    HubOfflineError,
    HubRepoNotFoundError,
    HubRevisionNotFoundError,
    PresetError,
    brief,
)
from keras_cr.version import __version__

SCHEME = "hf://"
_HANDLE = re.compile(r"hf://(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\w[\w./-]*))?", re.ASCII)


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
        raise PresetError(f"A Hub handle is 'hf://org/name[@revision]'; received {handle!r}.")
    inside = match["revision"]
    if inside and revision and inside != revision:
        raise PresetError(
            f"revision is given twice and differs: {inside!r} in the handle, "
            f"revision={revision!r}; give one."
        )
    return match["repo"], inside or revision


def fetch(
    repo: str,
    revision: str | None,
    files: tuple[str, ...],
    *,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike | None = None,
    local_files_only: bool = False,
) -> Path:
    """Downloads files of one commit into the Hub's cache, or finds them there.

    Args:
        repo: "org/name".
        revision: a branch, tag or commit; None is the default branch.
        files: names of the files.
        token: a token, True for the one stored by `hf auth login`, False for none.
        cache_dir: the cache; None is huggingface_hub's own.
        local_files_only: never use the network.

    Returns:
        The folder that holds the files.

    Raises:
        HubRepoNotFoundError, HubAccessError, HubRevisionNotFoundError, HubOfflineError: as named.
        HubError: for anything else that goes wrong on the way.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                repo,
                revision=revision,
                allow_patterns=list(files),
                token=token,
                cache_dir=None if cache_dir is None else Path(cache_dir).expanduser(),
                local_files_only=local_files_only,
                library_name="keras_cr",
                library_version=__version__,
            )
        )
    except Exception as error:  # the transport's own errors come through as they are
        raise _explained(error, repo, revision, local_files_only) from error


def _explained(error: Exception, repo: str, revision: str | None, local_only: bool) -> HubError:
    """The same failure as one of our errors, with the way out."""
    from huggingface_hub import errors, is_offline_mode

    handle = f"{SCHEME}{repo}" + (f"@{revision}" if revision else "")
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        return HubAccessError(
            f"{handle} is gated: ask for access on its page, then pass token= or run hf auth login."
        )
    if status in (401, 403) and not isinstance(error, errors.RepositoryNotFoundError):
        return HubAccessError(
            f"{handle}: the Hub refused the token (HTTP {status}); pass a valid one as token=, or "
            "run hf auth login."
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
    return HubError(f"{handle} could not be downloaded ({brief(error)}); try again.")
