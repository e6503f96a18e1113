"""What the user calls the tensors on a tape.

    def cell(x, c):                     the tape of the cell's call       called once more, line by line
        f = tg.sigmoid(x @ U)             0  matmul                         0  matmul
        c = f * c                         1  sigmoid   ◀── alike ──▶        1  sigmoid     f = …
        return c, c                       2  multiply                       2  multiply    c = …

A tensor's own ``.name`` comes first, then the variables of the program that asks. Variables inside of a cell
or a module are gone when its call is over. So the one that recorded the tensors is called once more on the
same arguments, and its local variables are read line by line (``again``): what it binds to ``f`` there is
called ``f`` in every call that recorded the same operations (``alike``). Nothing of this happens while a
program trains, and nothing of it stays: names are kept here, by place on the tape. A ``.name`` of its own is
the quiet way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .. import tree
from ..tape import Entry, Key, Node, Scope, Tape, key_of, thread
from ..user_code import Line
from .again import ELEMENT, Again, Name
from .alike import partners
from .chain import leaves_of_state, without_self
from .lines import line_of_entry
from .steps import outwards, time_steps
from .words import stem


@dataclass(frozen=True)
class State:
    """A tensor of the state that a call of a cell takes and returns.

    Attributes:
        name: what the cell calls it, or "".
        before: the tensor that went in.
        after: the key of what came out; None if that is not on the tape.
    """

    name: str
    before: Node
    after: Key | None


class Names:
    """The names of leaves and results. Code is called again when the first name is asked for that needs it.

    Args:
        tape: where they stand.
        variables: those of the program that asks: what a tensor is called there counts after its ``.name``.
        origin: for each tensor that stands in place of another, by its key, the key of that other.
        parameters: by key what modules call their parameters, which counts last.
    """

    def __init__(
        self,
        tape: Tape,
        variables: Mapping[str, Any] | None = None,
        origin: Mapping[Key, Key] | None = None,
        parameters: Mapping[Key, str] | None = None,
    ) -> None:
        self._tape, self._variables, self._origin, self._parameters = (
            tape,
            variables or {},
            origin or {},
            parameters or {},
        )
        self._readings: dict[Any, _Reading] = {}

    def own(self, x: Any) -> str:
        """What the user calls a tensor, or the program that asks."""
        return x.name or self._given.get(self._known(x), "")

    def leaf(self, x: Any) -> str:
        """A leaf's name, or ""."""
        return self.own(x) or self.inside(x) or self._parameters.get(key_of(x), "")

    def inside(self, leaf: Any) -> str:
        """What the code that uses a leaf calls it, or ""."""
        return self._leaves.get(self._known(leaf), "")

    def result(self, entry: Entry, position: int = 0) -> str:
        """What the code that recorded an entry calls a result of it, or ""."""
        return self._results.get((entry.index, position), "")

    def of(self, x: Any) -> str:
        """The name of any tensor, or "". If the code that made a state does not name it, the name is that of
        the step that takes it."""
        if x.entry is None:
            return self.leaf(x)
        return self.own(x) or self.result(x.entry, x.position) or self._taken.get(key_of(x), "")

    def stem_of(self, x: Any) -> str:
        """Its name without its time."""
        return stem(self.of(x))

    def states(self, scope: Scope) -> list[State]:
        """The state that went into a call of a cell and came out of it; empty for what is no cell."""
        reading = self._reading(scope)
        return [] if reading is None else reading.states(scope, self._inside.get(scope, []))

    def call_of(self, entry: Entry) -> Scope | None:
        """The scope that is called again to name an entry's results."""
        return None if entry.scope is None else self._chosen[entry.scope]

    def line(self, entry: Entry) -> Line | None:
        """The line of the user's code that recorded an entry: remembered then, or read where that code is
        called again."""
        known, scope = line_of_entry(entry), self.call_of(entry)
        reading = None if known or scope is None else self._reading(scope)
        if reading is None or scope is None:
            return known
        return next(
            (
                line_of_entry(other)
                for one, other in reading.matched(scope, self._inside[scope])
                if one is entry
            ),
            None,
        )

    # -- as they are asked for -------------------------------------------------------------------------------

    def _known(self, x: Node) -> Key:
        return self._origin.get(key_of(x), key_of(x))

    @cached_property
    def _given(self) -> dict[Key, str]:
        return {key_of(x): name for name, x in _tensors(self._variables)}

    @cached_property
    def _chosen(self) -> dict[Scope, Scope | None]:
        return _chosen_scopes(self._tape)

    @cached_property
    def _inside(self) -> dict[Scope, list[Entry]]:
        """The entries of each call."""
        inside: dict[Scope, list[Entry]] = {}
        for entry in self._tape:
            scope = self.call_of(entry)
            if scope is not None:
                inside.setdefault(scope, []).append(entry)
        return inside

    def _reading(self, scope: Scope) -> _Reading | None:
        if scope not in self._inside:
            return None
        code = _code(scope)
        if code not in self._readings:
            self._readings[code] = _Reading(scope, self._known)
        return self._readings[code]

    @cached_property
    def _leaves(self) -> dict[Key, str]:
        leaves: dict[Key, str] = {}
        for scope in self._inside:
            reading = self._reading(scope)
            for key, name in (reading.leaves(scope) if reading else {}).items():
                leaves.setdefault(self._origin.get(key, key), name)
        return leaves

    @cached_property
    def _results(self) -> dict[Key, str]:
        results: dict[Key, str] = {}
        for scope, entries in self._inside.items():
            reading = self._reading(scope)
            if reading is not None:
                results.update(reading.results(scope, entries))
        return results

    @cached_property
    def _taken(self) -> dict[Key, str]:
        return {key_of(state.before): state.name for scope in self._inside for state in self.states(scope)}


