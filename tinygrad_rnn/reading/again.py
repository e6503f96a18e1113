"""One more call of the user's code, to read the names of its variables line by line.

The cell, or the module, that recorded operations is called again on the same arguments while a trace function
looks at the local variables after each line: what the code binds to ``f`` there is called ``f``. Nothing of
it stays: what the code changes beside its result is put back. Code that reads what cannot be put back (an
open file, a generator) is not called: its variables give no names.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .. import random, tree
from ..cleanup import with_cleanup
from ..tape import Entry, Key, Node, Scope, in_scope, key_of, recording
from ..user_code import PACKAGE, file_of, is_user, within
from .closure import closure_of
from .lines import Lines
from .objects import Unreadable

_MODULES = os.path.join(PACKAGE, "nn")
_WRAPPER = os.path.join(_MODULES, "module.py")

VARIABLE, PART, ELEMENT = 0, 1, 2
"""What a name is, the best first: a variable; an attribute, a field or a key; an element by its number."""


@dataclass(frozen=True)
class Name:
    """A name of a tensor.

    Attributes:
        kind: a variable's name is better than that of a part of something.
        depth: of the function that has the variable: an outer one's name is better.
        text: the name.
    """

    kind: int
    depth: int
    text: str

    @property
    def rank(self) -> tuple[bool, int, int]:
        """The lower the better."""
        return self.kind == ELEMENT, self.depth, self.kind


class Again(Lines):
    """The call of a scope, once more.

    Attributes:
        arguments: leaves in place of those that the call had, from left to right; floats require a residual,
            so that everything made of them is recorded.
        entries: what was recorded, in order.
        returned: what came back; None if the code was not called, or failed this time. Names that were read
            before it failed count.
    """

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        assert scope.call is not None
        self.entries: list[Entry] = []
        self._names: dict[Key, list[Name]] = {}
        self._nodes: list[Node] = []
        function, arguments, keywords = scope.call
        arguments, keywords = tree.map_leaves(_fresh, (arguments, keywords))
        self.arguments: list[Any] = tree.leaves((arguments, keywords))
        self.returned: Any = None
        try:
            closure = closure_of(scope.call)
        except Unreadable:
            return
        generators, tracer = random.States(), sys.gettrace()
        backend = next((x._backend for x in self.arguments if isinstance(x, Node)), None)
        own = Scope(scope.kind, scope.label, None, scope.call)

        def watched() -> Any:
            with self, recording(), _quiet(backend):
                sys.settrace(_Watch(self))
                return in_scope(own, function, *arguments, **keywords)

        def put_back() -> None:
            sys.settrace(tracer)
            closure.restore()
            generators.restore()

        with contextlib.suppress(Exception):  # what was read so far counts
            self.returned = with_cleanup(put_back, watched)

    def recorded(self, entry: Entry) -> None:
        super().recorded(entry)
        self.entries.append(entry)

    def bind(self, x: Node, name: Name) -> None:
        if key_of(x) not in self._names:
            self._nodes.append(x)  # as long as it is here, no other tensor has its key
        self._names.setdefault(key_of(x), []).append(name)

    def names(self, x: Node) -> list[Name]:
        """All names of a tensor, the best first."""
        return sorted(self._names.get(key_of(x), []), key=lambda name: name.rank)

    def named(self) -> Iterator[tuple[Node, str]]:
        """Every tensor that has a name, and the best of those."""
        return ((x, self.names(x)[0].text) for x in self._nodes)


def _fresh(x: Any) -> Any:
    return (
        Node.result_type(x._data, x._backend, True)
        if isinstance(x, Node) and x._data.dtype.kind == "f"
        else x
    )


def _quiet(backend: Any) -> Any:
    return recording() if backend is None else backend.quiet()


class _Watch:
    """A trace function that looks at the variables of the user's code after each line."""

    def __init__(self, again: Again) -> None:
        self._again = again
        self._depth = 0

    def __call__(self, frame: types.FrameType, event: str, argument: Any) -> Any:
        if not _names_things(file_of(frame)):
            return None
        depth, seen = self._depth, dict(frame.f_locals)
        self._depth += 1
        self._bind(seen, depth)
        used = {name: frame.f_globals.get(name) for name in frame.f_code.co_names}
        self._parts({name: x for name, x in used.items() if isinstance(x, Node)}, depth)
        for holder in seen.values():
            self._parts(_attributes(holder), depth)

        def local(frame: types.FrameType, event: str, argument: Any) -> Any:
            changed = {name: x for name, x in frame.f_locals.items() if seen.get(name) is not x}
            seen.update(changed)
            self._bind(changed, depth)
            if event == "return":
                self._depth -= 1
            return local

        return local

    def _bind(self, variables: Mapping[str, Any], depth: int) -> None:
        for name, x in variables.items():
            if isinstance(x, Node):
                self._again.bind(x, Name(VARIABLE, depth, name))
            else:
                for part, kind, text in _elements(x, name):
                    self._again.bind(part, Name(kind, depth, text))

    def _parts(self, holder: Mapping[Any, Any], depth: int) -> None:
        for name, x in holder.items():
            if isinstance(x, Node):
                self._again.bind(x, Name(PART, depth, str(name)))


def _elements(x: Any, name: str) -> Iterator[tuple[Node, int, str]]:
    """The tensors in nested tuples, lists and dicts, by fields and keys where there are some, else by
    numbers: ``state[0]``."""
    if isinstance(x, dict):
        parts = [(str(key), part, str(key)) for key, part in x.items()]
    elif isinstance(x, (tuple, list)):
        fields = getattr(x, "_fields", [""] * len(x))
        parts = [
            (text, part, text or f"{name}[{i}]")
            for i, (part, text) in enumerate(zip(x, fields, strict=False))
        ]
    else:
        return
    for text, part, called in parts:
        if isinstance(part, Node):
            yield part, PART if text else ELEMENT, called
        else:
            yield from _elements(part, called)


@functools.lru_cache(maxsize=4096)
def _names_things(file: str) -> bool:
    """Whether the code in a file names tensors as a user's does: it is the user's, or defines modules as a
    user would, and it does not run them."""
    return is_user(file) or (file != _WRAPPER and within(file, _MODULES))


def _attributes(x: Any) -> Mapping[Any, Any]:
    """What an object holds by name."""
    if isinstance(x, (type, types.ModuleType, types.FunctionType, dict)):
        return {}
    return getattr(x, "__dict__", {})
