"""What a picture shows of a tape: operations, leaves and results as vertices, operands as links, time steps,
and the path of the state."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..reading.chain import Chain
from ..reading.names import Names, State, at_two_times
from ..reading.path import Way, cheapest
from ..tape import Entry, Key, Node, Scope, Tape, key_of
from .steps import Step, steps_of

Kind = Literal["operation", "state", "parameter", "input", "constant", "output", "loss"]


@dataclass(frozen=True)
class Vertex:
    """A node of the picture.

    Attributes:
        id: its name in the DOT text: the kind's letter and a place on the tape, never the user's name.
        value: its entry, its tensor, or its Python number.
        array: of a tensor the array that it had; or the number again.
        name: the user's name for it, or "".
        step: the index of the time step that it stands in, from 1, or None.
        copied: whether it is one of several copies of a leaf, one for each step.
    """

    id: str
    kind: Kind
    value: Any
    name: str
    step: int | None
    copied: bool = False
    array: Any = field(default=None, compare=False)


@dataclass(frozen=True)
class Link:
    """An edge of the picture, from an operand to the operation or from an operation to its result.

    Attributes:
        operand: which operand, or None towards a result.
        needed: whether a residual goes back along it.
        on_path: it belongs to the state path.
    """

    source: Vertex
    target: Vertex
    operand: int | None
    needed: bool
    on_path: bool

    @property
    def id(self) -> str:
        return f"e{self.source.id}-{self.target.id}-{self.operand or 0}"


@dataclass(frozen=True)
class _Leaf:
    """A leaf by the order of its first use."""

    index: int


@dataclass(frozen=True)
class _Number:
    value: float


_Source = int | _Leaf | _Number
"""Where an operand comes from: the place of an entry, a leaf, or a Python number."""


class Network:
    """The picture's content, read from the tape of one or several results.

    Args:
        tape, outputs: what to read.
        names: what its tensors are called.
        chains: the time steps that a state links.

    Attributes:
        tape: the entries; an entry's place is its index in here.
        steps: the time steps in the order of their first entry; none where there is only one, which needs no
            box.
        path: the places of the entries on the state path, from the first state to the last; of several layers
            on that of the last one; empty if there is none.
        vertices, links: in the order of the tape.
    """

    def __init__(
        self, tape: Tape, outputs: Sequence[Node], names: Names, chains: Sequence[Chain] = ()
    ) -> None:
        self.tape = tape
        self.names = names
        self._place = {entry.index: i for i, entry in enumerate(self.tape)}
        self._outputs = {(self._place[y.entry.index], y.position): y for y in outputs if y.entry is not None}
        self._leaves: list[Node] = []
        self._arrays: list[Any] = []
        self._leaf_of: dict[Key, _Leaf] = {}
        self._sources = self._find_sources()
        self.steps: list[Step]
        self.steps, self._step_of = steps_of(tape, chains)
        self._calls = self._find_calls()
        self._names = self._find_names()
        uses = {
            (source, step)
            for sources, step in zip(self._sources, self._step_of, strict=True)
            for source in sources
        }
        self._steps_of_leaf = Counter(source for source, _ in uses if isinstance(source, _Leaf))
        lines = self._ends_by_steps() if self.steps else [self._ends_by_name() or self._ends_by_call()]
        ends = [pair for line in lines for pair in line]
        self._states = {self._leaf_of[start] for start, _ in ends if start in self._leaf_of}
        ways = [self._way(line) for line in lines]
        self.path: list[int] = [self._place[entry.index] for way in ways[-1:] for entry, _ in way.hops]
        self._path_operands = {
            self._place[entry.index]: operand for way in ways for entry, operand in way.hops
        }
        self._readout = (
            self._after([self._place[end[0]] for _, end in ends]) if self.steps and ends else set()
        )
        self.vertices: list[Vertex]
        self.links: list[Link]
        self.vertices, self.links = self._build()

    def excess(self, most: int) -> str:
        """Why it is too large for so many nodes, and twice as many edges; "" if it is not."""
        if len(self.vertices) > most:
            return f"{len(self.vertices)} nodes are more than max_nodes={most}"
        return (
            f"{len(self.links)} edges are more than twice max_nodes={most}"
            if len(self.links) > 2 * most
            else ""
        )

    # -- reading the tape ------------------------------------------------------------------------------------

    def _find_sources(self) -> list[list[_Source]]:
        leaves = self._leaf_of

        def source(x: Any, array: Any) -> _Source:
            if not isinstance(x, Node):
                return _Number(x)
            if x.entry is not None and x.entry.index in self._place:
                return self._place[x.entry.index]
            if key_of(x) not in leaves:
                leaves[key_of(x)] = _Leaf(len(self._leaves))
                self._leaves.append(x)
                self._arrays.append(array)
            return leaves[key_of(x)]

        return [
            [source(x, array) for x, array in zip(entry.inputs, entry.xs, strict=True)] for entry in self.tape
        ]

    def _find_names(self) -> dict[tuple[int, int], str]:
        """What the results of entries are called. The user's tensors are found among the operands; a state
        carries the label of its step."""
        used = [x for entry in self.tape for x in entry.inputs if isinstance(x, Node)]
        results = [
            (x, x.entry)
            for x in (*used, *self._outputs.values())
            if x.entry is not None and x.entry.index in self._place
        ]
        names = {(self._place[entry.index], x.position): x.name for x, entry in results if x.name}
        for state in (state for states in self._calls.values() for state in states):
            self._name_state(names, state)
        for x, entry in results:
            if name := self.names.own(x):
                names.setdefault((self._place[entry.index], x.position), name)
        for place, entry in enumerate(self.tape):
            for position in range(len(entry.ys)):
                name = self.names.result(entry, position)
                if name:
                    names.setdefault((place, position), name)
        return names

    def _name_state(self, names: dict[tuple[int, int], str], state: State) -> None:
        """``c[3]``, or ``c[t]`` where there is one step only; what a mask chose has the name of what goes on
        to the next step."""
        before, after = self._place_of(state.before), state.after
        if state.name and before is not None:
            names.setdefault(before, f"{state.name}[{self._label_of(before[0])}]")
        if state.name and after is not None and after[0] in self._place:
            place = self._place[after[0]]
            names.setdefault((place, after[1]), f"{state.name}[{self._label_of(place)}]")

    def _place_of(self, x: Node) -> tuple[int, int] | None:
        return (
            (self._place[x.entry.index], x.position)
            if x.entry is not None and x.entry.index in self._place
            else None
        )

    def _label_of(self, place: int) -> str:
        step = self._step_of[place]
        return "t" if step is None else self.steps[step - 1].label

    def _find_calls(self) -> dict[Scope, list[State]]:
        """The calls of cells and their states, in order."""
        scopes = dict.fromkeys(
            scope for entry in self.tape if (scope := self.names.call_of(entry)) is not None
        )
        return {scope: states for scope in scopes if (states := self.names.states(scope))}

    def name_of(self, y: Node) -> str:
        """What a result is called in the picture, or ""."""
        place = self._place_of(y)
        return "" if place is None else self._names.get(place, "")

    @property
    def state(self) -> str:
        """What the state on the path is called, or ""."""
        return self._names.get((self.path[-1], 0), "") if self.path else ""

    @property
    def gates(self) -> list[str]:
        """What the state on the path is weighted by, where that has a name."""
        entries = [(self.tape[place], self._path_operands[place]) for place in self.path]
        others = [
            entry.inputs[1 - operand]
            for entry, operand in entries
            if entry.row.case == "weighting" and entry.row.elementwise
        ]
        return list(
            dict.fromkeys(
                name
                for x in others
                if isinstance(x, Node) and (name := self.name_of(x) or self.names.leaf(x))
            )
        )

    def place_of(self, entry: Entry) -> int:
        return self._place[entry.index]

    def names_of(self, entry: Entry) -> list[str]:
        """What the user calls the results of an entry."""
        place = self._place[entry.index]
        return [self._names[place, i] for i in range(len(entry.ys)) if (place, i) in self._names]

    # -- the state path --------------------------------------------------------------------------------------

    def _way(self, ends: Sequence[tuple[Key, Key]]) -> Way:
        """Of the states of one layer the one that is bent least."""
        ways = [cheapest(self.tape, *pair) for pair in ends]
        return min(ways, key=lambda way: way.cost, default=Way(math.inf, []))

    def _ends_by_steps(self) -> list[list[tuple[Key, Key]]]:
        """For each layer each state before its first and after its last step."""
        lines = []
        for chain in dict.fromkeys(step.chain for step in self.steps if step.chain is not None):
            ends = [(chain.state_at(i, -1), chain.last_of(i)) for i in range(chain.count)]
            lines.append(
                [
                    (start, end)
                    for start, end in ends
                    if start is not None and end is not None and end[0] in self._place
                ]
            )
        return lines

    def _ends_by_name(self) -> list[tuple[Key, Key]]:
        """In a single step a state is a leaf and a result of the same shape that have one name at two
        times."""
        return [
            (key_of(leaf), key_of(y))
            for y in self._outputs.values()
            for leaf in self._leaves
            if at_two_times(leaf.name, y.name) and y._data.shape == leaf._data.shape
        ]

    def _ends_by_call(self) -> list[tuple[Key, Key]]:
        """The state of a cell that was called once."""
        return [
            (key_of(state.before), state.after)
            for states in self._calls.values()
            for state in states
            if key_of(state.before) in self._leaf_of
            and state.after is not None
            and state.after[0] in self._place
        ]

    def _after(self, ends: Sequence[int]) -> set[int]:
        """The places of entries that no state depends on."""
        before: set[int] = set()
        todo = list(ends)
        while todo:
            place = todo.pop()
            if place not in before:
                before.add(place)
                todo.extend(source for source in self._sources[place] if isinstance(source, int))
        return set(range(len(self.tape))) - before

    # -- vertices and links ----------------------------------------------------------------------------------

    def _build(self) -> tuple[list[Vertex], list[Link]]:
        vertices: dict[str, Vertex] = {}
        links = []

        def add(vertex: Vertex) -> Vertex:
            return vertices.setdefault(vertex.id, vertex)

        for place, entry in enumerate(self.tape):
            operands = [add(self._operand(source, place, i)) for i, source in enumerate(self._sources[place])]
            operation = add(
                Vertex(f"n{place}", "operation", entry, self._names.get((place, 0), ""), self._step_of[place])
            )
            for i, operand in enumerate(operands):
                on_path = self._path_operands.get(place) == i
                links.append(Link(operand, operation, i, bool(entry.needs[i]), on_path))
        links.extend(self._results(add, vertices))
        return list(vertices.values()), links

    def _reads_out(self, place: int) -> bool:
        return place in self._readout and self._step_of[place] is not None

    def _operand(self, source: _Source, place: int, i: int) -> Vertex:
        step = self._step_of[place]
        if isinstance(source, int):
            return Vertex(f"n{source}", "operation", self.tape[source], "", None)
        if isinstance(source, _Number):
            return Vertex(f"k{place}_{i}", "constant", source.value, "", step, array=source.value)
        leaf, array = self._leaves[source.index], self._arrays[source.index]
        kind: Kind = "state" if source in self._states else _leaf_kind(leaf)
        name = self._name_of_leaf(leaf, kind)
        if kind == "state" or step is None:
            return Vertex(f"p{source.index}", kind, leaf, name, None, array=array)
        copied = kind == "parameter" and self._steps_of_leaf[source] > 1
        return Vertex(f"p{source.index}_{step}", kind, leaf, name, step, copied, array)

    def _name_of_leaf(self, leaf: Node, kind: Kind) -> str:
        if kind != "state" or leaf.name or not self.names.inside(leaf):
            return self.names.leaf(leaf) or self.names.of(leaf)
        return f"{self.names.inside(leaf)}[{'start' if self.steps else 't−1'}]"

    def _results(self, add: Any, vertices: dict[str, Vertex]) -> Iterator[Link]:
        for (place, position), y in self._outputs.items():
            name = self._names.get((place, position))
            suffix = f"_{position}" if len(self.tape[place].ys) > 1 else ""
            loss = y._data.size == 1
            step = self._step_of[place] if self._reads_out(place) else None
            kind: Kind = "loss" if loss else "output"
            box = add(
                Vertex(
                    f"o{place}{suffix}", kind, y, name or ("loss" if loss else "result"), step, array=y._data
                )
            )
            on_path = bool(self.path) and self.path[-1] == place
            yield Link(vertices[f"n{place}"], box, None, True, on_path)


def _leaf_kind(leaf: Node) -> Kind:
    if leaf.entry is not None:
        return "input"
    if leaf.requires_grad:
        return "parameter"
    return "constant" if leaf._data.size == 1 and not leaf.name else "input"
