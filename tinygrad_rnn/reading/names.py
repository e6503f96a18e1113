"""What the user's code calls the tensors on a tape.

A tensor's own ``.name`` comes first. For the others the cell, or the module, that recorded them is called once more on the same arguments,
and its local variables are read line by line: what it binds to ``f`` there is called ``f`` in every step that recorded the same operations.
Nothing of this happens while a program trains, and nothing of it stays: names are kept here, by place on the tape.
"""

from __future__ import annotations

import functools
import os
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import random, tree
from ..tape import Call, Entry, Node, Scope, Tape, recording, thread
from ..user_code import PACKAGE, file_of, is_user, within
from .closure import closure_of
from .objects import Unreadable
from .steps import outwards

_MODULES = os.path.join(PACKAGE, "nn")
_WRAPPER = os.path.join(_MODULES, "module.py")


@dataclass(frozen=True)
class State:
    """A tensor of the state that a call of a cell takes and returns.

    Attributes:
        name: what the cell calls it, or "".
        before: the tensor that went in.
        after: the result that came out, as (index of its entry, position); None if it came from elsewhere.
    """

    name: str
    before: Node
    after: tuple[int, int] | None


class Names:
    """The names of leaves and results.

    Args:
        tape: where they stand.
        variables: those of the program that asks: what a tensor is called there counts after its ``.name``.
    """

    def __init__(self, tape: Tape, variables: Mapping[str, Any] | None = None) -> None:
        self._given = {id(x): name for name, x in _tensors(variables or {})}
        self._chosen = _chosen_scopes(tape)
        self._readings: dict[Any, _Reading] = {}
        self._leaves: dict[int, str] = {}
        for scope in dict.fromkeys(self._chosen.values()):
            if scope is not None:
                if _key(scope) not in self._readings:
                    self._readings[_key(scope)] = _Reading(scope)
                for leaf, name in self._readings[_key(scope)].leaves(scope).items():
                    self._leaves.setdefault(leaf, name)

    def own(self, x: Any) -> str:
        """What the user calls a tensor, or the program that asks."""
        return x.name or self._given.get(id(x), "")

    def leaf(self, x: Any) -> str:
        """A leaf's name, or ""."""
        return self.own(x) or self.inside(x)

    def inside(self, leaf: Any) -> str:
        """What the code that uses a leaf calls it, or ""."""
        return self._leaves.get(id(leaf), "")

    def result(self, entry: Entry, position: int = 0) -> str:
        """What the code that recorded an entry calls a result of it, or ""."""
        scope = self.call_of(entry)
        return "" if scope is None else self._readings[_key(scope)].result(entry, scope, position)

    def of(self, x: Any) -> str:
        """The name of any tensor, or ""."""
        return self.leaf(x) if x.entry is None else self.own(x) or self.result(x.entry, x.position)

    def states(self, scope: Scope) -> list[State]:
        """The state that went into a call of a cell and came out of it; empty for what is no cell."""
        reading = self._readings.get(_key(scope))
        return [] if reading is None else reading.states(scope)

    def call_of(self, entry: Entry) -> Scope | None:
        """The scope that is called again to name an entry's results."""
        return None if entry.scope is None else self._chosen[entry.scope]


def _chosen_scopes(tape: Tape) -> dict[Scope, Scope | None]:
    """For each scope the one around it that is called again: the outermost that holds no time steps, since those are alike, and is not
    under way itself."""
    scopes = dict.fromkeys(entry.scope for entry in tape if entry.scope is not None)
    chains = {scope: list(outwards(scope)) for scope in scopes}
    holding = {outer for chain in chains.values() for i, inner in enumerate(chain) if inner.kind == "step" for outer in chain[i + 1 :]}
    holding.update(outwards(thread.scope))
    return {scope: next((s for s in chain[::-1] if s.call and s not in holding), None) for scope, chain in chains.items()}


def _key(scope: Scope) -> Any:
    """Calls of the same code; of a module also by the module."""
    return (id(scope.call[0]), id(scope.label) if scope.kind == "module" else "step") if scope.call else None


