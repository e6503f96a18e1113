"""Modules on a tape: which operations each recorded, what lies between them, and the residuals that go from
one to the other."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..backends import Array
from ..reading.chain import Chain
from ..reading.followed import Followed
from ..reading.matrices import multiplies_matrices, swaps_matrices
from ..reading.measured import Room, add_to
from ..reading.names import Names
from ..reading.norms import overall, overalls
from ..reading.owners import Owners, modules_around
from ..reading.steps import outwards, time_steps
from ..reading.words import symbol_of
from ..tape import Entry, Key, Node, Scope, Tape, key_of
from .folding import calls_of
from .gains import Gains


@dataclass
class Part:
    """A module, or operations between modules that stand together.

    Attributes:
        id: in the DOT text.
        scope: the module's scope, or None.
        chain: the time steps in it, or None.
        entries: what was recorded in it.
        title, kind: what it is called, and what it is.
        parameters: how many numbers it learns.
        frame: the module around it that holds several parts, or None.
    """

    id: str
    scope: Scope | None
    chain: Chain | None = None
    entries: list[Entry] = field(default_factory=list)
    title: str = ""
    kind: str = ""
    parameters: int = 0
    frame: Any = None

    @property
    def loose(self) -> bool:
        """Whether it is operations between modules."""
        return self.scope is None and self.chain is None

    @property
    def head(self) -> str:
        return f"{self.title}: {self.kind}" if self.title else self.kind


class Modules:
    """The parts of a tape and how they are linked.

    Args:
        tape: what was recorded.
        chains: the time steps on it.
        names: what its tensors are called.
        owners: what its modules are called.

    Attributes:
        parts: in the order of recording.
        states: by id the tensors that are a state before the first step.
        frames: by id of a module that holds several parts, but not all, what it is called.
        leaves: by their id in the DOT text, the tensors that come in from outside: inputs, states, and
            parameters of no module.
        arrays: those that the leaves had.
        crossing: for (id of what makes tensors, id of the part that uses them) their shapes, by key.
        links: for the same pairs whether a residual goes back.
    """

    def __init__(self, tape: Tape, chains: Sequence[Chain], names: Names, owners: Owners) -> None:
        self.tape = tape
        self.names = names
        self.chains = chains
        self._owners = owners
        self._chain_of = {
            entry.index: chain for chain in chains for inside in chain.entries for entry in inside
        }
        self._called = {
            tape[place].index: str(scope.label)
            for scope, places in calls_of(tape).items()
            for place in places
        }
        self.parts: list[Part] = self._modules_and_rest()
        self.part_of: dict[int, Part] = {entry.index: part for part in self.parts for entry in part.entries}
        self._owned: set[int] = set()
        self.states: set[int] = set()
        self.frames: dict[int, str] = {}
        self._name(len(chains) > 1)
        self.leaves: dict[str, Node] = {}
        self.arrays: dict[str, Any] = {}
        self.borders: dict[tuple[int, int], tuple[Node, tuple[str, str]]] = {}
        self.crossing: dict[tuple[str, str], dict[Key, tuple[int, ...]]] = {}
        self.links: dict[tuple[str, str], bool] = self._find_links()

    # -- parts -----------------------------------------------------------------------------------------------

    def _modules_and_rest(self) -> list[Part]:
        """The boxes: the innermost modules around time steps, or without any. Operations outside of these
        stand together if they lie between the same modules. A module that itself runs several loops over time
        is no box, but each of its loops is."""
        steps = time_steps(self.tape)
        modules = {entry.index: _around_steps(entry, steps) for entry in self.tape}
        within: dict[int, set[int]] = {}
        for index, module in modules.items():
            if module is not None and index in self._chain_of:
                within.setdefault(id(module.label), set()).add(id(self._chain_of[index]))
        holders = {
            id(outer)
            for m in modules.values()
            if m
            for outer in modules_around(m.outer)
            if outer is not m.label
        }
        holders |= {module for module, chains in within.items() if len(chains) > 1}
        homes: dict[int, tuple[Any, Scope | None]] = {}
        for index, module in modules.items():
            chain = self._chain_of.get(index)
            if module is not None and id(module.label) not in holders:
                homes[index] = id(module.label), module
            else:
                homes[index] = None if chain is None else id(chain), None
        before, after = self._neighbours({index: key for index, (key, _) in homes.items()})
        for index, user in self._transposes(homes):
            if after[index] == after[user]:
                before[index] = before[user]
        parts: dict[Any, Part] = {}
        for entry in self.tape:
            key, scope = homes[entry.index]
            place = key if key is not None else (before[entry.index], after[entry.index])
            part = parts.setdefault(place, Part(f"m{len(parts)}", scope))
            part.entries.append(entry)
            part.chain = part.chain or self._chain_of.get(entry.index)
        return list(parts.values())

    def _transposes(self, homes: Mapping[int, tuple[Any, Scope | None]]) -> Iterator[tuple[int, int]]:
        """The indices of transposes between modules, and of the ``@`` there that each feeds: they stand
        together."""
        loose = [entry for entry in self.tape if homes[entry.index][0] is None]
        for entry in filter(multiplies_matrices, loose):
            makers = [x.entry for x in entry.inputs if isinstance(x, Node) and x.entry is not None]
            for maker in filter(swaps_matrices, makers):
                if maker.index in homes and homes[maker.index][0] is None:
                    yield maker.index, entry.index

    def _neighbours(
        self, keys: dict[int, Any]
    ) -> tuple[dict[int, frozenset[Any]], dict[int, frozenset[Any]]]:
        """By index of the entry the modules that it depends on, with nothing but loose operations between,
        and those that depend on it."""
        none: frozenset[Any] = frozenset()
        before: dict[int, frozenset[Any]] = {}
        after: dict[int, frozenset[Any]] = {entry.index: none for entry in self.tape}
        for entry in self.tape:
            makers = [
                x.entry.index
                for x in entry.inputs
                if isinstance(x, Node) and x.entry is not None and x.entry.index in keys
            ]
            reached = (before[i] if keys[i] is None else frozenset([keys[i]]) for i in makers)
            before[entry.index] = none.union(*reached) if keys[entry.index] is None else none
        for entry in self.tape.backwards():
            ours = keys[entry.index]
            onwards = after[entry.index] if ours is None else frozenset([ours])
            for x in entry.inputs:
                if isinstance(x, Node) and x.entry is not None and x.entry.index in keys:
                    after[x.entry.index] |= onwards
        return before, after

    def _name(self, many: bool) -> None:
        inside: dict[int, int] = {}
        for part in self.parts:
            for outer in modules_around(part.scope.outer if part.scope else None):
                inside[id(outer)] = inside.get(id(outer), 0) + 1
        for part in self.parts:
            self._describe(part, many)
            around = modules_around(part.scope.outer if part.scope else None)
            part.frame = next((module for module in around if 1 < inside[id(module)] < self.count), None)
            if part.frame is not None:
                self.frames[id(part.frame)] = ": ".join(
                    filter(None, [self._owners.name(part.frame), type(part.frame).__name__])
                )

    def _describe(self, part: Part, many: bool) -> None:
        chain, module = part.chain, part.scope.label if part.scope is not None else None
        if chain is not None:
            part.title = chain.name if many else self._owners.of_chain(chain)[0]
            part.kind = f"{_cell_name(chain)}, {len(chain)} steps"
        elif module is not None:
            part.title, part.kind = self._owners.name(module), type(module).__name__
        else:
            part.kind = self._operations(part.entries)
        owned = self._own(part, module, chain)
        self._owned.update(owned)
        part.parameters = sum(owned.values())

    def _operations(self, entries: Sequence[Entry]) -> str:
        """The symbols of operations, and the names of the functions that they are part of."""
        symbols = list(dict.fromkeys(self._called.get(e.index) or symbol_of(e) for e in entries))
        if len(symbols) > 1 and any(map(multiplies_matrices, entries)):
            transposes = {symbol_of(entry) for entry in entries if swaps_matrices(entry)}
            symbols = [symbol for symbol in symbols if symbol not in transposes]
        return " ".join(symbols[:6]) + (" …" if len(symbols) > 6 else "")

    def _own(self, part: Part, module: Any, chain: Chain | None) -> dict[int, int]:
        """By id the size of each parameter: of a module's parameters, or of what all steps of a cell use and
        is not its state."""
        used = {
            id(x): x
            for entry in part.entries
            for x in entry.inputs
            if isinstance(x, Node) and x.entry is None and x.requires_grad
        }
        owned = {id(x) for x in module.parameters()} if module is not None else set()
        if chain is not None:
            scope = self.names.call_of(chain.entries[0][0])
            self.states.update(id(state.before) for state in (self.names.states(scope) if scope else []))
            owned |= {
                id(x)
                for entry in chain.entries[-1]
                for x in entry.inputs
                if isinstance(x, Node) and x.entry is None
            } - self.states
        return {key: x._data.size for key, x in used.items() if key in owned}

    @property
    def count(self) -> int:
        """How many modules there are, and loops over time."""
        return sum(not part.loose for part in self.parts)

    # -- links -----------------------------------------------------------------------------------------------

    def _find_links(self) -> dict[tuple[str, str], bool]:
        links: dict[tuple[str, str], bool] = {}
        for entry in self.tape:
            target = self.part_of[entry.index].id
            for operand, (x, needed) in enumerate(zip(entry.inputs, entry.needs, strict=True)):
                source = self._source(x, entry, operand)
                if source is not None and source != target:
                    links[source, target] = links.get((source, target), False) or needed
                    self.crossing.setdefault((source, target), {})[key_of(x)] = x._data.shape
                    if needed:
                        self.borders[entry.index, operand] = x, (target, source)
        return links

    def _source(self, x: Any, entry: Entry, operand: int) -> str | None:
        """The id of the part or the leaf where an operand comes from; None for what the picture leaves
        out."""
        if not isinstance(x, Node):
            return None
        if x.entry is not None and x.entry.index in self.part_of:
            return self.part_of[x.entry.index].id
        if id(x) in self._owned or not (
            x.requires_grad or (entry.index not in self._chain_of and self.names.leaf(x))
        ):
            return None
        name = next((known for known, leaf in self.leaves.items() if leaf is x), f"p{len(self.leaves)}")
        self.leaves.setdefault(name, x)
        self.arrays.setdefault(name, entry.xs[operand])
        return name


class Sizes:
    """Residuals between parts, as the results send them.

    Attributes:
        arrived: by id of a part, the size of all that comes into it.
        sent: by (id of the part that sends, id of the part or leaf that receives).
        seed: the size of what the pass starts from.
    """

    def __init__(self, modules: Modules, seeds: Sequence[tuple[Node, Array]]) -> None:
        arrived: Room = {}
        sent: dict[tuple[str, str], Room] = {pair: {} for _, pair in modules.borders.values()}
        for y, start in seeds:
            add_to(arrived, key_of(y), start)
        borders = {
            place: [(arrived, key_of(x)), (sent[pair], key_of(x))]
            for place, (x, pair) in modules.borders.items()
        }
        towards = [x for x, _ in modules.borders.values()]
        self._followed = Followed(modules.tape, modules.chains, seeds, False, towards, borders, inside=())
        self._modules, backend = modules, seeds[0][0]._backend
        self.seed: float = overall((g for _, g in seeds), backend)
        into: dict[str, Room] = {}
        for key, residual in arrived.items():
            if key[0] in modules.part_of:
                into.setdefault(modules.part_of[key[0]].id, {})[key] = residual
        norms = iter(overalls((room.values() for room in (*into.values(), *sent.values())), backend))
        self.arrived: dict[str, float] = {name: next(norms) for name in into}
        self.sent: dict[tuple[str, str], float] = {pair: next(norms) for pair in sent}

    @property
    def caption(self) -> str:
        """What is followed, where that is not all the same."""
        return self._followed.caption

    def gains(self, inside: Collection[int]) -> Gains:
        """The sizes at single operations, whose indices are given; at least one."""
        rest = Tape([entry for entry in self._modules.tape if entry.index >= min(inside)])
        return Gains(Followed(rest, (), self._followed.seeds, alone=False, inside=inside))

    def last_step(self, part: Part) -> int | None:
        """Of a part with time steps, the last of them that a residual reaches."""
        trail = None if part.chain is None else self._followed.trail_of(part.chain)
        return None if trail is None else trail.last


def _around_steps(entry: Entry, steps: Collection[Scope]) -> Scope | None:
    """The innermost module outside of all time steps."""
    outside = entry.scope
    for scope in outwards(entry.scope):
        outside = scope.outer if scope in steps else outside
    return next((scope for scope in outwards(outside) if scope.kind == "module"), None)


def _cell_name(chain: Chain) -> str:
    """What the steps run: a cell's class or a function's name."""
    if chain.call is None:
        return "steps"
    cell = chain.call[0]
    return getattr(cell, "__name__", type(cell).__name__)
