"""Modules on a tape: which operations each recorded, what lies between them, and the residuals that go from one to the other."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..reading.followed import size
from ..reading.names import Names
from ..reading.steps import Chain, outwards, time_steps
from ..reading.words import symbol_of
from ..tape import Entry, Key, Node, Scope, Tape, key_of, pull_back
from .gains import joint


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


@dataclass
class Sizes:
    """Residuals between parts, measured in one backward pass of its own.

    Attributes:
        arrived: by id of a part, the size of all that comes into it.
        sent: by (id of the part that sends, id of the part or leaf that receives).
        steps: by id of a part with time steps, the last of them that a residual reaches.
        seed: the size of what the pass starts from.
    """

    arrived: dict[str, float] = field(default_factory=dict)
    sent: dict[tuple[str, str], float] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    seed: float = 0.0


class Modules:
    """The parts of a tape and how they are linked.

    Args:
        tape: what was recorded.
        chains: the time steps on it.
        names: what its tensors are called.
        variables: those of the program that asks: modules are called by them.

    Attributes:
        parts: in the order of recording.
        states: by id the tensors that are a state before the first step.
        frames: by id of a module that holds several parts, but not all, what it is called.
        leaves: by their id in the DOT text, the tensors that come in from outside: inputs, states, and parameters of no module.
        links: (id of what makes a tensor, id of the part that uses it, whether a residual goes back).
    """

    def __init__(self, tape: Tape, chains: Sequence[Chain], names: Names, variables: Mapping[str, Any]) -> None:
        self.tape, self.names, self._chains = tape, names, chains
        self._chain_of = {entry.index: chain for chain in chains for inside in chain.entries for entry in inside}
        self.parts = self._modules_and_rest()
        self.part_of = {entry.index: part for part in self.parts for entry in part.entries}
        self._owned: set[int] = set()
        self.states: set[int] = set()
        self.frames: dict[int, str] = {}
        self._name(variables, len(chains) > 1)
        self.leaves: dict[str, Node] = {}
        self._borders: dict[tuple[int, int], tuple[Node, tuple[str, str]]] = {}
        self.links = self._find_links()

    # -- parts ------------------------------------------------------------------------------------------------------------------------

    def _modules_and_rest(self) -> list[Part]:
        """The innermost modules around time steps or without any; what was recorded around them stands together by what it lies between."""
        steps = time_steps(self.tape)
        modules = {entry.index: _around_steps(entry, steps) for entry in self.tape}
        holders = {id(outer.label) for m in modules.values() if m for outer in _modules(m.outer) if outer.label is not m.label}
        homes: dict[int, tuple[Any, Scope | None]] = {}
        for index, module in modules.items():
            chain = self._chain_of.get(index)
            if module is not None and id(module.label) not in holders:
                homes[index] = id(module.label), module
            else:
                homes[index] = None if chain is None else id(chain), None
        before, after = self._neighbours({index: key for index, (key, _) in homes.items()})
        parts: dict[Any, Part] = {}
        for entry in self.tape:
            key, scope = homes[entry.index]
            place = key if key is not None else (before[entry.index], after[entry.index])
            part = parts.setdefault(place, Part(f"m{len(parts)}", scope))
            part.entries.append(entry)
            part.chain = part.chain or self._chain_of.get(entry.index)
        return list(parts.values())

    def _neighbours(self, keys: dict[int, Any]) -> tuple[dict[int, frozenset[Any]], dict[int, frozenset[Any]]]:
        """By index of the entry the modules that it depends on, with nothing but loose operations between, and those that depend on it."""
        none: frozenset[Any] = frozenset()
        before: dict[int, frozenset[Any]] = {}
        after: dict[int, frozenset[Any]] = {entry.index: none for entry in self.tape}
        for entry in self.tape:
            makers = [x.entry.index for x in entry.inputs if isinstance(x, Node) and x.entry is not None and x.entry.index in keys]
            reached = (before[i] if keys[i] is None else frozenset([keys[i]]) for i in makers)
            before[entry.index] = none.union(*reached) if keys[entry.index] is None else none
        for entry in self.tape.backwards():
            ours = keys[entry.index]
            onwards = after[entry.index] if ours is None else frozenset([ours])
            for x in entry.inputs:
                if isinstance(x, Node) and x.entry is not None and x.entry.index in keys:
                    after[x.entry.index] |= onwards
        return before, after

    def _name(self, variables: Mapping[str, Any], many: bool) -> None:
        paths = self._paths(variables)
        inside: dict[int, int] = {}
        for part in self.parts:
            for outer in _modules(part.scope.outer if part.scope else None):
                inside[id(outer.label)] = inside.get(id(outer.label), 0) + 1
        for part in self.parts:
            self._describe(part, paths, many)
            around = (outer.label for outer in _modules(part.scope.outer if part.scope else None))
            part.frame = next((module for module in around if 1 < inside[id(module)] < self.count), None)
            if part.frame is not None:
                self.frames[id(part.frame)] = ": ".join(filter(None, [paths[id(part.frame)], type(part.frame).__name__]))

    def _paths(self, variables: Mapping[str, Any]) -> dict[int, str]:
        """What modules are called, by id: by the attributes on the way from the outermost, which is called by its variable."""
        paths: dict[int, str] = {}
        for root in {id(root): root for part in self.parts if part.scope and (root := [*_modules(part.scope)][-1].label)}.values():
            _walk(root, "", paths)
            paths[id(root)] = _variable(root, variables)
        for cell in (part.chain.call[0] for part in self.parts if part.chain and part.chain.call):
            if _is_module(cell):
                paths.setdefault(id(cell), _variable(cell, variables))
        return paths

    def _describe(self, part: Part, paths: Mapping[int, str], many: bool) -> None:
        chain, module = part.chain, part.scope.label if part.scope is not None else None
        if chain is not None:
            around = [outer.label for outer in _modules(part.scope)] or (chain.call or ())[:1]
            called = next((name for x in around if (name := paths.get(id(x), "").partition("layers")[0].rstrip("."))), "")
            part.title, part.kind = chain.name if many else called, f"{_cell_name(chain)}, {len(chain)} steps"
        elif module is not None:
            part.title, part.kind = paths[id(module)], type(module).__name__
        else:
            part.kind = _operations(part.entries)
        owned = self._own(part, module, chain)
        self._owned.update(owned)
        part.parameters = sum(owned.values())

    def _own(self, part: Part, module: Any, chain: Chain | None) -> dict[int, int]:
        """By id how many numbers each parameter has: those of a module, or what all steps of a cell use and is not its state."""
        used = {id(x): x for entry in part.entries for x in entry.inputs if isinstance(x, Node) and x.entry is None and x.requires_grad}
        owned = {id(x) for x in module.parameters()} if module is not None else set()
        if chain is not None:
            scope = self.names.call_of(chain.entries[0][0])
            self.states.update(id(state.before) for state in (self.names.states(scope) if scope else []))
            owned |= {id(x) for entry in chain.entries[-1] for x in entry.inputs if isinstance(x, Node) and x.entry is None} - self.states
        return {key: x._data.size for key, x in used.items() if key in owned}

    @property
    def count(self) -> int:
        """How many modules there are, and loops over time."""
        return sum(not part.loose for part in self.parts)

    # -- links ------------------------------------------------------------------------------------------------------------------------

    def _find_links(self) -> dict[tuple[str, str], bool]:
        links: dict[tuple[str, str], bool] = {}
        for entry in self.tape:
            target = self.part_of[entry.index].id
            for operand, (x, needed) in enumerate(zip(entry.inputs, entry.needs, strict=True)):
                source = self._source(x, entry)
                if source is not None and source != target:
                    links[source, target] = links.get((source, target), False) or needed
                    if needed:
                        self._borders[entry.index, operand] = x, (target, source)
        return links

    def _source(self, x: Any, entry: Entry) -> str | None:
        """The id of the part or the leaf where an operand comes from; None for what the picture leaves out."""
        if not isinstance(x, Node):
            return None
        if x.entry is not None and x.entry.index in self.part_of:
            return self.part_of[x.entry.index].id
        if id(x) in self._owned or not (x.requires_grad or (entry.index not in self._chain_of and self.names.leaf(x))):
            return None
        return next((known for known, leaf in self.leaves.items() if leaf is x), None) or self._add_leaf(x)

    def _add_leaf(self, x: Node) -> str:
        name = f"p{len(self.leaves)}"
        self.leaves[name] = x
        return name

    def measure(self, seeds: Sequence[Node]) -> Sizes:
        """Run a backward pass and look only at what goes from part to part, and from step to step."""
        arrived: dict[Key, Any] = {}
        sent: dict[tuple[str, str], dict[Key, Any]] = {}
        starts = [(y, y._backend.ones_like(y._data)) for y in seeds]
        backend = seeds[0]._backend
        found = Sizes(seed=joint([size(backend, start) for _, start in starts]))

        def add(table: dict[Key, Any], key: Key, residual: Any) -> None:
            table[key] = table[key] + residual if key in table else residual

        def watch(entry: Entry, g: Any, operand: int, part: Any) -> None:
            reach(entry.inputs[operand], part)
            if (entry.index, operand) in self._borders:
                x, pair = self._borders[entry.index, operand]
                add(sent.setdefault(pair, {}), key_of(x), part)
                add(arrived, key_of(x), part)

        def reach(x: Node, residual: Any) -> None:
            ours = None if x.entry is None else self.part_of.get(x.entry.index)
            step = None if ours is None or ours.chain is None else ours.chain.step_of(key_of(x))
            if ours is not None and step is not None and step > found.steps.get(ours.id, -1) and size(backend, residual) != 0:
                found.steps[ours.id] = step

        for y, start in starts:
            add(arrived, key_of(y), start)
            reach(y, start)
        crossing = [x for chain in self._chains for x in chain.nodes.values()]
        pull_back(starts, wanted=[*(x for x, _ in self._borders.values()), *crossing], watch=watch)
        found.sent = {pair: joint([size(backend, r) for r in parts.values()]) for pair, parts in sent.items()}
        into: dict[str, list[float]] = {}
        for key, residual in arrived.items():
            if key[0] in self.part_of:
                into.setdefault(self.part_of[key[0]].id, []).append(size(backend, residual))
        found.arrived = {name: joint(sizes) for name, sizes in into.items()}
        return found


def _modules(scope: Scope | None) -> Iterator[Scope]:
    """The scopes of modules from here outwards."""
    return (outer for outer in outwards(scope) if outer.kind == "module")


def _around_steps(entry: Entry, steps: Collection[Scope]) -> Scope | None:
    """The innermost module outside of all time steps."""
    found = entry.scope
    for scope in outwards(entry.scope):
        found = scope.outer if scope in steps else found
    return next(_modules(found), None)


def _variable(module: Any, variables: Mapping[str, Any]) -> str:
    """The name of the variable that holds a module, or ""."""
    return next((name for name, x in variables.items() if x is module and not name.startswith("_")), "")


def _is_module(x: Any) -> bool:
    return hasattr(type(x), "named_parameters")


def _walk(x: Any, name: str, paths: dict[int, str]) -> None:
    """The names of a module and of all that it holds, by the attributes on the way."""
    if _is_module(x):
        if id(x) in paths:
            return
        paths[id(x)] = name
    held = vars(x).items() if _is_module(x) else x.items() if isinstance(x, dict) else enumerate(x) if isinstance(x, (list, tuple)) else ()
    for key, part in held:
        _walk(part, f"{name}.{key}" if name else str(key), paths)


def _cell_name(chain: Chain) -> str:
    """What the steps run: a cell's class or a function's name."""
    if chain.call is None:
        return "steps"
    cell = chain.call[0]
    return getattr(cell, "__name__", type(cell).__name__)


def _operations(entries: Sequence[Entry]) -> str:
    symbols = list(dict.fromkeys(symbol_of(entry) for entry in entries))
    return " ".join(symbols[:6]) + (" …" if len(symbols) > 6 else "")
