"""Where a backbone's weights come from, pinned so that nothing else can take their place."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from keras_cr.presets.errors import PresetError, shown
from keras_cr.presets.fingerprints import is_fingerprint, is_sha256

CONVERTERS = ("keras_cr", "keras", "keras_hub")  # packages whose files are read
_NAME = re.compile(r"\w[\w.-]*", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_VERSION = re.compile(r"[\w.+!-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class BackboneSource:
    """The files that a backbone was read from, what read them, and what came of it.

    Attributes:
        handle: `hf://org/name`, `hf://org/name/FILE.keras`, a preset's name, or a path.
        commit: the full commit on the Hub; None elsewhere.
        files: sha256 and size in bytes of every file that was read, by name.
        converter: the package that made a model of them: "keras_cr" (a preset), "keras" (a
            `.keras` file) or "keras_hub" (a folder in KerasHub's, transformers' or timm's format).
        converter_version: its version.
        weights: sha256 of the weights that came of it, see `keras_cr.presets.digest`.
        licence: of the backbone's weights; None where nobody has said.
        resized: what position embeddings resized to the images are told by, see
            `keras_cr.presets.backbone_weights.sketch`.

    Raises:
        PresetError: an attribute is none of these.
    """

    handle: str
    commit: str | None
    files: Mapping[str, Mapping[str, Any]]
    converter: str
    converter_version: str
    weights: str
    licence: str | None = None
    resized: Sequence[float] = ()

    def __post_init__(self):
        if fault := _fault(self):
            raise PresetError(f"backbone_source: {fault}.")

    @classmethod
    def of(cls, value: "BackboneSource | Mapping[str, Any] | None") -> "BackboneSource | None":
        """A source out of what `as_dict` returned; None and sources stay what they are.

        Raises:
            PresetError: it is something else.
        """
        if value is None or isinstance(value, cls):
            return value
        names = cls.__dataclass_fields__.keys()
        if not isinstance(value, Mapping) or value.keys() != names:
            raise PresetError(
                f"backbone_source must be a BackboneSource, as load_backbone returns, or a dict "
                f"with {', '.join(names)}; received {shown(value)}."
            )
        return cls(**value)

    def as_dict(self) -> dict[str, Any]:
        """Its attributes, in the types of JSON."""
        files = {name: dict(pin) for name, pin in self.files.items()}
        return asdict(self) | {"files": files, "resized": list(self.resized)}

    @property
    def pinned_handle(self) -> str:
        """The handle with its commit, for people."""
        if self.commit is None:
            return self.handle
        organisation, name, *file = self.handle.removeprefix("hf://").split("/")
        return "/".join([f"hf://{organisation}", f"{name}@{self.commit}", *file])

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(pin["size"] for pin in self.files.values())


def _fault(source: BackboneSource) -> str | None:
    """The first attribute that is wrong, and how; None if all are right."""
    rules = {
        "handle": ("a handle, a name or a path", _is_text),
        "commit": ("a full commit of 40 hexadecimal digits or null", _or_null(_COMMIT)),
        "files": ("sha256 and size by file name", _are_pins),
        "converter": (f"one of {CONVERTERS}", CONVERTERS.__contains__),
        "converter_version": (
            "a version such as '0.1.0'",
            lambda value: isinstance(value, str) and _VERSION.fullmatch(value) is not None,
        ),
        "weights": ("a sha256", is_sha256),
        "licence": ("text or null", lambda value: value is None or _is_text(value)),
        "resized": (
            "a list of numbers",
            lambda value: (
                isinstance(value, list | tuple) and all(type(each) is float for each in value)
            ),
        ),
    }
    for name, (expected, holds) in rules.items():
        if not holds(value := getattr(source, name)):
            return f"{name} must be {expected}; received {shown(value)}"
    if source.handle.startswith("hf://") != (source.commit is not None):
        return f"a commit is pinned for hf:// and nothing else; received {shown(source.handle)}"
    return None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _or_null(pattern: re.Pattern):
    return lambda value: (
        value is None or (isinstance(value, str) and pattern.fullmatch(value) is not None)
    )


def _are_pins(value: object) -> bool:
    """Whether these are files of one folder: no name may lead out of it."""
    return (
        isinstance(value, Mapping)
        and 0 < len(value) <= 1000
        and all(isinstance(name, str) and _NAME.fullmatch(name) for name in value)
        and all(map(is_fingerprint, value.values()))
    )
