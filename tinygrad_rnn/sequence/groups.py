"""Maps that are made in the same loops: a value that is read element for element joins the group that reads
it.

for i, j:                   a group over the space (i, j)
    a = x[i, j] + h[i, j]       a map: its element stays in a register
    y[i, j] = tanh(a)           a map of it, which is stored
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy

from ..backends.atoms import Value
from .elements import Elements
from .index import Index, Var, flat, of
from .nests import MAPS, Buffer, Group, Map, Nest, Place, Store
from .reader import Indices, Probe, Reader


class Groups:
    """The nests of a half while they are planned, and which values which of them has.

    Args:
        places: where the values lie that the half is given.
        batch: the axis of the samples in each value that has one, where threads share them.
        buffers: those that there are; grows.

    Attributes:
        homes: where each value in memory lies.
        prologue: nests that run once, before the loop over time.
        stages: nests of each step, in order.
        read: the values that are read from memory.
    """

    def __init__(
        self, elements: Elements, places: dict[int, Place], batch: dict[int, int], buffers: list[Buffer]
    ) -> None:
        self.elements = elements
        self._places, self._batch, self._buffers = places, batch, buffers
        self._begin()

    def _begin(self) -> None:
        """Nothing is planned."""
        self.homes: dict[int, Place] = dict(self._places)
        self.prologue: list[Nest] = []
        self.stages: list[Nest] = []
        self.read: set[int] = set()
        self._maps: dict[int, tuple[int, Map | None]] = {}
        self._spaces: dict[tuple[tuple[int, bool], ...], tuple[Var, ...]] = {}

    def _drop(self, leaving: set[Place]) -> None:
        """Store nothing that nobody reads: others in a group have it from a register."""
        for nest in self.stages:
            for m in nest.maps if isinstance(nest, Group) else ():
                if m.value is not None and m.value not in self.read:
                    m.stores = [
                        s for s in m.stores if s.place in leaving or s.place != self.homes.get(m.value)
                    ]

    def _scratch(self, v: int, shared: bool) -> Place:
        """Memory for a value that is nothing before and after the loop; without samples each thread has its
        own."""
        size = self._size(v)
        self._buffers.append(Buffer(len(self._buffers), self.elements.kind(v), size, 0 if shared else size))
        return Place(self._buffers[-1], "fixed")

    def _size(self, v: int) -> int:
        return int(numpy.prod(self.elements.shapes[v], dtype=numpy.int64))

    # -- spaces ----------------------------------------------------------------------------------------------

    def _space(self, shape: Sequence[int], batch: int | None = None) -> tuple[tuple[Var, ...], Indices]:
        """The variables of loops over a shape, the same for all nests, and the indices; ``batch`` is the axis
        of the samples."""
        lengths = tuple((n, i == batch) for i, n in enumerate(shape) if n != 1)
        if lengths not in self._spaces:
            self._spaces[lengths] = tuple(Var(*length) for length in lengths)
        variables = iter(self._spaces[lengths])
        return self._spaces[lengths], tuple(Index() if n == 1 else of(next(variables)) for n in shape)

    def _axes(self, v: int) -> tuple[tuple[Var, ...], Indices]:
        """A variable for each axis of a value."""
        axes = tuple(Var(n, i == self._batch.get(v)) for i, n in enumerate(self.elements.shapes[v]))
        return axes, tuple(map(of, axes))

    # -- groups ----------------------------------------------------------------------------------------------

    def _join(self, space: tuple[Var, ...], new: Map, after: int = 0) -> int:
        """Put a map in the first group over its space that comes late enough; returns the stage."""
        probe = Probe(self.elements.kind)
        new.source(probe)
        sources = self._sources(space, probe)
        after = max([after, *(stage + (not here) for stage, here in sources)])
        stage = next(
            (i for i in range(after, len(self.stages)) if self._is_group(i, space, MAPS)), len(self.stages)
        )
        if stage == len(self.stages):
            self.stages.append(Group(space))
        group = self.stages[stage]
        assert isinstance(group, Group)
        group.maps.append(new)
        self._note_reads(probe, sources, stage)
        return stage

    def _sources(self, space: tuple[Var, ...], probe: Probe) -> list[tuple[int, bool]]:
        """Of what is read where it is made, and whether a group over the space has it in a register there."""
        found = []
        for u, index in probe.reads:
            stage, made = self._maps.get(u, (-1, None))
            found.append((stage, made is not None and index == made.index and self._is_group(stage, space)))
        return found

    def _note_reads(self, probe: Probe, sources: Sequence[tuple[int, bool]], at: int) -> None:
        """Note what a stage reads from memory."""
        self.read.update(
            u for (u, _), (stage, here) in zip(probe.reads, sources, strict=True) if stage != at or not here
        )

    def _is_group(self, stage: int, space: tuple[Var, ...], maps: float = math.inf) -> bool:
        nest = self.stages[stage]
        return isinstance(nest, Group) and nest.space == space and len(nest.maps) < maps

    def _note(self, source: Callable[[Reader], Value]) -> Probe:
        probe = Probe(self.elements.kind)
        source(probe)
        self.read.update(u for u, _ in probe.reads)
        return probe

    def _beside(self, space: tuple[Var, ...], source: Callable[[Reader], Value]) -> int | None:
        """The group that makes what an expression reads, in the same loops; None where there is none."""
        probe = Probe(self.elements.kind)
        source(probe)
        sources = self._sources(space, probe)
        after = max((stage + (not here) for stage, here in sources), default=0)
        if space and any(here and stage == after for stage, here in sources):
            self._note_reads(probe, sources, after)
            return after
        return None

    def _zeros(self, v: int, place: Place) -> int:
        space, indices = self._space(self.elements.shapes[v], self._batch.get(v))
        index = flat(indices, self.elements.shapes[v])
        return self._join(space, Map(None, _zero(place.buffer.kind), index, [Store(place, index)]))


def _zero(kind: str) -> Callable[[Reader], Value]:
    return lambda k: k.printer.number(0, kind)
