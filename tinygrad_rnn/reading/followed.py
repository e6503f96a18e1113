"""Residuals followed back: one backward pass that looks at everything, and which residual is followed in each
chain of time steps.

A loss that is a sum over time steps sends a fresh residual into every step, which would hide that an old one
has died. So in each chain, a layer in one direction, only that residual is followed which comes into the last
step that the loss reaches; operations outside of time steps are measured as the loss has it. Who wants the
residuals exactly as the loss has them says so (``alone=False``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy

from ..backends import Array
from ..tape import Entry, Key, Node, Tape, key_of, pull_back
from .chain import Chain
from .norms import Sizes, joint, overall, sizes

Room = dict[Key, Array]
"""Residuals by the tensor that they came to, added up."""

Borders = Mapping[tuple[int, int], Sequence[tuple[Room, Key]]]
"""For (index of an entry, operand) in which rooms the residual that goes on there is kept, and under which
key."""


class Pass:
    """A backward pass that looks at everything. Nothing is written to any ``.grad``.

    Args:
        tape: the entries to go through.
        seeds: results and the residuals to begin with.
        borders: where the residuals themselves are wanted.
        towards: go on only to what leads to these tensors; None for all that requires a residual.
        inside: the indices of the entries to look at; None for all.
        ends: tensors from before, whose residual is looked at too.

    Attributes:
        entries: those that a residual reached, last first.
        received: the norm of the residual that reached each.
        operands: rows (number of the entry in ``entries``, operand).
        sent: the norm of what went on to that operand.
    """

    def __init__(
        self,
        tape: Tape,
        seeds: Sequence[tuple[Node, Array]],
        borders: Borders | None = None,
        towards: Sequence[Node] | None = None,
        inside: Collection[int] | None = None,
        ends: Sequence[Node] = (),
    ) -> None:
        self.entries: list[Entry] = []
        self._borders, self._inside = borders or {}, inside
        self._sizes = Sizes(seeds[0][0]._backend)
        self._number: dict[Key, int] = {}
        self._counts: list[int] = []
        self._rows: tuple[list[int], list[int]] = ([], [])
        self._sent: list[int] = []
        self._last: Entry | None = None
        self._arrived: Any = None
        watched = None if inside is None else {*inside, *(index for index, _ in self._borders)}
        residuals, caught = pull_back(seeds, wanted=towards, watch=self._watch, through=tape, watched=watched)
        received = list(self._number.values())
        rest = {key_of(node): residuals.at(node) for node in ends}
        # nothing further on is wanted
        rest |= {key: residual for key, residual in caught.items() if inside is None or key[0] in inside}
        for key, residual in rest.items():
            if residual is not None and key not in self._number:
                self._number[key] = self._sizes.add(residual)
        self._norms = self._sizes.read()
        self.received = joint(self._norms[received], self._counts)
        self.operands = numpy.array(self._rows, dtype=int).reshape(2, -1).T
        self.sent = self._norms[self._sent]
        del (
            self._sizes,
            self._counts,
            self._rows,
            self._sent,
            self._last,
            self._arrived,
            self._borders,
            self._inside,
        )

    def _watch(self, entry: Entry, g: Any, operand: int, part: Array) -> None:
        for room, key in self._borders.get((entry.index, operand), ()):
            add_to(room, key, part)
        if self._inside is not None and entry.index not in self._inside:
            return
        if entry is not self._last:
            self._last, self._arrived = entry, None if entry.row.several else g
            self.entries.append(entry)
            arrived = (
                [(i, one) for i, one in enumerate(g) if one is not None] if entry.row.several else [(0, g)]
            )
            for position, one in arrived:
                self._number[entry.index, position] = self._sizes.add(one)
            self._counts.append(len(arrived))
        same = part is self._arrived
        self._rows[0].append(len(self.entries) - 1)
        self._rows[1].append(operand)
        self._sent.append(self._number[entry.index, 0] if same else self._sizes.add(part))

    def at(self, key: Key | None) -> float | None:
        """The norm of all that arrived at a tensor, from wherever; None where nothing did or it was not
        looked at."""
        number = None if key is None else self._number.get(key)
        return None if number is None else float(self._norms[number])

    def arrived(self, entry: Entry) -> float:
        """The norm of the residual that reached an operation."""
        return self._received_by.get(entry.index, 0.0)

    def part(self, entry: Entry, operand: int) -> float | None:
        """The norm of what went on to an operand; None where nothing did."""
        return self._sent_by.get((entry.index, operand))

    @cached_property
    def _received_by(self) -> dict[int, float]:
        return {entry.index: norm for entry, norm in zip(self.entries, self.received.tolist(), strict=True)}

    @cached_property
    def _sent_by(self) -> dict[tuple[int, int], float]:
        indices = [entry.index for entry in self.entries]
        return {
            (indices[row], operand): norm
            for (row, operand), norm in zip(self.operands.tolist(), self.sent.tolist(), strict=True)
        }


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
        self.borders = {
            place: [(room, key) for room in self._rooms(key, step)]
            for place, (key, step) in chain.crossings.items()
        }
        self.borders |= {place: [(self.entered, key)] for place, key in chain.inlets.items()}

    def _rooms(self, key: Key, step: int | None) -> list[Room]:
        """Where what leaves a step, or none, for a tensor is kept."""
        made = self._chain.step_of(key)
        entered = [self.entered] if made is not None and self._chain.carries(key, made) else []
        return [self.readout if step is None else self.sent[step], self.arrived, *entered]


def add_to(room: Room, key: Key, residual: Array) -> None:
    """One more residual for a tensor; the first stays as it is, since it is another's array."""
    room[key] = room[key] + residual if key in room else residual


