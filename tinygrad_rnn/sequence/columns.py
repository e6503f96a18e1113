"""How threads share a step whose samples are few, or see each other: each makes some columns of every value,
and waits where it is going to read what another one makes.

A nest is split along one of its axes. What a thread reads or writes of a buffer is told by the stride and the
length of that axis there: two nests that tell the same of a buffer touch the same elements of it in the same
thread. Between any others that meet in a buffer, of which one writes, all threads wait for each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .contractions import Contraction
from .index import Index, Var, of
from .nest_planner import Nests
from .nests import Check, Group, Nest, Place, Reduction, RunningSum, Scattering
from .reader import Probe

ENOUGH = 8
"""Parts of an axis that are as good as more."""

_EVERYONE = ("everyone",)
_FIRST = ("the first thread",)


@dataclass(frozen=True)
class Split:
    """The axis of a nest whose elements threads share, so many neighbours at a time."""

    axis: Var
    together: int

    @property
    def parts(self) -> int:
        return -(-self.axis.length // self.together)


@dataclass(frozen=True)
class _Access:
    """What a nest reads or writes of a buffer, and which of its elements which thread: equal only where no
    two threads meet."""

    place: Place
    whose: Any
    writes: bool


class Columns:
    """The splits of a half's nests, and where threads wait.

    Args:
        width: elements of a vector, or of a tile's columns, that stay together.

    Attributes:
        splits: of each nest that is shared; what is not is left to the first thread.
        waits: the nests before which all threads wait for each other.
        most: how many threads may share them.
    """

    def __init__(self, nests: Nests, width: int) -> None:
        self._nests, self._width = nests, width
        self.splits: dict[int, Split] = {}
        self.waits: set[int] = set()
        for nest in (*nests.prologue, *nests.stages):
            split = self._split(nest)
            if split is not None:
                self.splits[id(nest)] = split
        self.most: int = min((split.parts for split in self.splits.values()), default=1)
        once = [(nest, self._accesses(nest)) for nest in nests.prologue]
        self._wait(once, [])
        each = [(nest, self._accesses(nest)) for nest in nests.stages]
        known = -1
        while known != len(self.waits):  # the last nests of a step meet the first ones of the next
            known = len(self.waits)
            self._wait(each, self._wait(each, []))

    @property
    def waits_a_step(self) -> int:
        """How often a step waits."""
        return sum(id(nest) in self.waits for nest in self._nests.stages)

    # -- splits ----------------------------------------------------------------------------------------------

    def _split(self, nest: Nest) -> Split | None:
        """Along the axis with the most parts, up to enough; of several the one whose elements are
        neighbours."""
        found = [split for split in self._possible(nest) if split.parts > 1]
        return max(found, key=lambda split: (min(split.parts, ENOUGH), split.together), default=None)

    def _possible(self, nest: Nest) -> list[Split]:
        if isinstance(nest, Group):
            written = [store.index for m in nest.maps for store in m.stores] + [
                r.index for r in nest.reductions
            ]
            return [
                self._along(axis, written)
                for axis in nest.space
                if all(index.terms.get(axis, 0) > 0 for index in written)
            ]
        if isinstance(nest, Contraction):
            axes = [*nest.rows, *([nest.vector] if nest.vector else [])]
            return [self._along(axis, [nest.index]) for axis in axes if nest.index.terms.get(axis, 0) > 0]
        if isinstance(nest, Reduction):
            return [
                self._along(axis, [nest.index]) for axis in nest.kept if nest.index.terms.get(axis, 0) > 0
            ]
        return []

    def _along(self, axis: Var, written: Sequence[Index]) -> Split:
        """Threads write no cache line together, and whole tiles."""
        return Split(axis, max(1, *(-(-self._width // index.terms[axis]) for index in written)))

    # -- waits -----------------------------------------------------------------------------------------------

    def touched(self, nest: Nest) -> list[tuple[Place, Index | None, bool]]:
        """What a nest reads and writes: where it lies, which element of it, None where values say that, and
        whether it is written."""
        nests, probe = self._nests, Probe(self._nests.elements.kind)
        element, homes, written = nests.elements.element, nests.homes, list[tuple[Place, Index | None]]()
        if isinstance(nest, Group):
            for m in nest.maps:
                m.source(probe)
                written += [(store.place, store.index) for store in m.stores]
            for r in nest.reductions:
                element(probe, r.operand, r.indices)
                written.append((homes[r.value], r.index))
        elif isinstance(nest, Contraction):
            probe.reads += [(x.value, x.index) for x in (nest.a, nest.b)]
            written.append((homes[nest.value], nest.index))
        elif isinstance(nest, Reduction):
            element(probe, nest.operand, nest.indices)
            written.append((homes[nest.value], nest.index))
        elif isinstance(nest, (RunningSum, Scattering)):
            element(probe, nest.operand, tuple(map(of, nest.axes)))
            if isinstance(nest, Scattering):
                nest.turn(probe)
            written.append((homes[nest.value], None))
        elif isinstance(nest, Check):
            element(probe, nest.value, tuple(map(of, nest.axes)))
        read = [(homes[v], index, False) for v, index in probe.reads if v in homes]
        return [*((place, index, True) for place, index in written), *read]

    def _accesses(self, nest: Nest) -> list[_Access]:
        split = self.splits.get(id(nest))
        return [_Access(place, _whose(index, split), writes) for place, index, writes in self.touched(nest)]

    def _wait(self, sequence: Sequence[tuple[Nest, list[_Access]]], before: list[_Access]) -> list[_Access]:
        """Note where to wait; returns what is done since then.

        Args:
            before: what was done a step before, since all waited.
        """
        since = list[_Access]()
        for nest, accesses in sequence:
            if id(nest) not in self.waits and (
                _meet(since, accesses, _same_step) or _meet(before, accesses, _next_step)
            ):
                self.waits.add(id(nest))
            if id(nest) in self.waits:
                since, before = [], []
            since += accesses
        return since + before


def _whose(index: Index | None, split: Split | None) -> Any:
    """Which thread touches an element: told by the stride of the axis and its length, where all else that
    says the place stays below the stride, or is whole lengths further."""
    if split is None:
        return _FIRST
    stride = 0 if index is None else index.terms.get(split.axis, 0)
    if index is None or stride <= 0:
        return _EVERYONE
    whole = stride * split.axis.length
    least = most = index.const % whole
    for axis, step in index.terms.items():
        if axis is not split.axis and step % whole:
            least += min(0, step * (axis.length - 1))
            most += max(0, step * (axis.length - 1))
    return (stride, split.axis.length, split.together) if least >= 0 and most < stride else _EVERYONE


def _meet(some: Sequence[_Access], others: Sequence[_Access], together: Callable[[str, str], bool]) -> bool:
    return any(
        a.place.buffer is b.place.buffer
        and (a.writes or b.writes)
        and (a.whose != b.whose or a.whose == _EVERYONE)
        and together(a.place.slot, b.place.slot)
        for a, b in itertools.product(some, others)
    )


def _same_step(a: str, b: str) -> bool:
    """Whether two slots may be one part of a buffer."""
    return a == b or "fixed" in (a, b)


def _next_step(a: str, b: str) -> bool:
    """Whether a slot may be what another one is a step later."""
    return a != b or a == "fixed"
