"""A chain: time steps that a state links.

    step 0          step 1          step 2
h₋₁ ──[ ]── h₀ ──────[ ]── h₁ ──────[ ]── h₂          state_at(0, t) is hₜ; h₋₁ may be a leaf, or computed
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

from .. import tree
from ..backends import Backend
from ..tape import Call, Entry, Key, Node, Scope, Tape, key_of
from .path import Way, cheapest
from .words import distinct

_Place = tuple[int, int, int]
"""Where a state is used first after a boundary: how many steps later, by which operation of that step, as
which operand."""


class Chain:
    """Time steps in the order of recording; from a reversed scan, the last one in time comes first.

    Attributes:
        name: which of several it is; empty if it is the only one.
        scopes: where each step was recorded.
        labels: what the program calls each step; their number where it calls two the same.
        entries: the operations of each step.
        name_of: what the user calls a tensor, or "".
        alone: whether only leaves require a residual of what goes into the steps, so that no residual goes on
            to operations before them.
        crossings: for each (entry, operand) where a residual leaves a step, the tensor that it goes to, and
            the index of the step that it leaves, or None for what reads the chain's results from outside.
        nodes: by key the tensors that something crosses to.
        complete: whether the calls of the cell say what its states are. Then nothing on the tape depends on a
            state that is missing here.
        inlets: through which residuals come to the states from within a step: for each (entry, operand) of a
            readout, on which no state depends, the tensor that it uses, if states depend on that.
    """

    def __init__(
        self, scopes: Sequence[Scope], entries: list[list[Entry]], name_of: Callable[[Node], str]
    ) -> None:
        self.name = ""
        self.name_of = name_of
        self.scopes = scopes
        self.entries = entries
        labels = [scope.label for scope in scopes]
        self.labels: list[Any] = (
            labels if len(set(map(str, labels))) == len(labels) else list(range(len(labels)))
        )
        self.alone = True
        self.complete: bool = False
        self.crossings: dict[tuple[int, int], tuple[Key, int | None]] = {}
        self.nodes: dict[Key, Node] = {}
        self._step_of = {entry.index: step for step, inside in enumerate(entries) for entry in inside}
        self.inlets: dict[tuple[int, int], Key] = {}
        self._uses: dict[Key, list[_Place]] = {}
        self._keys: list[str] = []

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def backend(self) -> Backend:
        """Of its tensors."""
        return self.entries[0][0].backend

    @cached_property
    def readouts(self) -> Tape:
        """The operations that no state depends on."""
        return Tape(
            [entry for inside in self.entries for entry in inside if entry.index not in self._carried]
        )

    @property
    def call(self) -> Call | None:
        """What runs in the first step, and its arguments."""
        return self.scopes[0].call

    @property
    def reversed(self) -> bool:
        return bool(self.labels[0] > self.labels[-1])

    @cached_property
    def states(self) -> list[str]:
        """The names of the states. They are found when they are first needed, since that calls the cell
        again. Those that stand under keys are called by these: what one state is, another one may have been
        before."""
        keys = self._keys or [""] * self.count
        return distinct([key or self._name_of(slot) for key, slot in zip(keys, self._slots, strict=True)])

    def step_of(self, key: Key) -> int | None:
        """The step that made a tensor; None if it was made outside."""
        return self._step_of.get(key[0])

    def state_at(self, state: int, step: int) -> Key | None:
        """The tensor that a state is after a step, or with step −1 before the first; None where it is not on
        the tape."""
        return self._slots[state].get(step)

    @property
    def count(self) -> int:
        """How many states there are."""
        return len(self._slots)

    def last_of(self, state: int) -> Key | None:
        """What a state is after the last step, or the last that is on the tape."""
        return self._slots[state].get(max(self._slots[state], default=-1))

    def tensors_of(self, state: int) -> list[Key]:
        """What a state is at each step, as far as that is on the tape."""
        return list(self._slots[state].values())

    def path(self, state: int, first: int = 0, last: int | None = None) -> Way:
        """The way of a state through the steps from ``first`` to ``last``: that on which a residual is bent
        least."""
        last = len(self) - 1 if last is None else last
        start, end = self.state_at(state, first - 1), self.state_at(state, last)
        if start is None or end is None:
            return Way(math.inf, [])
        return cheapest([entry for inside in self.entries[first : last + 1] for entry in inside], start, end)

    def is_channel(self, state: int) -> bool:
        """Whether a state comes from step to step by weighting and adding alone, without a slope or a matrix
        on the way."""
        for step in reversed(range(len(self))):
            if None not in (self.state_at(state, step - 1), self.state_at(state, step)):
                return self.path(state, step, step).straight
        return False

    # -- what crosses ----------------------------------------------------------------------------------------

    def link(self, entry: Entry, operand: int, step: int | None) -> None:
        """A tensor of the chain is used outside of the step that made it: in another step, or in none."""
        x = entry.inputs[operand]
        self._cross(entry, operand, x, step)
        if step is not None:
            offset = self._offsets[entry.index]
            self._uses.setdefault(key_of(x), []).append((step, offset, operand))

    @cached_property
    def _offsets(self) -> dict[int, int]:
        return {entry.index: offset for inside in self.entries for offset, entry in enumerate(inside)}

    def _cross(self, entry: Entry, operand: int, x: Node, step: int | None) -> None:
        key = key_of(x)
        self.crossings[entry.index, operand] = (key, step)
        self.nodes[key] = x

    def settle(self) -> None:
        """Find the states, and with them what crosses to the tensors before the first step."""
        slots = self._slots_by_calls()
        self.complete = bool(slots)
        self._slots = slots or self._slots_by_uses()
        self._fill_by_makers()
        starts = self._starts()
        for step, inside in enumerate(self.entries):
            waiting = starts.intersection(slot.get(step - 1, (0, 0)) for slot in self._slots)
            for entry in inside if waiting else ():
                for operand, (x, needed) in enumerate(zip(entry.inputs, entry.needs, strict=True)):
                    if needed and key_of(x) in waiting:
                        self._cross(entry, operand, x, step)
        self._carried = self._ancestors_of_states()
        for step, inside in enumerate(self.entries):
            for entry in (entry for entry in inside if entry.index not in self._carried):
                for operand, (x, needed) in enumerate(zip(entry.inputs, entry.needs, strict=True)):
                    if needed and self.carries(key_of(x), step):
                        self.inlets[entry.index, operand] = key_of(x)

    def _ancestors_of_states(self) -> set[int]:
        """The operations of each step that a state after it depends on."""
        carried = {key[0] for slot in self._slots for step, key in slot.items() if self.step_of(key) == step}
        for step, inside in enumerate(self.entries):
            for entry in reversed(inside):
                if entry.index in carried:
                    for x in itertools.compress(entry.inputs, entry.needs):
                        if x.entry is not None and self._step_of.get(x.entry.index) == step:
                            carried.add(x.entry.index)
        return carried

    def carries(self, key: Key, step: int) -> bool:
        """Whether a step's states depend on a tensor that it made."""
        return self.step_of(key) == step and key[0] in self._carried

    def hands_on(self, step: int) -> bool:
        """Whether a state after a step is on the tape."""
        return any(entry.index in self._carried for entry in self.entries[step])

    def _starts(self) -> set[Key]:
        """The tensors before the first step; the cell may hand one on for some steps."""
        return {slot[-1] for slot in self._slots if -1 in slot}

    # -- states ----------------------------------------------------------------------------------------------

    def _slots_by_calls(self) -> list[dict[int, Key]]:
        """For each tensor of the state that the cell was called with what it was before each step: those that
        carry a residual, in the order in which the cell uses them."""
        calls = [leaves_of_state(scope.call) for scope in self.scopes]
        if not calls[0] or any(len(leaves) != len(calls[0]) for leaves in calls):
            return []
        starts = {key_of(x) for x in calls[0] if isinstance(x, Node)}
        keys = [[key_of(x) if isinstance(x, Node) else None for x in leaves] for leaves in calls]
        keys.append([*self.scopes[-1].after] if self.scopes[-1].after else [None] * len(calls[0]))
        slots = [
            {step: key for step, key in enumerate(column, start=-1) if key in starts or self._is_made(key)}
            for column in zip(*keys, strict=True)
        ]
        names = tree.names(_state_of(self.scopes[0].call))
        used = [
            (min(places), slot, name)
            for slot, name in zip(slots, names, strict=True)
            if (places := [*self._places(slot)])
        ]
        used.sort(key=lambda one: one[0])
        self._keys = [name for _, _, name in used]
        return [slot for _, slot, _ in used]

    def _is_made(self, key: Key | None) -> bool:
        return key is not None and self.step_of(key) is not None

    def _places(self, slot: dict[int, Key]) -> Iterator[_Place]:
        """Where a state is used first after each step."""
        for boundary, key in slot.items():
            yield from (
                (step - boundary, offset, operand) for step, offset, operand in self._uses.get(key, ())[:1]
            )

    def _slots_by_uses(self) -> list[dict[int, Key]]:
        """Where no call says what the states are: the tensors that cross in the same place at every step."""
        slots: dict[_Place, dict[int, Key]] = {}
        for key, uses in self._uses.items():
            first = self.step_of(key)
            assert first is not None
            for boundary in range(first, uses[-1][0]):
                step, offset, operand = next(use for use in uses if use[0] > boundary)
                slots.setdefault((step - boundary, offset, operand), {})[boundary] = key
        most = max(map(len, slots.values()), default=0)
        regular = {place: slot for place, slot in sorted(slots.items()) if 2 * len(slot) > most}
        for place, slot in regular.items():
            self._find_start(place, slot)
        return list(regular.values())

    def _find_start(self, place: _Place, slot: dict[int, Key]) -> None:
        """Find the state before the first step: it stands in the first step where a state stands in the
        second."""
        distance, offset, operand = place
        first, second = self.entries[distance - 1 : distance + 1] if distance < len(self) else ([], [])
        if offset < min(len(first), len(second)) and first[offset].row is second[offset].row:
            x = first[offset].inputs[operand]
            if isinstance(x, Node) and self.step_of(key_of(x)) is None:
                slot[-1] = key_of(x)
                if first[offset].needs[operand]:
                    self._cross(first[offset], operand, x, distance - 1)

    def _fill_by_makers(self) -> None:
        """Fill in states that no later step uses, or of a step that is unlike the others: a state is made by
        the same operation as in another step, one of as many operations or else any."""
        states = [
            (slot, step, key)
            for slot in self._slots
            for step, key in slot.items()
            if step >= 0 and self.step_of(key) == step
        ]
        makers = {maker: slot for slot, step, key in states for maker in self._makers(step, key)}
        for step, inside in enumerate(self.entries):
            if all(step in slot for slot in self._slots):
                continue
            keys = [(entry.index, position) for entry in inside for position in range(len(entry.ys))]
            for way in range(2):
                for key in keys:
                    slot = makers.get(self._makers(step, key)[way])
                    if slot is not None:
                        slot.setdefault(step, key)

    def _makers(self, step: int, key: Key) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Where in a step a tensor is made, in two ways: one that can be compared between steps of as many
        operations, and one between any."""
        inside, offset = self.entries[step], self._offsets[key[0]]
        place = offset, inside[offset].row, key[1]
        return (len(inside), *place), place

    def _name_of(self, slot: dict[int, Key]) -> str:
        names = (
            self.name_of(self.nodes[slot[step]])
            for step in sorted(slot, key=lambda step: step < 0)
            if slot[step] in self.nodes
        )
        return next((name for name in names if name), "state")


def without_self(scope: Scope) -> Call | None:
    """The call of a scope as one of a cell: for a module's, the module and what it was called with."""
    if scope.call is None or scope.kind != "module":
        return scope.call
    return scope.label, scope.call[1][1:], scope.call[2]


def leaves_of_state(call: Call | None) -> list[Any]:
    """The state that a cell was called with, its last argument after x; empty where there is none."""
    return tree.leaves(_state_of(call))


def _state_of(call: Call | None) -> Any:
    arguments = [] if call is None else [*call[1], *call[2].values()]
    return arguments[-1] if len(arguments) > 1 else []
