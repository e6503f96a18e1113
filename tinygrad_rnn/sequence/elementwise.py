"""A formula over the elements of arrays as one loop of machine code: an optimiser's update, say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from .. import ops
from ..backends import Array, Backend
from ..backends.base import Unsupported
from ..backends.native.memory import address
from ..backends.native.threads import shares, workers
from ..tape import now, recording
from .blocks import Blocks, Part
from .program import capture, placeholder, tracing

Formula = Callable[[Any, Sequence[Any], Sequence[Any]], Sequence[Any]]
"""formula(np, arrays, numbers) → a new array, and what comes in the place of the arrays from the third on."""

_ROWS = 16
"""Elements of the arrays that a formula is traced on: any number but one stands for all."""


class ElementwiseLoop:
    """A formula, traced and lowered as the step of a cell is.

    Args:
        arrays, numbers: how many it takes.
        dtype: of all of them.

    Raises:
        TraceError, Unsupported: it is no loop over elements.
    """

    def __init__(self, formula: Formula, arrays: int, numbers: int, dtype: Any, backend: Backend) -> None:
        with tracing(), recording(), backend.quiet():
            rows = [placeholder(backend.ones(_ROWS, dtype), backend, False) for _ in range(arrays)]
            scalars = [placeholder(backend.ones((), dtype), backend, False) for _ in range(numbers)]
            since = now()
            trace = capture(formula(ops, rows, scalars), rows, [], scalars, since)
        if trace.outside:
            raise Unsupported("numbers from outside")
        self._dtype = dtype
        self._blocks = Blocks(trace.program, _ROWS, trace.program.steps, trace.results, trace.program.fixed)
        if not self._blocks.one_loop:  # it would read what it has changed
            raise Unsupported("more than one loop")

    def run(self, sets: Sequence[Sequence[Array]], numbers: Sequence[float]) -> list[Array]:
        """The new arrays, from sets of contiguous ones; those from the third on are changed."""
        scalars = numpy.array(numbers, self._dtype)
        places = range(address(scalars), address(scalars) + scalars.nbytes, scalars.itemsize)
        made = [numpy.empty_like(arrays[0]) for arrays in sets]
        work: list[list[Part]] = [[] for _ in range(workers(sum([new.size for new in made])))]
        for arrays, new in zip(sets, made, strict=True):
            pointers = [*map(address, arrays)]
            pointers += [*places, address(new), *pointers[2:]]
            for share, (first, last) in zip(work, shares(new.size, len(work)), strict=True):
                if first < last:
                    share.append((pointers, 1, 0, first, last))
        self._blocks.run(work)
        return made
