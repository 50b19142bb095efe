"""Publishing a preset: one commit, downloaded again and compared before it gets its tag."""

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_cr.presets import hub, registry
from keras_cr.presets.backbone_source import BackboneSource
from keras_cr.presets.errors import (
    HubAccessError,
    PresetError,
    PublishConflictError,
    PublishVerificationError,
)
from keras_cr.presets.manifest import (
    PATTERNS,
    Located,
    fingerprint,
    names_of,
    read_manifest,
    verify_files,
)
from keras_cr.presets.model_card import model_card
from keras_cr.presets.pinned_files import check_public
from keras_cr.presets.store import valid_name

if TYPE_CHECKING:
    import keras
    from huggingface_hub import HfApi

README = "README.md"
TOLERANCE = 1e-5  # between the embeddings of the model and of its downloaded copy
_TAG = re.compile(r"\w[\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Published:
    """Where a preset was published.

    Attributes:
        repo: "org/name".
        commit: the full commit that holds the files.
        tag: its tag, or None.
        files: sha256 and size of every file of the preset.
        changed: False where the repository held the very same files already.
    """

    repo: str
    commit: str
    tag: str | None
    files: Mapping[str, Mapping[str, Any]]
    changed: bool

    @property
    def handle(self) -> str:
        """What `from_preset` takes to load exactly this."""
        return f"{hub.SCHEME}{self.repo}@{self.tag or self.commit}"


def check_writable(handle: str, token: str | bool | None = None) -> str:
    """Asks the Hub whether this user may publish under a handle, before any work is done.

    Args:
        handle: `hf://org/name`.
        token: a token that may write, True or None for the stored one.

    Returns:
        The repository "org/name".

    Raises:
        PresetError: the handle has another form, or names a revision.
        HubAccessError: there is no token, it is refused, it may only read, or the namespace is
            somebody else's.
        HubOfflineError: the Hub is out of reach.
    """
    from huggingface_hub import HfApi

    repo, revision = hub.parse_handle(handle)
    if revision is not None:
        raise PresetError(
            f"handle: a preset is published as a new commit; received {handle!r}. Leave "
            f"'@{revision}' out, and pass tag={revision!r} to name the commit."
        )
    with hub.explained(repo, "published"):
        user = HfApi(token=token).whoami()
    role = ((user.get("auth") or {}).get("accessToken") or {}).get("role")
    if role == "read":
        raise HubAccessError(
            f"{hub.SCHEME}{repo}: the token of {user['name']!r} may only read; make one that may "
            "write on the Hub's settings page."
        )
    mine = [user["name"], *(org["name"] for org in user.get("orgs") or ())]
    if repo.split("/")[0] not in mine:
        raise HubAccessError(
            f"{hub.SCHEME}{repo}: this token writes for {', '.join(mine)} alone; publish under "
            "one of these names, or ask to join the organisation."
        )
    return repo


def publish(
    encoder_or_folder: "keras.Model | str | os.PathLike",
    handle: str,
    *,
    card: "registry.Card | str | None" = None,
    private: bool = False,
    tag: str | None = None,
    token: str | bool | None = None,
    message: str | None = None,
    backbone: str = "inside",
) -> Published:
    """Publishes a preset on the Hugging Face Hub, and makes sure that it arrived.

    All files go up in one commit on top of the state that was seen, so that of two who publish at
    once one wins and the other is told. Then the commit is downloaded into an empty cache, checked
    file by file and loaded, and its output is compared with the model's on fixed random images.
    The tag, which a card can rely on, is set only after that.

    Args:
        encoder_or_folder: a keras_cr model, or a preset as `load_preset` takes it: a folder, a
            name, another handle.
        handle: `hf://org/name`; the repository is made if there is none.
        card: the preset's card or its name: what people are told on the page beside the
            manifest. None takes the card that has the preset's name, if there is one.
        private: whether a new repository is private.
        tag: a name for the commit, such as "v1".
        token: a token that may write; None or True is the stored one.
        message: of the commit.
        backbone: of a model: as for `save_preset`.

    Returns:
        The repository, the commit and its tag. Files that are there already make no new commit.

    Raises:
        HubAccessError: no token, one that may not write, or another's repository.
        PublishConflictError: somebody published there meanwhile, or the tag names another commit.
        PublishVerificationError: what came back differs; the commit is there, without the tag.
        HubError: anything else that goes wrong on the way.
        BackboneError: the preset refers to a backbone that others can't load.
        PresetError: an argument is wrong; `CorruptPresetError` if the folder is damaged.

    Example:

    >>> publish(encoder, "hf://my-name/birds", tag="v1").handle
    'hf://my-name/birds@v1'
    """
    if tag is not None and not _TAG.fullmatch(tag):
        raise PresetError(f"tag must be letters, digits, '_', '.' and '-'; received {tag!r}.")
    entry = registry.card(card) if isinstance(card, str) else card
    with tempfile.TemporaryDirectory(prefix="keras-cr-publish-") as scratch:
        folder, model = _ready(encoder_or_folder, handle, Path(scratch), token, backbone)
        repo = check_writable(handle, token)
        manifest = read_manifest(Located(folder, f"Preset {str(folder)!r}"))
        if (source := BackboneSource.of(manifest.get("backbone"))) is not None:
            check_public(source, handle, token)
        name = manifest.get("name")
        if entry is None and valid_name(name) and name in registry.cards():
            entry = registry.card(name)
        readme = Path(scratch) / README
        readme.write_text(model_card(manifest, entry, repo, tag), "utf-8")
        paths = {file: folder / file for file in names_of(manifest)} | {README: readme}
        with hub.explained(repo, "published"):
            commit, changed = _commit(repo, paths, private, tag, token, message)
        files = {file: fingerprint(folder / file) for file in names_of(manifest)}
        _verify(repo, commit, files, model, Path(scratch) / "cache", token)
        if tag is not None:
            with hub.explained(repo, "published"):
                _tag(repo, commit, tag, token)
    return Published(repo, commit, tag, files, changed)


def _ready(
    source: Any, handle: str, scratch: Path, token: str | bool | None, backbone: str
) -> "tuple[Path, keras.Model]":
    """The preset's verified folder, and the model that it holds."""
    import keras

    from keras_cr.presets.load import load_preset
    from keras_cr.presets.locate import locate
    from keras_cr.presets.save import save_preset

    if isinstance(source, keras.Model):
        name = hub.parse_handle(handle)[0].split("/")[1].lower()
        folder = scratch / "preset"
        named = name if valid_name(name) else None
        return save_preset(source, folder, name=named, backbone=backbone), source
    folder = locate(source, None, PATTERNS, {"token": token}).folder
    return folder, load_preset(folder, token=token)


def _commit(
    repo: str,
    paths: Mapping[str, Path],
    private: bool,
    tag: str | None,
    token: str | bool | None,
    message: str | None,
) -> tuple[str, bool]:
    """The commit that holds the files, and whether it had to be made."""
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(token=token)
    api.create_repo(repo, private=private, exist_ok=True)
    head = api.model_info(repo).sha
    same = hub.holds(repo, head, paths, token)  # type: ignore[arg-type]
    tagged = _tags(api, repo).get(tag)  # type: ignore[arg-type]
    if tagged and not (same and tagged == head):
        raise PublishConflictError(
            f"{hub.SCHEME}{repo}: the tag {tag!r} names commit {tagged[:12]} already; choose a new "
            "tag: others may rely on this one."
        )
    if same:
        return head, False  # type: ignore[return-value]
    operations = [CommitOperationAdd(file, path) for file, path in paths.items()]
    message = message or f"Publish {repo.split('/')[1]}" + (f" {tag}" if tag else "")
    made = api.create_commit(repo, operations, commit_message=message, parent_commit=head)
    return made.oid, True


def _tags(api: "HfApi", repo: str) -> dict[str, str]:
    return {ref.name: ref.target_commit for ref in api.list_repo_refs(repo).tags}


def _tag(repo: str, commit: str, tag: str, token: str | bool | None) -> None:
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    if _tags(api, repo).get(tag) != commit:
        api.create_tag(repo, tag=tag, revision=commit)


def _verify(
    repo: str,
    commit: str,
    files: Mapping[str, Any],
    model: "keras.Model",
    cache: Path,
    token: str | bool | None,
) -> None:
    """Downloads what was published and compares it with what was meant."""
    from keras_cr.presets.load import load_preset

    handle = f"{hub.SCHEME}{repo}@{commit}"
    try:
        folder = hub.fetch(repo, commit, PATTERNS, token=token, cache_dir=cache)
        verify_files(Located(folder, f"Preset {handle!r}", "publish it again"), files, tuple(files))
        difference = _difference(model, load_preset(folder, token=token))
    except PresetError as error:
        raise PublishVerificationError(
            f"{handle} was uploaded, but could not be read back, so it has no tag: {error}"
        ) from error
    if not difference <= TOLERANCE:
        raise PublishVerificationError(
            f"{handle} was uploaded, but its output differs by {difference:.2g} from the model's, "
            "so it has no tag; publish it again."
        )


def _difference(model: "keras.Model", other: "keras.Model") -> float:
    """The largest difference of two models' outputs on fixed random images."""
    import keras
    import numpy as np

    encoder = getattr(model, "encoder", model)
    height, width = getattr(encoder, "image_size", None) or (96, 96)
    images = np.random.default_rng(0).uniform(0, 255, (2, height, width, 3)).astype("float32")
    outputs = (keras.ops.convert_to_numpy(each(images)) for each in (model, other))
    first, second = (np.asarray(output, "float64") for output in outputs)
    return float(np.abs(first - second).max())
