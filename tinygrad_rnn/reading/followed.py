"""Which residual is followed back in each chain of time steps, and what is left of it.

    loss₀     loss₁     loss₂     loss₃       a loss that is a sum over steps
      ↓         ↓         ↓         ↓         sends a fresh residual into every step,
     h₀   ←    h₁   ←    h₂   ←    h₃         where it meets the one that comes back through time
                                    ↑
                                    followed: only what comes into the last step

Fresh residuals would hide that an old one has died. So in each chain, a layer in one direction, only that
residual is followed which comes into the last step that the loss reaches. Operations outside of time steps
are measured as the loss has it. Whoever wants all residuals as the loss has them passes ``alone=False``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy

from ..backends import Array
from ..tape import Entry, Key, Node, Tape, key_of, pull_back
from .chain import Chain
from .measured import Borders, Pass, Room, Sums, add_to
from .norms import overall, sizes


class Crossed:
    """The residuals that go from step to step of a chain in one backward pass.

    Attributes:
        sent: for each step what it sends on to tensors of the steps before.
        readout: what comes to the chain's tensors from outside: from losses, and from layers above.
        arrived: all that comes to a tensor from outside of the step that made it.
        entered: what comes to the tensors that a step's states depend on, from outside of the step or by its
            readouts.
    """

    def __init__(self, chain: Chain, seeds: Sequence[tuple[Node, Array]]) -> None:
        self.sent: list[Room] = [{} for _ in range(len(chain))]
        self.readout: Room = {}
        self.arrived: Room = {}
        self.entered: Room = {}
        self._chain = chain
        for node, residual in seeds:
            key = key_of(node)
            if chain.step_of(key) is not None:
                chain.nodes.setdefault(key, node)
                for room in self._rooms(key, None):
                    add_to(room, key, residual)
        self.borders: dict[tuple[int, int], list[tuple[Room, Key]]] = {
            **{
                place: [(room, key) for room in self._rooms(key, step)]
                for place, (key, step) in chain.crossings.items()
            },
            **{place: [(self.entered, key)] for place, key in chain.inlets.items()},
        }

    def _rooms(self, key: Key, step: int | None) -> list[Room]:
        """The rooms for a residual that leaves a step, or comes from outside, for a tensor."""
        own_step = self._chain.step_of(key)
        entered = [self.entered] if own_step is not None and self._chain.carries(key, own_step) else []
        return [self.readout if step is None else self.sent[step], self.arrived, *entered]


class Trail:
    """What is followed in one chain.

    Attributes:
        chain: the time steps.
        run: the backward pass that measured it.
        crossed: the residuals that went from step to step in that pass.
        last: the step that the followed residual comes into; None if none comes.
        several: whether something comes into other steps too.
        entered: the norm of the residual that comes to the states, to which others are compared.
    """

    def __init__(
        self, chain: Chain, run: Pass, crossed: Crossed, last: int | None, several: bool, entered: float
    ) -> None:
        self.chain = chain
        self.run = run
        self.crossed = crossed
        self.last = last
        self.several = several
        self.entered = entered

    def size(self, state: int, step: int) -> float | None:
        """The norm of the residual at a state after a step, by whatever way; None where none arrives."""
        return (
            self.run.at(self.chain.state_at(state, step))
            if self.last is not None and step <= self.last
            else None
        )

    def left(self, state: int, step: int) -> float:
        """The same as a part of what came in."""
        return (self.size(state, step) or 0.0) / self.entered if self.entered else 0.0


class Followed:
    """The residuals of results on a tape.

    Args:
        tape: the entries.
        chains: the time steps on it.
        seeds: results and the residuals to begin with.
        alone: in each chain follow only what comes into its last step; False for all that the results send.
        towards: look only at the way to states and to these tensors; None for all that requires a residual.
        borders: where else the residuals themselves are wanted, as the results send them.
        inside: the indices of the entries to look at; None for all.
        sums: which residuals are added up before they are measured, in whatever pass they are.

    Attributes:
        whole: the pass as the results send their residuals; without the chains that are followed alone, if
            nothing comes before those.
        only_last: whether chains are followed alone.
        trails: what is followed in each chain.
    """

    def __init__(
        self,
        tape: Tape,
        chains: Sequence[Chain],
        seeds: Sequence[tuple[Node, Array]],
        alone: bool = True,
        towards: Sequence[Node] | None = None,
        borders: Borders | None = None,
        inside: Collection[int] | None = None,
        sums: Sums | None = None,
    ) -> None:
        self._towards, self._inside, self._sums = towards, inside, sums
        self.only_last = alone
        self._alone = {
            e.index for chain in chains if alone and chain.alone for within in chain.entries for e in within
        }
        outside = Tape([entry for entry in tape if entry.index not in self._alone]) if self._alone else tape
        self.seeds = seeds
        self.whole: Pass
        self.whole, crossed = self._pass(outside, seeds, chains, borders)
        trails: dict[Chain, Trail] = {}
        sources = {chain: (self.whole, crossed[chain]) for chain in chains}
        for chain in sorted(chains, key=_count, reverse=True):  # a chain that holds others before those
            run, across = sources[chain]
            last = _last_entered(chain, across.readout)
            reached = _steps_of(chain, across.readout)
            several = last is not None and any(step < last for step in reached)
            followed = {} if last is None else _since(chain, across.readout, last)
            if alone and last is not None and (several or chain.entries[0][0].index in self._alone):
                entering = [(chain.nodes[key], residual) for key, residual in followed.items()]
                within = [
                    other
                    for other in chains
                    if other is chain or chain.step_of((other.entries[0][0].index, 0)) is not None
                ]
                run, crossed = self._pass(_up_to(chain, max(reached)), entering, within)
                across = crossed[chain]
                sources.update(
                    {other: (run, crossed[other]) for other in within if _count(other) < _count(chain)}
                )
            trails[chain] = Trail(chain, run, across, last, several, _entered(chain, followed, last))
        self.trails: list[Trail] = [trails[chain] for chain in chains]

    def _pass(
        self,
        tape: Tape,
        seeds: Sequence[tuple[Node, Array]],
        chains: Sequence[Chain],
        borders: Borders | None = None,
    ) -> tuple[Pass, dict[Chain, Crossed]]:
        crossed = {chain: Crossed(chain, seeds) for chain in chains}
        together = {place: [*rooms] for place, rooms in (borders or {}).items()}
        for across in crossed.values():
            for place, rooms in across.borders.items():
                together[place] = [*together[place], *rooms] if place in together else rooms
        states = [node for chain in chains for node in chain.nodes.values()]
        towards = None if self._towards is None else [*states, *self._towards]
        ends = [
            node for chain in chains for node in chain.nodes.values() if chain.step_of(key_of(node)) is None
        ]
        return Pass(tape, seeds, together, towards, self._inside, ends, self._sums), crossed

    @property
    def caption(self) -> str:
        """What is followed, where that is not all the same."""
        if not any(trail.several for trail in self.trails):
            return ""
        of_each = " of each layer" if len(self.trails) > 1 else ""
        return (
            f"followed: only what comes into the last step{of_each}"
            if self.only_last
            else "followed: what comes into every step"
        )

    @property
    def passes(self) -> list[Pass]:
        """The results' own, and one for each chain that is followed alone."""
        return list(dict.fromkeys([self.whole, *(trail.run for trail in self.trails)]))

    def trail_of(self, chain: Chain) -> Trail | None:
        """What is followed in a chain."""
        return next((trail for trail in self.trails if trail.chain is chain), None)

    def pass_of(self, entry: Entry) -> Pass:
        """The pass that measured an operation."""
        return self._pass_of.get(entry.index, self.whole)

    @cached_property
    def _pass_of(self) -> dict[int, Pass]:
        """The innermost chain's pass has the last word."""
        return {
            entry.index: trail.run
            for trail in sorted(self.trails, key=lambda trail: -_count(trail.chain))
            for within in trail.chain.entries
            for entry in within
        }

    def measured(self) -> Iterator[tuple[Entry, float, dict[int, float]]]:
        """Every operation that a residual reached, in the order of the backward pass: the norm of what
        arrived, and by operand of what went on."""
        for run in self.passes:
            firsts = numpy.searchsorted(run.operands[:, 0], numpy.arange(len(run.entries) + 1)).tolist()
            operands, sent, received = run.operands[:, 1].tolist(), run.sent.tolist(), run.received.tolist()
            for i, entry in enumerate(run.entries):
                if self.pass_of(entry) is run:
                    yield (
                        entry,
                        received[i],
                        {operands[at]: sent[at] for at in range(firsts[i], firsts[i + 1])},
                    )


