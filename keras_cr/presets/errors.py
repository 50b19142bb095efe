"""What can go wrong with a preset, told apart by class so that callers can react to each."""

import re
import reprlib

# How Keras begins to tell that an object could not be made of its config.
_CLASS = re.compile(r"class '([\w.]+)'>? (?:could not be deserialized|using config)")


class PresetError(ValueError):
    """Base of every error about presets; its message is one line with the way out."""


class UnknownPresetError(PresetError):
    """Nothing has that name: no card, no stored preset, no such folder."""


class UnpublishedPresetError(PresetError):
    """The card exists, its weights do not yet: they have to be trained or loaded from elsewhere."""


class CorruptPresetError(PresetError):
    """A file is missing, truncated, altered or unreadable."""


class ForeignPresetError(PresetError):
    """Not made by keras_cr, or holds a class that keras_cr does not build."""


class NewerPresetError(PresetError):
    """Written in a preset format that this version does not know yet."""


class IncompatiblePresetError(PresetError):
    """The files are intact, but this version cannot build the model or fit its weights."""


class WrongClassError(PresetError):
    """The preset holds another model class than the one asked for."""


class OccupiedFolderError(PresetError):
    """The folder to save to holds something that is not a preset."""


class CardError(PresetError):
    """A card in weights_card/ breaks the schema."""


class BackboneError(PresetError):
    """The backbone that a preset refers to is not there, or another than the one it pins."""


class CheckpointError(PresetError):
    """A file of another framework can't be read, or its tensors fit none of our networks."""


class HubError(PresetError):
    """A preset could not be fetched from the Hugging Face Hub, or published on it."""


class HubRepoNotFoundError(HubError):
    """No such repository, or a private one that the token cannot see."""


class HubAccessError(HubError):
    """The repository is gated, or the token is refused."""


class HubRevisionNotFoundError(HubError):
    """The repository has no such branch, tag or commit."""


class HubOfflineError(HubError):
    """Not in the cache, and the Hub is out of reach or must not be asked."""


class HubBusyError(HubError):
    """The Hub answers that it is out of order, again and again."""


class PublishConflictError(HubError):
    """Somebody else published there meanwhile, or the tag names another commit."""


class PublishVerificationError(HubError):
    """What was published and downloaded again is not what was meant; it has no tag."""


def brief(error: BaseException, length: int = 300) -> str:
    """An error as one line of at most `length` characters: its class and what it says."""
    return f"{type(error).__name__}: {one_line(str(error), length)}"


def cause(error: BaseException, length: int = 300) -> str:
    """As `brief`, but the innermost of the errors where Keras tells of errors inside of errors."""
    outer, _, text = str(error).rpartition("Exception encountered: ")
    line = one_line(text.split("Full object config:")[0], length)
    classes = _CLASS.findall(outer)
    where = classes[-1].split(".")[-1] if classes else type(error).__name__
    return line if type(error) is ValueError and not classes else f"{where}: {line}"


def one_line(text: str, length: int = 300) -> str:
    """Text as one line of at most `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 3] + "..."


def shown(value: object, length: int = 80) -> str:
    """What was received, for a message: one line, however large or deep it is."""
    text = _REPR.repr(value)
    return text if len(text) <= length else text[: length - 3] + "..."


class _Repr(reprlib.Repr):
    """`repr` that never looks at the whole of a value."""

    def __init__(self):
        super().__init__()
        self.maxstring = self.maxother = 80

    def repr_int(self, x, level):  # Python refuses to print integers of many digits
        return repr(x) if x.bit_length() <= 256 else f"<an integer of {x.bit_length()} bits>"


_REPR = _Repr()
