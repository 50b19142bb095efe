"""Something done around the import of another package, whoever imports it and when."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as type checkers know it without `typing`, which takes milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


def around_import(name: str, context: Callable[[], AbstractContextManager]) -> None:
    """Has a module run inside `context()` when it is imported for the first time.

    Args:
        name: a top-level module that is not imported yet.
        context: makes what is entered before its code is run and left after it.
    """
    sys.meta_path.insert(0, _Watch(name, context))


class _Watch:
    """A finder that leaves the finding to the others and looks on; it goes when it is done."""

    def __init__(self, name: str, context: Callable[[], AbstractContextManager]):
        self.name, self.context = name, context

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            self._follow(spec.loader)
        return spec

    def _follow(self, loader: Any) -> None:
        run = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            if module.__name__ != self.name or self not in sys.meta_path:
                return run(module)  # one loader can be that of other modules too
            with self.context():
                run(module)
            sys.meta_path.remove(self)

        loader.exec_module = exec_module
