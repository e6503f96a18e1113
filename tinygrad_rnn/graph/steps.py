"""The time steps of a picture: boxes around the operations of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..reading.chain import Chain
from ..reading.steps import outwards, time_steps
from ..tape import Scope, Tape


@dataclass
class Step:
    """A time step: its index from 1, what the program calls it, the chain that it belongs to and which of
    its steps it is, the chain's name if there are several, and the places of its entries."""

    index: int
    label: str
    places: list[int] = field(default_factory=list)
    chain: Chain | None = None
    place: int = 0

    @property
    def layer(self) -> str:
        return "" if self.chain is None else self.chain.name

    @property
    def head(self) -> str:
        return f"{self.layer}: t = {self.label}" if self.layer else f"t = {self.label}"


def steps_of(tape: Tape, chains: Sequence[Chain]) -> tuple[list[Step], list[int | None]]:
    """The innermost steps of scans, or of a loop of the user's own, and for each entry the index of its
    step.

    Where there is one step only there is none: it needs no box.
    """
    scope_of = time_steps(tape)
    scopes = [
        next((scope_of[scope] for scope in outwards(entry.scope) if scope in scope_of), None)
        for entry in tape
    ]
    steps: dict[Scope, Step] = {}
    for place, scope in enumerate(scopes):
        if scope is not None:
            if scope not in steps:
                steps[scope] = Step(len(steps) + 1, str(scope.label))
            steps[scope].places.append(place)
    if len(steps) < 2:
        return [], [None] * len(tape)
    place_of = {
        e.index: (chain, place)
        for chain in chains
        for place, inside in enumerate(chain.entries)
        for e in inside
    }
    for step in steps.values():
        step.chain, step.place = place_of.get(tape[step.places[0]].index, (None, 0))
    return list(steps.values()), [None if scope is None else steps[scope].index for scope in scopes]