class _Reading:
    """One more call of what a scope recorded, and the variables in it. It holds for every other call of the same code."""

    def __init__(self, scope: Scope) -> None:
        assert scope.call is not None
        watch = _Watch()
        again = Scope("again", scope.label, None)
        returned = _called(scope.call, again, watch)
        start, found = again.start, watch.found.values()
        self._results = {
            (f.made - start, f.node.position): (f.node.entry.row, f.names()[0]) for f in found if f.node.entry and f.made > start
        }
        self._outside = {id(f.node): f.names()[0] for f in found if f.made <= start}
        self._arguments = [self._outside.get(id(x), "") for x in tree.leaves(scope.call[1])]
        self._states = self._paired(scope.call[1], returned, watch, start)
        for i, (name, after) in enumerate(self._states, start=len(self._arguments) - len(self._states)):
            self._arguments[i] = name
            if after in self._results:
                self._results[after] = self._results[after][0], name

    def result(self, entry: Entry, scope: Scope, position: int) -> str:
        row, name = self._results.get((entry.index - scope.start, position), (None, ""))
        return name if row is entry.row else ""

    def leaves(self, scope: Scope) -> dict[int, str]:
        """The names, by id, of what was not made in a call."""
        arguments = scope.call[1] if scope.call else ()
        named = zip(tree.leaves(arguments), self._arguments, strict=False)
        return self._outside | {id(x): name for x, name in named if name and isinstance(x, Node)}

    def states(self, scope: Scope) -> list[State]:
        arguments = tree.leaves(scope.call[1] if scope.call else ())
        befores = arguments[len(arguments) - len(self._states) :]
        return [
            State(name, before, None if after is None else (after[0] + scope.start, after[1]))
            for (name, after), before in zip(self._states, befores, strict=True)
        ]

    @staticmethod
    def _paired(arguments: Sequence[Any], returned: Any, watch: _Watch, start: int) -> list[tuple[str, tuple[int, int] | None]]:
        """For each tensor of a cell's state, its last argument, the name and what came out."""
        if not (isinstance(returned, tuple) and len(returned) == 2 and arguments):
            return []
        befores, afters = tree.leaves(arguments[-1]), tree.leaves(returned[1])
        tensors = all(isinstance(x, Node) for x in (*befores, *afters))
        if not tensors or tree.structure(returned[1]) != tree.structure(arguments[-1]):
            return []
        places = [None if y.entry is None or y.entry.index < start else (y.entry.index - start, y.position) for y in afters]
        return [(_common(watch.names(x), watch.names(y)), place) for x, y, place in zip(befores, afters, places, strict=True)]


def _common(before: list[str], after: list[str]) -> str:
    """A state's name: one that it has before and after the step, or else the last before it, which says more than ``state``."""
    return next((name for name in before if name in after), (before or after or [""])[-1])


# -- calling again --------------------------------------------------------------------------------------------------------------------


def _called(call: Call, scope: Scope, watch: _Watch) -> Any:
    """Call what a scope recorded while variables are watched. What the code changes beside its result is put back; if it fails this time,
    what was read so far counts."""
    function, arguments, keywords = call
    numbers, outer, tracer = random.get_state(), thread.scope, sys.gettrace()
    try:
        closure = closure_of(call)
    except Unreadable:
        closure = None
    backend = next((x._backend for x in tree.leaves(arguments) if isinstance(x, Node)), None)
    thread.scope = scope
    try:
        with recording():
            sys.settrace(watch)
            try:
                return function(*arguments, **keywords) if backend is None else _quiet(backend, function, arguments, keywords)
            finally:
                sys.settrace(tracer)
    except Exception:
        return None
    finally:
        thread.scope = outer
        if closure is not None:
            closure.restore()
        random.set_state(numbers)


def _quiet(backend: Any, function: Callable[..., Any], arguments: Any, keywords: Any) -> Any:
    with backend.quiet():
        return function(*arguments, **keywords)


# -- reading variables ----------------------------------------------------------------------------------------------------------------


@dataclass
class _Found:
    """A tensor and its names, each with how good it is: variables before parts of containers, the outer call's before the inner one's."""

    node: Node
    ranked: list[tuple[int, int, str]] = field(default_factory=list)

    @property
    def made(self) -> int:
        return -1 if self.node.entry is None else self.node.entry.index

    def names(self) -> list[str]:
        """The best first."""
        return [name for _, _, name in sorted(self.ranked, key=lambda found: found[:2])]


class _Watch:
    """A trace function that looks at the variables of the user's code after each line.

    Attributes:
        found: by id of the tensor.
    """

    def __init__(self) -> None:
        self.found: dict[int, _Found] = {}
        self._depth = 0

    def names(self, x: Node) -> list[str]:
        """All names of a tensor, the best first."""
        return self.found[id(x)].names() if id(x) in self.found else []

    def __call__(self, frame: types.FrameType, event: str, argument: Any) -> Any:
        if not _names_things(file_of(frame)):
            return None
        depth, seen = self._depth, dict(frame.f_locals)
        self._depth += 1
        if depth == 0:
            self._bind(seen, depth)
        for holder in (*map(_attributes, seen.values()), {name: frame.f_globals.get(name) for name in frame.f_code.co_names}):
            for name, x in holder.items():
                if isinstance(x, Node):
                    self._add(x, 1, depth, str(name))

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
                self._add(x, 0, depth, name)
            elif isinstance(x, (tuple, list)):
                for i, part in enumerate(x):
                    if isinstance(part, Node):
                        self._add(part, 1, depth, f"{name}[{i}]")

    def _add(self, x: Node, rank: int, depth: int, name: str) -> None:
        self.found.setdefault(id(x), _Found(x)).ranked.append((rank, depth, name))


@functools.lru_cache(maxsize=4096)
def _names_things(file: str) -> bool:
    """Whether a file is the user's or defines modules as a user would, and is no part of what runs them."""
    return is_user(file) or (file != _WRAPPER and within(file, _MODULES))


def _attributes(x: Any) -> Mapping[Any, Any]:
    """What an object, or a dict of tensors, holds by name."""
    if isinstance(x, dict):
        return x
    return {} if isinstance(x, (type, types.ModuleType, types.FunctionType)) else getattr(x, "__dict__", {})


def _tensors(variables: Mapping[str, Any]) -> Iterator[tuple[str, Node]]:
    """Those of a program's variables that are tensors; the last name wins, so from the last to the first."""
    for name, x in reversed(list(variables.items())):
        if isinstance(x, Node) and not name.startswith("_"):
            yield name, x
