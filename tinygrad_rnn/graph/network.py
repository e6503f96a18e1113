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
from .folding import Folding, Function
from .sources import Leaf, Number, Source, Sources
from .steps import Step, steps_of

Kind = Literal["operation", "function", "state", "parameter", "input", "constant", "output", "loss"]


@dataclass(frozen=True)
class Vertex:
    """A node of the picture.

    Attributes:
        id: its name in the DOT text: the kind's letter and a place on the tape, never the user's name.
        value: its entry, its function, its tensor, or its Python number.
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
    """An edge of the picture, from an operand to the operation, or the function, or from one of these to its
    result.

    Attributes:
        operand: which operand, or None towards a result.
        transposed: the operation takes it transposed.
        needed: whether a residual goes back along it.
        on_path: it belongs to the state path.
    """

    source: Vertex
    target: Vertex
    operand: int | None
    needed: bool
    on_path: bool
    transposed: bool = False

    @property
    def id(self) -> str:
        return f"e{self.source.id}-{self.target.id}-{self.operand or 0}"


class Network:
    """The picture's content, read from the tape of one or several results.

    Args:
        tape, outputs: what to read.
        names: what its tensors are called.
        chains: the time steps that a state links.
        starts: where residuals start, if the caller says so: that is not folded.
        functions: whether a function that is made of several operations is one vertex.

    Attributes:
        tape: the entries; an entry's place is its index in here.
        outputs: as given.
        steps: the time steps in the order of their first entry; none where there is only one, which needs no
            box.
        path: the places of the entries on the state path, from the first state to the last; of several layers
            on that of the last one; empty if there is none.
        functions: those that are one vertex.
        vertices, links: in the order of the tape.
    """

    def __init__(
        self,
        tape: Tape,
        outputs: Sequence[Node],
        names: Names,
        chains: Sequence[Chain] = (),
        starts: Sequence[Node] = (),
        functions: bool = False,
    ) -> None:
        self.tape = tape
        self.names = names
        self.outputs = outputs
        self._sources = Sources(tape)
        self._place = self._sources.place
        self._outputs = {place: y for y in outputs if (place := self._sources.place_of(y)) is not None}
        self.steps: list[Step]
        self.steps, self._step_of = steps_of(tape, chains)
        self._calls = self._find_calls()
        self._names = self._find_names()
        begin = [place for y in starts if (place := self._sources.place_of(y)) is not None]
        self._folding = Folding(tape, self._sources, self._outputs, begin, self._names, names.leaf, functions)
        self.functions: Sequence[Function] = self._folding.functions
        uses = {
            (self._folding.source(source), self._step_of[place])
            for place, sources in enumerate(self._sources.of)
            if place not in self._folding.transposed
            for source in sources
        }
        self._steps_of_leaf = Counter(source for source, _ in uses if isinstance(source, Leaf))
        lines = self._ends_by_steps() if self.steps else [self._ends_by_name() or self._ends_by_call()]
        ends = [pair for line in lines for pair in line]
        leaf_of = self._sources.leaf_of
        befores = [start for start, _ in (*ends, *self._ends_by_name())]
        self._states = {leaf_of[start] for start in befores if start in leaf_of}
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
        before, after = self._sources.place_of(state.before), state.after
        if state.name and before is not None:
            names.setdefault(before, f"{state.name}[{self._label_of(before[0])}]")
        if state.name and after is not None and after[0] in self._place:
            place = self._place[after[0]]
            names.setdefault((place, after[1]), f"{state.name}[{self._label_of(place)}]")

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
        place = self._sources.place_of(y)
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

    def function_at(self, place: int) -> Function | None:
        """The function that an operation is drawn as a part of."""
        return self._folding.function_of.get(place)

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
            for leaf in self._sources.leaves
            if at_two_times(leaf.name, y.name) and y._data.shape == leaf._data.shape
        ]

    def _ends_by_call(self) -> list[tuple[Key, Key]]:
        """The state of a cell that was called once."""
        return [
            (key_of(state.before), state.after)
            for states in self._calls.values()
            for state in states
            if key_of(state.before) in self._sources.leaf_of
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
                todo.extend(source for source in self._sources.of[place] if isinstance(source, int))
        return set(range(len(self.tape))) - before

    # -- vertices and links ----------------------------------------------------------------------------------

    def _build(self) -> tuple[list[Vertex], list[Link]]:
        vertices: dict[str, Vertex] = {}
        links: list[Link] = []

        def add(vertex: Vertex) -> Vertex:
            return vertices.setdefault(vertex.id, vertex)

        for place, entry in enumerate(self.tape):
            function = self._folding.function_of.get(place)
            if place in self._folding.transposed or (function is not None and place != function.places[0]):
                continue
            if function is None:
                name = self._names.get((place, 0), "")
                operation = Vertex(f"n{place}", "operation", entry, name, self._step_of[place])
                sources: Sequence[Source] = self._sources.of[place]
                parts: Sequence[Sequence[tuple[Entry, int]]] = [
                    [(entry, i)] for i in range(len(entry.inputs))
                ]
            else:
                name = ", ".join(name for one in function.results for name in self.names_of(one))
                operation = Vertex(f"f{place}", "function", function, name, self._step_of[place])
                sources, parts = function.sources, function.operands
            operands = [add(self._operand(source, place, i)) for i, source in enumerate(sources)]
            add(operation)
            links.extend(
                self._link(source, operand, operation, i, taking)
                for i, (source, operand, taking) in enumerate(zip(sources, operands, parts, strict=True))
            )
        links.extend(self._results(add, vertices))
        return list(vertices.values()), links

    def _link(
        self,
        source: Source,
        operand: Vertex,
        operation: Vertex,
        i: int,
        taking: Sequence[tuple[Entry, int]],
    ) -> Link:
        """From an operand to what takes it."""
        on_path = any(self._path_operands.get(self._place[entry.index]) == at for entry, at in taking)
        return Link(
            operand,
            operation,
            i,
            any(entry.needs[at] for entry, at in taking),
            on_path,
            source in self._folding.transposed,
        )

    def _reads_out(self, place: int) -> bool:
        return place in self._readout and self._step_of[place] is not None

    def _operand(self, source: Source, place: int, i: int) -> Vertex:
        step, source = self._step_of[place], self._folding.source(source)
        if isinstance(source, int):
            return Vertex(self._id_of(source), "operation", self.tape[source], "", None)
        if isinstance(source, Number):
            return Vertex(f"k{place}_{i}", "constant", source.value, "", step, array=source.value)
        leaf, array = self._sources.leaves[source.index], self._sources.arrays[source.index]
        kind: Kind = "state" if source in self._states else _leaf_kind(leaf)
        name = self._name_of_leaf(leaf, kind)
        if kind == "state" or step is None:
            return Vertex(f"p{source.index}", kind, leaf, name, None, array=array)
        copied = kind == "parameter" and self._steps_of_leaf[source] > 1
        return Vertex(f"p{source.index}_{step}", kind, leaf, name, step, copied, array)

    def _id_of(self, place: int) -> str:
        """What the vertex of an operation is called."""
        function = self._folding.function_of.get(place)
        return f"n{place}" if function is None else f"f{function.places[0]}"

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
            yield Link(vertices[self._id_of(place)], box, None, True, on_path)


def _leaf_kind(leaf: Node) -> Kind:
    if leaf.entry is not None:
        return "input"
    if leaf.requires_grad:
        return "parameter"
    return "constant" if leaf._data.size == 1 and not leaf.name else "input"