def _chosen_scopes(tape: Tape) -> dict[Scope, Scope | None]:
    """For each scope the one around it that is called again: the outermost one that holds no time steps,
    since these are alike, and that is not running just now."""
    steps = time_steps(tape)
    scopes = dict.fromkeys(entry.scope for entry in tape if entry.scope is not None)
    chains = {scope: list(outwards(scope)) for scope in scopes}
    holding = {
        outer
        for chain in chains.values()
        for i, inner in enumerate(chain)
        if inner in steps
        for outer in chain[i + 1 :]
    }
    under_way = {_code(scope) for scope in outwards(thread.scope)}

    def choice(chain: Sequence[Scope]) -> Scope | None:
        return next(
            (s for s in chain[::-1] if s.call and s not in holding and _code(s) not in under_way), None
        )

    return {scope: choice(chain) for scope, chain in chains.items()}


def _code(scope: Scope) -> Any:
    """Calls of the same code; of a module also by the module."""
    return (
        (id(scope.call[0]), id(scope.label) if scope.kind == "module" else scope.kind) if scope.call else None
    )


class _Reading:
    """One more call of what a scope recorded, and the variables in it. It holds for every other call of the
    same code."""

    def __init__(self, scope: Scope, known: Any) -> None:
        self._again = again = Again(scope)
        self._known = known
        self._scope = scope  # as long as it is here, its code has its identity
        self._partners: dict[Any, list[tuple[int, Entry]]] = {}
        recorded = {entry.index for entry in again.entries}
        self._names = {key_of(x): name for x, name in again.named()}
        self._outside = {key: name for key, name in self._names.items() if key[0] not in recorded}
        self._arguments = [
            self._outside.pop(key_of(x), "") if isinstance(x, Node) else "" for x in again.arguments
        ]
        self._states = self._paired(scope)
        for i, (name, after) in enumerate(self._states, start=len(self._arguments) - len(self._states)):
            self._arguments[i] = name
            if after is not None and after[0] in recorded:
                self._names[after] = name

    def results(self, scope: Scope, entries: Sequence[Entry]) -> Iterator[tuple[Key, str]]:
        """The names of a call's results, by key."""
        for entry, other in self.matched(scope, entries):
            for position in range(len(entry.ys)):
                name = self._names.get((other.index, position))
                if name:
                    yield (entry.index, position), name

    def leaves(self, scope: Scope) -> dict[Key, str]:
        """The names of what was not made in a call, by key."""
        named = zip(_leaves_of(scope), self._arguments, strict=False)
        return self._outside | {key_of(x): name for x, name in named if name and isinstance(x, Node)}

    def states(self, scope: Scope, entries: Sequence[Entry]) -> list[State]:
        partner = {other.index: entry.index for entry, other in self.matched(scope, entries)}
        befores = _leaves_of(scope)[len(self._arguments) - len(self._states) :]
        return [
            State(
                name,
                before,
                None if after is None or after[0] not in partner else (partner[after[0]], after[1]),
            )
            for (name, after), before in zip(self._states, befores, strict=False)
            if isinstance(before, Node)
        ]

    def matched(self, scope: Scope, entries: Sequence[Entry]) -> Iterator[tuple[Entry, Entry]]:
        """The call's operations with those that were recorded again; what holds for one call holds for all
        that recorded the same rows."""
        rows = tuple([entry.row for entry in entries])
        if rows not in self._partners:
            again = self._again
            others = partners(entries, again.entries, _leaves_of(scope), again.arguments, self._known)
            self._partners[rows] = [(i, other) for i, other in enumerate(others) if other is not None]
        return ((entries[i], other) for i, other in self._partners[rows])

    def _paired(self, scope: Scope) -> list[tuple[str, Key | None]]:
        """For each tensor of a cell's state, its last argument, the name and what came out."""
        returned, again = self._again.returned, self._again
        count = len(leaves_of_state(without_self(scope)))
        if not (isinstance(returned, tuple) and len(returned) == 2 and count):
            return []
        befores, afters = again.arguments[-count:], tree.leaves(returned[1])
        state = [*scope.call[1], *scope.call[2].values()][-1] if scope.call else None
        if tree.structure(returned[1]) != tree.structure(state) or not all(
            isinstance(x, Node) for x in (*befores, *afters)
        ):
            return []
        return [
            (path or _state_name(again.names(x), again.names(y)), key_of(y))
            for path, x, y in zip(_paths(state), befores, afters, strict=True)
        ]