class Trail:
    """What is followed in one chain.

    Attributes:
        chain: the time steps.
        run: the backward pass that measured it.
        crossed: what went from step to step in that pass.
        last: the step that the followed residual comes into; None if none comes.
        several: whether something comes into other steps too.
        entered: the norm of the residual that comes to the states, to which others are compared.
    """

    def __init__(
        self, chain: Chain, run: Pass, crossed: Crossed, last: int | None, several: bool, entered: float
    ) -> None:
        self.chain, self.run, self.crossed, self.last, self.several, self.entered = (
            chain,
            run,
            crossed,
            last,
            several,
            entered,
        )

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

    Attributes:
        whole: the pass as the results send their residuals; without the chains that are followed alone, if
            nothing comes before those.
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
    ) -> None:
        self._towards, self._inside, self._only_last = towards, inside, alone
        self._alone = {
            e.index for chain in chains if alone and chain.alone for within in chain.entries for e in within
        }
        outside = Tape([entry for entry in tape if entry.index not in self._alone]) if self._alone else tape
        self.seeds = seeds
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
        self.trails = [trails[chain] for chain in chains]

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
        return Pass(tape, seeds, together, towards, self._inside, ends), crossed

    @property
    def caption(self) -> str:
        """What is followed, where that is not all the same."""
        if not any(trail.several for trail in self.trails):
            return ""
        of_each = " of each layer" if len(self.trails) > 1 else ""
        return (
            f"followed: only what comes into the last step{of_each}"
            if self._only_last
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
                        {operands[row]: sent[row] for row in range(firsts[i], firsts[i + 1])},
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

    What comes into an output may end in a mask on the way to them. A step that hands no state on, since
    nothing needs the one after it, counts as what it sends to the states before.
    """
    crossed = _read_back(chain, readout)
    last = max(_steps_of(chain, crossed.entered), default=None)
    if last is None or last + 1 == len(chain) or chain.hands_on(last + 1):
        return last
    return last + bool(_steps_of(chain, crossed.sent[last + 1]))


def _since(chain: Chain, readout: Room, last: int) -> Room:
    """Of what comes from outside that into a step and those after it."""
    steps = {key: chain.step_of(key) for key in readout}
    return {key: readout[key] for key, step in steps.items() if step is not None and step >= last}


def _entered(chain: Chain, followed: Room, last: int | None) -> float:
    """The norm of what comes to the states; of what comes into a step that hands none on."""
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