def ones(results: Sequence[Node]) -> list[tuple[Node, Array]]:
    """Results with a residual of 1 for every element."""
    return [(y, y._backend.ones_like(y._data)) for y in results if y.entry is not None]


def _count(chain: Chain) -> int:
    return sum(map(len, chain.entries))


def _read_back(chain: Chain, readout: Room) -> Crossed:
    """What comes from outside, carried through readouts only, up to the states."""
    seeds = [(chain.nodes[key], residual) for key, residual in readout.items()]
    crossed = Crossed(chain, seeds)

    def watch(entry: Entry, g: Any, operand: int, part: Array) -> None:
        for room, key in crossed.borders.get((entry.index, operand), ()):
            add_to(room, key, part)

    if seeds:
        pull_back(seeds, watch=watch, through=chain.readouts, watched={index for index, _ in crossed.borders})
    return crossed


def _last_entered(chain: Chain, readout: Room) -> int | None:
    """The last step into whose states something other than 0 comes; None if there is none.

    A residual that comes into an output may end in a mask on its way to the states. A step whose state
    nothing needs counts if it sends something to the states before it.
    """
    crossed = _read_back(chain, readout)
    last = max(_steps_of(chain, crossed.entered), default=None)
    if last is None or last + 1 == len(chain) or chain.hands_on(last + 1):
        return last
    return last + bool(_steps_of(chain, crossed.sent[last + 1]))


def _since(chain: Chain, readout: Room, last: int) -> Room:
    """The residuals that come from outside into a step and those after it."""
    steps = {key: chain.step_of(key) for key in readout}
    return {key: readout[key] for key, step in steps.items() if step is not None and step >= last}


def _entered(chain: Chain, followed: Room, last: int | None) -> float:
    """The norm of the residual that comes to the states; if the step hands none on, of what comes into the
    step."""
    if last is None or chain.hands_on(last):
        return overall(_read_back(chain, followed).entered.values(), chain.backend)
    return overall(
        (residual for key, residual in followed.items() if chain.step_of(key) == last), chain.backend
    )


def _steps_of(chain: Chain, room: Room) -> set[int]:
    """The steps whose tensors something other than 0 comes to."""
    steps = (
        chain.step_of(key)
        for key, norm in zip(room, sizes(room.values(), chain.backend), strict=True)
        if norm != 0
    )
    return {step for step in steps if step is not None}


def _up_to(chain: Chain, step: int) -> Tape:
    entries = {e.index: e for inside in chain.entries[: step + 1] for e in inside}
    return Tape([entries[index] for index in sorted(entries)])
