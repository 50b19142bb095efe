"""Strategies of hypothesis: what can go wrong in a file of plain data."""

import copy

from hypothesis import strategies as st

_NUMBERS = [0, 1, -1, 2, 7, 64, 1000, 10**6, 10**9, 2**31, 2**53, 2**63, -(10**9), 10**30]
_NUMBERS += [0.0, -0.5, 0.1, 1e-300, 1e300, 1e9, True, False]
_TEXTS = ["", "x", "a\nb", "/", "../..", "float16", "int8", "relu", "same", "é", "\x00"]
_TEXTS += ["keras.utils", "get_file", "__lambda__", "__numpy__", "function", "Dense", "os"]
_TEXTS += ["keras_cr>TinyEncoder"]
_KEYS = st.text(max_size=4)
SCALARS = st.none() | st.sampled_from(_NUMBERS) | st.sampled_from(_TEXTS) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=6,
)
RAW = [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" * 5000, b"[" * 5000, b'{"a":' * 3000]
RAW += [b'"\\ud800"', b"\xff", b"\x00", b"null", b"*x", b"&x ", b"!!int ", b".inf", b"<<: ", b"\t"]


@st.composite
def trees(draw, base):
    """`base`, a tree of dicts and lists, with one to three entries changed."""
    tree = copy.deepcopy(base)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(tree))
        if not places:
            return tree
        parent, key = draw(st.sampled_from(places))
        kind = draw(st.sampled_from(["value", "value", "size", "delete", "rename", "add", "swap"]))
        if kind == "value":
            parent[key] = draw(VALUES)
        elif kind == "size":
            parent[key] = draw(st.sampled_from(_NUMBERS))
        elif kind == "delete":
            del parent[key]
        elif kind == "swap":
            other, other_key = draw(st.sampled_from(places))
            parent[key] = copy.deepcopy(other[other_key])
        elif isinstance(parent, list):
            parent.insert(draw(st.integers(0, len(parent))), draw(VALUES))
        elif kind == "rename":
            parent[draw(st.sampled_from([key + "s", key[1:], key.upper(), "x"]))] = parent.pop(key)
        else:
            parent[draw(st.sampled_from(["x", "name", "dtype", "class_name"]))] = draw(VALUES)
    return tree


@st.composite
def texts(draw, data):
    """The bytes of a file, with some of them flipped, cut off, put in or doubled."""
    data = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(["flip", "flip", "cut", "put", "double", "drop"]))
        if kind == "flip" and data:
            data[place] ^= draw(st.integers(1, 255))
        elif kind == "cut":
            del data[place:]
        elif kind == "put":
            data[place:place] = draw(st.sampled_from(RAW))
        elif kind == "double":
            data[place:place] = data[place : place + draw(st.integers(1, 60))]
        else:
            del data[place : place + draw(st.integers(1, 20))]
    return bytes(data)


def _places(tree):
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)
