"""Time steps that are linked by a state: a *chain*, one for each layer and direction.

Operations are recorded inside time steps: ``tape.Scope`` of kind "step", or the calls of a cell in a loop of the user's own. Where a step
uses what another step made, a state crosses between them, and both belong to one chain. What crosses a boundary in the same place at every
step is one state, such as h or c.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from .. import tree
from ..tape import Call, Entry, Key, Node, Scope, Tape, key_of

_Place = tuple[int, int, int]
"""Where a state is used first after a boundary: how many steps later, by which operation of that step, as which operand."""


class Chain:
    """Time steps in the order of recording; from a reversed scan, the last one in time comes first.

    Attributes:
        name: "layer 1" or "layer 1 reversed"; empty if it is the only one.
        labels: what the program calls each step.
        call: what runs in the first of them, and its arguments, or None.
        entries: the operations of each step.
        name_of: what the user calls a tensor, or "".
        alone: whether all that goes into the steps and requires a residual is leaves: none goes on to operations before them.
        crossings: for each (entry, operand) where a residual leaves a step, the tensor that it goes to, and the step that it leaves:
            a number, or None for what reads the chain's results from outside.
    """

    def __init__(self, tape: Tape, steps: list[Scope], entries: list[list[Entry]], name_of: Callable[[Node], str]) -> None:
        self.name = ""
        self.name_of = name_of
        self.labels, self.call, self.entries = [step.label for step in steps], steps[0].call, entries
        self._step_of = {entry.index: step for step, inside in enumerate(entries) for entry in inside}
        self._offsets = {entry.index: offset for inside in entries for offset, entry in enumerate(inside)}
        self.crossings: dict[tuple[int, int], tuple[Key, int | None]] = {}
        self.nodes: dict[Key, Node] = {}
        self.alone = True
        self._uses: dict[Key, list[_Place]] = {}
        self._find_crossings(tape)
        self._slots = self._find_slots()

    def __len__(self) -> int:
        return len(self.entries)

    @cached_property
    def states(self) -> list[str]:
        """The names of the states: asked for late, since to name tensors the cell is called again."""
        return _distinct([self._name_of(slot) for slot in self._slots])

    def step_of(self, key: Key) -> int | None:
        """The step that made a tensor; None if it was made outside."""
        return self._step_of.get(key[0])

    def state_at(self, state: int, step: int) -> Key | None:
        """The tensor that a state is after a step, or with step −1 before the first; None where it is not on the tape."""
        return self._slots[state].get(step)

    @property
    def reversed(self) -> bool:
        return bool(self.labels[0] > self.labels[-1])

    # -- reading the tape -------------------------------------------------------------------------------------------------------------

    def _find_crossings(self, tape: Tape) -> None:
        step_of, offsets = self._step_of, self._offsets
        for entry in tape:
            step = step_of.get(entry.index)
            for operand, x in enumerate(entry.inputs):
                if entry.needs[operand] and x.entry is not None:
                    made = step_of.get(x.entry.index)
                    if made is None:
                        self.alone = self.alone and step is None
                    elif made != step:
                        self._cross(entry, operand, x, step)
                        if step is not None:
                            self._uses.setdefault(key_of(x), []).append((step, offsets[entry.index], operand))

    def _cross(self, entry: Entry, operand: int, x: Node, step: int | None) -> None:
        key = key_of(x)
        self.crossings[entry.index, operand] = (key, step)
        self.nodes[key] = x

    def _find_slots(self) -> list[dict[int, Key]]:
        """For each state the tensor that it is after each step."""
        found: dict[_Place, dict[int, Key]] = {}
        for key, uses in self._uses.items():
            made = self.step_of(key)
            assert made is not None
            for boundary in range(made, uses[-1][0]):
                step, offset, operand = next(use for use in uses if use[0] > boundary)
                found.setdefault((step - boundary, offset, operand), {})[boundary] = key
        most = max(map(len, found.values()), default=0)
        regular = {place: slot for place, slot in sorted(found.items()) if 2 * len(slot) > most}
        self._fill_by_makers(list(regular.values()))
        for place, slot in regular.items():
            self._find_start(place, slot, len(regular))
        return list(regular.values())

    def _fill_by_makers(self, slots: list[dict[int, Key]]) -> None:
        """Where no step comes after, or a step is unlike the others, a state is what the same operation made elsewhere."""
        makers = {self._maker(step, key): slot for slot in slots for step, key in slot.items() if self.step_of(key) == step}
        for step, inside in enumerate(self.entries):
            if all(step in slot for slot in slots):
                continue
            for entry in inside:
                for position in range(len(entry.ys)):
                    key = entry.index, position
                    slot = makers.get(self._maker(step, key))
                    if slot is not None:
                        slot.setdefault(step, key)

    def _maker(self, step: int, key: Key) -> tuple[Any, ...]:
        """Where in a step a tensor is made, comparable between steps that are alike."""
        index, position = key
        inside, offset = self.entries[step], self._offsets[index]
        return len(inside), offset, inside[offset].row, position

    def _find_start(self, place: _Place, slot: dict[int, Key], count: int) -> None:
        """The state before the first step is what stands there where states stand in the second."""
        distance, offset, operand = place
        first, second = self.entries[distance - 1 : distance + 1] if distance < len(self) else ([], [])
        if offset < min(len(first), len(second)) and first[offset].row is second[offset].row and first[offset].needs[operand]:
            x = first[offset].inputs[operand]
            if self.step_of(key_of(x)) is None:
                slot[-1] = key_of(x)
                self._cross_from_start(x, distance + count)

    def _cross_from_start(self, x: Node, steps: int) -> None:
        """A state from before the first step may wait for some steps until it is used, or used again."""
        for step, inside in enumerate(self.entries[:steps]):
            for entry in inside:
                for operand, (other, needed) in enumerate(zip(entry.inputs, entry.needs, strict=True)):
                    if needed and key_of(other) == key_of(x):
                        self._cross(entry, operand, other, step)

    def _name_of(self, slot: dict[int, Key]) -> str:
        names = (self.name_of(self.nodes[key]) for key in slot.values() if key in self.nodes)
        return next((name for name in names if name), "state")


def given_name(x: Node) -> str:
    """A tensor's own name without its time: ``c`` of ``c[t−1]``."""
    return stem(x.name or "")


