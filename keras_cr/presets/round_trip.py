"""Whether every entry of a config.json was read: what a model was built from, it must say again.

Keras takes an unknown or misspelt entry without a word in many places, and goes on with a default:
the weights fit, and the numbers are others. So the model that was built is serialised again and
compared with the config, entry by entry.
"""

from typing import Any

from keras_cr.presets.config import policy_name
from keras_cr.presets.errors import shown

# What `Sequential.from_config` passes over: its layers have their own.
_OF_SEQUENTIAL = ("trainable", "dtype")


def first_unread(
    given: Any, built: Any, *, same_keras: bool = True, same_dtype: bool = True
) -> str | None:
    """The first entry of a config that its model doesn't have.

    Args:
        given: the serialised model that was built from, as JSON has it.
        built: the model that came of it, serialised, as JSON has it.
        same_keras: whether this Keras wrote `given`. Another one may have had fewer entries, and
            null for what is a default now; but no entry that this one doesn't read.
        same_dtype: whether the model has the dtypes of `given`; False where tensors between its
            layers have others, because it was loaded under another policy.

    Returns:
        Where the two differ and how, for a message; None where all was read.
    """
    return _Comparison(same_keras, same_dtype).fault(given, built, "", False)


class _Comparison:
    def __init__(self, same_keras: bool, same_dtype: bool):
        self.same_keras, self.same_dtype = same_keras, same_dtype
        self.names: dict[str, Any] = {}  # new names of layers that don't keep theirs, to the old

    def fault(self, given: Any, built: Any, where: str, complete: bool) -> str | None:
        """What is wrong at `where`; `complete`: no entry may be missing in `given`."""
        if isinstance(given, dict) and isinstance(built, dict):
            if "class_name" in given and "class_name" in built:
                return self._object_fault(given, built, where)
            return self._dict_fault(given, built, where, complete)
        if isinstance(given, list) and isinstance(built, list) and len(given) == len(built):
            faults = (
                self.fault(old, new, f"{where}[{number}]", complete)
                for number, (old, new) in enumerate(zip(given, built, strict=True))
            )
            return next(filter(None, faults), None)
        if isinstance(built, str) and self.names.get(built) == given:
            return None
        same = type(given) is type(built) or {type(given), type(built)} == {int, float}
        if (same and given == built) or (given is None and not self.same_keras):
            return None
        if policy_name(given) is not None and policy_name(given) == policy_name(built):
            return None  # Keras writes a policy by its name or as an object
        return f"{where or 'it'} is {shown(given)}, but a model built from it has {shown(built)}"

    def _dict_fault(self, given: dict, built: dict, where: str, complete: bool) -> str | None:
        if unknown := sorted(given.keys() - built.keys()):
            told = _joined(where, unknown[0])
            return f"nothing reads {told} ({shown(given[unknown[0]])}); is its name misspelt?"
        if complete and (missing := sorted(built.keys() - given.keys())):
            told = _joined(where, missing[0])
            return f"{told} is missing (a model built without it has {shown(built[missing[0]])})"
        faults = (
            self.fault(given[key], built[key], _joined(where, key), complete) for key in given
        )
        return next(filter(None, faults), None)

    def _object_fault(self, given: dict, built: dict, where: str) -> str | None:
        """As for other entries, but for what only tells where a class is."""
        of_keras = _root(built) == "keras"
        if given["class_name"] != built["class_name"]:
            pair = given["class_name"], built["class_name"]
            if None not in map(policy_name, (given, built)):
                pair = policy_name(given), policy_name(built)
            return f"{where or 'it'} is a {shown(pair[0])}, but a {shown(pair[1])} comes of it"
        if _root(built) == "keras_cr" and _root(given) != "keras_cr":
            return f"nothing reads {_joined(where, 'module')} ({shown(given['module'])})"
        # A class is found by its registered name; where it lies in its package may change.
        given, built = ({k: v for k, v in d.items() if k != "module"} for d in (given, built))
        if of_keras and given.get("registered_name") in (None, given["class_name"]):
            given, built = given | {"registered_name": None}, built | {"registered_name": None}
        if given["class_name"] == "__keras_tensor__" and not self.same_dtype:
            built = built | {"config": built["config"] | {"dtype": given["config"]["dtype"]}}
        inner, inner_built = given.pop("config", None), built.pop("config", None)
        if built["class_name"] == "Sequential" and of_keras and isinstance(inner, dict):
            kept = {key: inner[key] for key in _OF_SEQUENTIAL if _is_alike(inner, inner_built, key)}
            inner_built = inner_built | kept
        if "inbound_nodes" in built and isinstance(inner, dict) and "name" not in inner:
            self.names[built["name"]] = given.get("name")  # Keras has named it anew
        complete = of_keras and self.same_keras
        return self._dict_fault(given, built, where, False) or self.fault(
            inner, inner_built, where, complete
        )


def _is_alike(given: dict[str, Any], built: dict[str, Any], key: str) -> bool:
    """Whether an entry is there in both, of one type."""
    if key not in given or key not in built:
        return False
    policies = policy_name(given[key]), policy_name(built[key])
    return None not in policies or type(given[key]) is type(built[key]) is bool


def _joined(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _root(item: dict[str, Any]) -> str:
    return str(item.get("module")).split(".")[0]
