"""The residuals of one backward pass: how large each is, and those that go from step to step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from ..backends import Array, Backend
from ..tape import Entry, Key, Node, Tape, key_of, pull_back
from .steps import Chain

_TOGETHER = 1 << 12
_BYTES = 1 << 25
_LARGE = 1 << 12
"""Arrays of so many elements cost more to lay side by side than to measure one by one."""

_SAFE = (1e-30, 1e30)
"""Squares within these bounds have lost nothing, in single precision either."""


class _Waiting:
    """Arrays of one shape that are measured together."""

    __slots__ = ("arrays", "backend", "limit", "numbers")

    def __init__(self, backend: Backend, limit: int) -> None:
        self.backend, self.limit = backend, limit
        self.numbers: list[int] = []
        self.arrays: list[Array] = []


class Sizes:
    """Euclidean norms, many at once: so each costs well below a microsecond, and on a device they come over in one piece.

    Neither 1e300 nor 1e-300 is lost. Arrays must not change until they are measured.
    """

    def __init__(self) -> None:
        self._waiting: dict[Any, _Waiting] = {}
        self._found: list[tuple[list[int], numpy.ndarray]] = []
        self._count = 0

    def add(self, array: Array, backend: Backend) -> int:
        """The number under which its norm will be found."""
        key = array.shape, array.dtype.char, backend.name
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = _Waiting(backend, max(1, min(_TOGETHER, _BYTES // (array.nbytes or 1))))
        number = self._count
        self._count = number + 1
        waiting.numbers.append(number)
        waiting.arrays.append(array)
        if len(waiting.arrays) >= waiting.limit:
            self._measure(key)
        return number

    def read(self) -> numpy.ndarray:
        """All norms by number."""
        for key in list(self._waiting):
            self._measure(key)
        norms = numpy.zeros(self._count)
        for numbers, values in self._found:
            norms[numbers] = values
        return norms

    def _measure(self, key: Any) -> None:
        waiting = self._waiting.pop(key)
        backend, arrays = waiting.backend, waiting.arrays
        if arrays[0].size >= _LARGE:
            norms = numpy.concatenate([norms_of(backend.to_host(array).ravel("K")[None]) for array in arrays])
        else:
            joined = (backend.concatenate if arrays[0].ndim else backend.stack)(arrays)  # the same elements in the same order
            norms = norms_of(backend.to_host(joined).reshape(len(arrays), -1))
        self._found.append((waiting.numbers, norms))


def norms_of(values: numpy.ndarray) -> numpy.ndarray:
    """The norm of each array of a stack."""
    flat = values.reshape(len(values), -1)
    with numpy.errstate(over="ignore", under="ignore", invalid="ignore"):
        squares = numpy.matmul(flat[:, None], flat[:, :, None]).ravel().astype(numpy.float64)
        unsafe = ~((squares > _SAFE[0]) & (squares < _SAFE[1]))
        norms = numpy.sqrt(squares)
        if unsafe.any():
            norms[unsafe] = _scaled_norms(flat[unsafe].astype(numpy.float64))
    return norms


def _scaled_norms(flat: numpy.ndarray) -> numpy.ndarray:
    """Where squares would overflow or vanish: by the largest element, which may be 0 or not finite itself."""
    largest = numpy.abs(flat).max(axis=1, initial=0.0)
    scale = numpy.where((largest > 0) & numpy.isfinite(largest), largest, 1.0)
    return scale * numpy.sqrt(numpy.sum((flat / scale[:, None]) ** 2, axis=1))


def size(backend: Backend, residual: Array) -> float:
    """The Euclidean norm, computed so that neither 1e300 nor 1e-300 is lost."""
    values = numpy.abs(backend.to_host(backend.asarray(residual)).astype(numpy.float64))
    largest = float(values.max(initial=0.0))
    if largest == 0.0 or not math.isfinite(largest):
        return largest
    return largest * float(numpy.linalg.norm((values / largest).ravel()))


def joint(norms: numpy.ndarray, lengths: Sequence[int]) -> numpy.ndarray:
    """The norms of groups that follow each other, of so many norms each."""
    counts = numpy.asarray(lengths, dtype=int)
    groups = numpy.zeros(len(counts))
    starts = numpy.cumsum(counts) - counts
    if norms.size:
        groups[counts > 0] = numpy.hypot.reduceat(norms, starts[counts > 0])
    return groups


class Crossed:
    """The residuals that go from step to step of a chain in one backward pass.

    Attributes:
        sent: for each step what it sends on to tensors of the steps before.
        readout: what comes to the chain's tensors from outside: from losses, and from layers above.
    """

    def __init__(self, steps: int) -> None:
        self.sent: list[dict[Key, Array]] = [{} for _ in range(steps)]
        self.readout: dict[Key, Array] = {}
        self.arrived: dict[Key, Array] = {}
        """All that comes to a tensor from outside of the step that made it."""

    def add(self, key: Key, step: int | None, residual: Array) -> None:
        room = self.readout if step is None else self.sent[step]
        room[key] = room[key] + residual if key in room else residual
        self.arrived[key] = self.arrived[key] + residual if key in self.arrived else residual


class Pass:
    """A backward pass that looks at everything. Nothing is written to any ``.grad``.

    Args:
        tape: the entries to go through.
        chains: where to catch the residuals that go from step to step.
        seeds: results and the residuals to begin with.
        aside: look also at what goes aside, to parameters and inputs, and not only at the way to states.

    Attributes:
        entries: those that a residual reached, last first.
        received: the norm of the residual that reached each.
        operands: rows (number of the entry in ``entries``, operand).
        sent: the norm of what went on to that operand.
        crossed: for each chain.
    """

    def __init__(self, tape: Tape, chains: Sequence[Chain], seeds: Sequence[tuple[Node, Array]], aside: bool = True) -> None:
        self.entries: list[Entry] = []
        self.crossed = [Crossed(len(chain)) for chain in chains]
        self._chains = list(zip(chains, self.crossed, strict=True))
        self._borders = {index for chain in chains for index, _ in chain.crossings}
        self._sizes = Sizes()
        self._received: list[int] = []
        self._parts_received: list[int] = []
        self._rows: tuple[list[int], list[int]] = ([], [])
        self._sent: list[int] = []
        self._last: Entry | None = None
        self._arrived: Any = None
        self._arrived_size = 0
        for node, residual in seeds:
            self._catch_seed(node, residual)
        wanted = None if aside else [node for chain in chains for node in chain.nodes.values()]
        pull_back(seeds, wanted=wanted, watch=self._watch, through=tape)
        norms = self._sizes.read()
        self.received = joint(norms[self._received], self._parts_received)
        self.operands = numpy.array(self._rows, dtype=int).T
        self.sent = norms[self._sent]
        del self._sizes, self._received, self._sent, self._rows, self._arrived, self._borders, self._last

    def _catch_seed(self, node: Node, residual: Array) -> None:
        for chain, crossed in self._chains:
            if chain.step_of(key_of(node)) is not None:
                chain.nodes.setdefault(key_of(node), node)
                crossed.add(key_of(node), None, residual)

    def _watch(self, entry: Entry, g: Any, operand: int, part: Array) -> None:
        sizes = self._sizes
        if entry is not self._last:
            self._last = entry
            self.entries.append(entry)
            if entry.row.several:
                numbers = [sizes.add(one, entry.backend) for one in g if one is not None]
                self._arrived = None
                self._received += numbers
                self._parts_received.append(len(numbers))
            else:
                self._arrived, self._arrived_size = g, sizes.add(g, entry.backend)
                self._received.append(self._arrived_size)
                self._parts_received.append(1)
        self._rows[0].append(len(self.entries) - 1)
        self._rows[1].append(operand)
        self._sent.append(self._arrived_size if part is self._arrived else sizes.add(part, entry.backend))
        if entry.index in self._borders:
            for chain, crossed in self._chains:
                crossing = chain.crossings.get((entry.index, operand))
                if crossing is not None:
                    crossed.add(*crossing, part)