def find_chains(tape: Tape, name_of: Callable[[Node], str] = given_name) -> list[Chain]:
    """The chains of at least two steps, those that others depend on first."""
    steps_of = time_steps(tape)
    stacks: dict[Scope | None, tuple[Scope, ...]] = {None: ()}

    def stack(scope: Scope | None) -> tuple[Scope, ...]:
        """The time steps around, outermost first: a step may hold a whole scan."""
        found = stacks.get(scope)
        if found is None:
            assert scope is not None
            found = stacks[scope] = stack(scope.outer) + ((steps_of[scope],) if scope in steps_of else ())
        return found

    inside: dict[Scope, list[Entry]] = {}
    joined: dict[Scope, Scope] = {}

    def root(step: Scope) -> Scope:
        while joined.setdefault(step, step) is not step:
            joined[step] = step = joined[joined[step]]
        return step

    for entry in tape:
        ours = stack(entry.scope)
        for step in ours:
            inside.setdefault(step, []).append(entry)
        for x, needed in zip(entry.inputs, entry.needs, strict=True):
            if needed and x.entry is not None and x.entry.scope is not entry.scope:
                for one, other in _parting(ours, stack(x.entry.scope)):
                    joined[root(one)] = root(other)
    members: dict[Scope, list[Scope]] = {}
    for step in inside:
        members.setdefault(root(step), []).append(step)
    chains = [Chain(tape, steps, [inside[s] for s in steps], name_of) for steps in members.values() if len(steps) > 1]
    _name_chains(tape, chains)
    return chains


def time_steps(tape: Tape) -> dict[Scope, Scope]:
    """The time steps of scans, by themselves; without any, the calls of a module in a loop of the user's own, by the step of each."""
    scopes = dict.fromkeys(outer for scope in dict.fromkeys(entry.scope for entry in tape) for outer in outwards(scope))
    steps = {scope: scope for scope in scopes if scope.kind == "step"}
    if steps:
        return steps
    calls: dict[tuple[Scope | None, int], list[tuple[Scope, Call]]] = {}
    for scope in sorted(scopes, key=lambda scope: scope.start):
        if scope.call is not None and len(scope.call[1]) == 3:  # the module itself, x and the state
            calls.setdefault((scope.outer, id(scope.label)), []).append((scope, scope.call))
    loops = (loop for loop in calls.values() if len(loop) > 1 and _goes_on(loop[0][0], loop[1][1]))
    return {
        scope: Scope("step", number, scope.outer, (scope.label, arguments[1:], keywords))
        for loop in loops
        for number, (scope, (_, arguments, keywords)) in enumerate(loop)
    }


def _goes_on(first: Scope, second: Call) -> bool:
    """Whether the state that a call takes comes from an earlier one."""
    states = [x for x in tree.leaves(second[1][2]) if isinstance(x, Node)]
    return any(first in outwards(entry.scope) for entry in Tape.of(*states, since=first.start))


def outwards(scope: Scope | None) -> Iterator[Scope]:
    """A scope and those around it."""
    while scope is not None:
        yield scope
        scope = scope.outer


def _parting(ours: tuple[Scope, ...], theirs: tuple[Scope, ...]) -> Iterator[tuple[Scope, Scope]]:
    """The two steps by which the places of an operation and of its operand part, if they are steps of one loop."""
    for one, other in zip(ours, theirs, strict=False):
        if one is not other:
            if one.outer is other.outer and one.label != other.label:
                yield one, other
            return


def _name_chains(tape: Tape, chains: list[Chain]) -> None:
    """Layers are counted by what they depend on; both directions of a layer have the same number."""
    if len(chains) < 2:
        return
    layers = [1] * len(chains)
    place = {entry.index: number for number, chain in enumerate(chains) for inside in chain.entries for entry in inside}
    below: dict[int, int] = {}
    for entry in tape:
        depth = max((below[x.entry.index] for x in entry.inputs if isinstance(x, Node) and x.entry and x.entry.index in below), default=0)
        number = place.get(entry.index)
        if number is not None:
            outside = [
                below[x.entry.index]
                for x in entry.inputs
                if isinstance(x, Node) and x.entry and x.entry.index in below and place.get(x.entry.index) != number
            ]
            layers[number] = depth = max(layers[number], 1 + max(outside, default=0))
        below[entry.index] = depth
    for chain, name in zip(chains, _distinct([_named(layer, c) for layer, c in zip(layers, chains, strict=True)]), strict=True):
        chain.name = name


def _named(layer: int, chain: Chain) -> str:
    return f"layer {layer}" + (" reversed" if chain.reversed else "")


def _distinct(names: list[str]) -> list[str]:
    """The same names, numbered where one occurs more than once."""
    counts, seen = Counter(names), Counter[str]()
    made = []
    for name in names:
        seen[name] += 1
        made.append(f"{name} {seen[name]}" if counts[name] > 1 else name)
    return made


def stem(name: str) -> str:
    """A name without its time."""
    return re.sub(r"[\[(].*$|[′']+$", "", name).strip()
