"""Reading a card's YAML: the part of YAML that cards need, so that nothing else can happen."""

from pathlib import Path
from typing import Any

import yaml

from keras_cr.presets.errors import CardError, one_line, shown
from keras_cr.presets.plain import MAX_DEPTH

MAX_BYTES = 2**15  # ten times a card; PyYAML takes a second for so much


def read_yaml(path: Path) -> Any:
    """What a card's file holds, unchecked but for its form.

    Args:
        path: the file.

    Raises:
        CardError: it can't be read, is larger than `MAX_BYTES`, is no YAML, or uses of YAML what
            no card needs: aliases, tags, merged or repeated keys, more than `MAX_DEPTH` levels.
    """
    try:
        if not path.is_file():
            raise OSError("it is no regular file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        return yaml.load(data.decode("utf-8"), _Loader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise CardError(f"{path.name} cannot be read: {one_line(str(error))}.") from error


class _Loader(yaml.SafeLoader):
    """A `SafeLoader` for trees of plain values."""

    def __init__(self, stream):
        super().__init__(stream)
        self.depth = 0

    def compose_node(self, parent, index):
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"an alias (*{shown(event.anchor)[1:-1]}); write the value out")
        if getattr(event, "tag", None) is not None:
            raise ValueError(f"a tag ({shown(event.tag)[1:-1]}); write the plain value")
        if self.depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} levels")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                raise ValueError("a key that is no word")
            if key.value in seen:
                raise ValueError(f"the key {shown(key.value)} stands twice in one mapping")
            seen.add(key.value)
        return super().construct_mapping(node, deep)