def _leaves_of(scope: Scope) -> list[Any]:
    return tree.leaves(scope.call[1:]) if scope.call else []


# -- what a state is called ----------------------------------------------------------------------------------

_WORDS = r"prev|previous|old|last|cur|next|new"
_TIMED = re.compile(
    rf"(?P<first>(?:{_WORDS})_)?(?P<stem>.+?)(?:(?P<number>\[.+\]|\(.+\)|_?\d+)|(?P<word>_(?:{_WORDS}|tm1|t)|['′]+))?"
)
"""A name and its time."""

_EMPTY = re.compile(rf"(?:{_WORDS}|state|s|out|outputs?|y|result|ret|nxt|carry|[_\d])+")
"""Names that say nothing of what a state is."""


def at_two_times(before: str | None, after: str | None) -> str:
    """What two names have in common if they are one at two times, else "": ``c[t−1]`` and ``c[t]``, ``h0``
    and ``h1``, or, with a word at one of them, ``h`` and ``h_next``. A number beside none is no time: ``a``
    and ``a2`` are two things."""
    one, other = _TIMED.fullmatch(before or ""), _TIMED.fullmatch(after or "")
    if one is None or other is None or one["stem"] != other["stem"] or before == after:
        return ""
    return one["stem"] if (one["number"] is None) == (other["number"] is None) else ""


def _state_name(before: Sequence[Name], after: Sequence[Name]) -> str:
    """The name of a state: one that it has both before and after the step, or whose two names differ by their
    time; else the better of the two."""
    olds, news = map(_outermost, (before, after))
    common = next((name for name in olds if name in news), "")
    timed = next((name for old in olds for new in news if (name := at_two_times(old, new))), "")
    telling = next((name for name in (*olds, *news) if not _EMPTY.fullmatch(name)), "")
    if common and not (telling and _EMPTY.fullmatch(common)):
        return common
    return timed or telling or (olds or [name.text for name in before] or news or [""])[-1]


def _outermost(names: Sequence[Name]) -> list[str]:
    """The names that a tensor has in the outermost function that names it."""
    named = [name for name in names if name.kind != ELEMENT]
    return [name.text for name in named if name.depth == min(name.depth for name in named)]


def _paths(state: Any, path: str = "") -> list[str]:
    """For each leaf the keys and fields that lead to it: ``h``, ``encoder.c``; "" where a place has only an
    index."""
    if isinstance(state, dict):
        parts = [(str(key), part) for key, part in state.items()]
    elif isinstance(state, (tuple, list)):
        parts = list(zip(getattr(state, "_fields", [""] * len(state)), state, strict=True))
    else:
        return [path]
    return [
        leaf
        for name, part in parts
        for leaf in _paths(part, ".".join(filter(None, [path, name])) if name else "")
    ]


def _tensors(variables: Mapping[str, Any]) -> Iterator[tuple[str, Node]]:
    """Those of a program's variables that are tensors; the last name wins, so from the last to the first."""
    for name, x in reversed(list(variables.items())):
        if isinstance(x, Node) and not name.startswith("_"):
            yield name, x
