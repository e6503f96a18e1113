"""A function of rows as one kernel: the loss of every character from its scores, say.

The function is traced on a block of rows and differentiated by its own rules, as the step of a scan is;
blocks follow one another as steps do, so the kernel is the same for any number of rows. Going back, elements
are made again from the operands; what was one number of a row is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from .. import ops
from ..backends import Array, Backend
from ..backends.base import Unsupported
from ..backends.native.memory import address
from ..backends.native.threads import shares, workers
from ..caches import memoised
from ..chain_rule.routing import LookedUp
from ..tape import Node, record_replay, recording, thread
from .blocks import Blocks
from .elements import Elements
from .hoist import ancestors
from .plan import derive, dummy
from .program import Instruction, placeholder, tracing

BLOCK = 16
"""Rows of a block: what is made of them stays in the nearest cache."""


def by_rows(
    name: str, function: Callable[..., Any], operands: Sequence[Any], options: tuple[Any, ...]
) -> Any:
    """``function(*operands, *options)``, a tensor with a row along the last axis for each row of the operands
    and made from that alone.

    Args:
        name: what tapes and errors call it.

    Raises:
        IndexRangeError: a whole number names no element of its row.
    """
    arrays = [
        x._data.astype(numpy.int64, copy=False) if x._data.dtype.kind in "iu" else x._data for x in operands
    ]
    wanted = tuple([thread.recording and x.requires_grad for x in operands])
    kinds = tuple([(x.shape[-1], x.dtype) for x in arrays])
    kernel = _kernel(function, options, kinds, wanted, operands[0]._backend)
    if kernel is None or len({x.shape[:-1] for x in arrays}) > 1:
        return function(*operands, *options)
    for index, width in kernel.indices:
        ops.check_range(name, operands[index], width)
    rows = [numpy.ascontiguousarray(x).reshape(-1, x.shape[-1]) for x in arrays]
    lead = arrays[0].shape[:-1]
    y, kept = kernel.forward(rows)
    y = y.reshape(*lead, y.shape[-1])
    if True not in wanted:
        return Node.result_type(y, operands[0]._backend)

    def pull(g: Array) -> list[Array]:
        residuals = kernel.backward(rows, kept, numpy.ascontiguousarray(g).reshape(-1, y.shape[-1]))
        return [residual.reshape(*lead, residual.shape[-1]) for residual in residuals]

    return record_replay(name, lambda *xs: function(*xs, *options), operands, y, pull)


@memoised(256)
def _kernel(
    function: Callable[..., Any],
    options: tuple[Any, ...],
    kinds: tuple[tuple[int, Any], ...],
    wanted: tuple[bool, ...],
    backend: Backend,
) -> _Kernel | None:
    """None where the function cannot be written as loops over rows."""
    if not backend.runs_machine_code():
        return None
    try:
        return _Kernel(lambda *xs: function(*xs, *options), kinds, wanted, backend)
    except Unsupported:
        return None


class _Kernel:
    """A function of rows for operands of some widths and dtypes, in machine code.

    Attributes:
        indices: which operands name elements of a row, and of how many.

    Raises:
        Unsupported: it cannot be written as loops over rows.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        kinds: Sequence[tuple[int, Any]],
        wanted: Sequence[bool],
        backend: Backend,
    ) -> None:
        with tracing(), recording(), backend.quiet():
            heads = [
                placeholder(dummy((BLOCK, n), dtype, backend), backend, want)
                for (n, dtype), want in zip(kinds, wanted, strict=True)
            ]
            like = function(*heads)._data
            arriving = placeholder(dummy(like.shape, like.dtype, backend), backend, False)
            derived = derive(lambda: [function(*heads)], heads, [], [], [arriving])
        self.program = program = derived.program
        self.result = derived.results[0]
        self.residuals = [r for r in derived.residuals if r is not None]
        if (
            derived.constants
            or len(self.residuals) < sum(wanted)
            or any(program.shapes[v][:1] != (BLOCK,) for v in self.residuals)
        ):
            raise Unsupported("numbers from outside, or an operand that no residual reaches")
        chosen = [i for i in derived.forward if isinstance(i.row.loops, LookedUp)]
        self.indices = [
            (program.steps.index(i.operands[1]), program.shapes[i.operands[0]][-1]) for i in chosen
        ]
        self.kept = self._numbers(derived.forward)
        self._forward = Blocks(program, BLOCK, program.steps, [self.result, *self.kept])
        if self.residuals:
            self._backward = Blocks(
                program, BLOCK, [*program.steps, *self.kept, *program.states], self.residuals
            )

    def _numbers(self, forward: Sequence[Instruction]) -> list[int]:
        """What the forward half reduces to one number of a row and the backward half needs."""
        needed, elements = (
            ancestors(self.program, self.residuals),
            Elements(self.program, forward, set(self.program.steps)),
        )
        reduced = [
            (i, p, v)
            for i in forward
            if i in needed
            for p, v in enumerate(i.results)
            if math.prod(self.program.shapes[v]) == BLOCK
        ]
        return [v for i, position, v in reduced if not elements.is_expression(i, position)]

    def _run(self, half: Blocks, given: Sequence[Array], wanted: Sequence[int]) -> list[Array]:
        rows = len(given[0])
        results = [numpy.empty((rows, *self.program.shapes[v][1:]), self.program.dtypes[v]) for v in wanted]
        full, rest = divmod(rows, BLOCK)
        pointers = [address(array) for array in (*given, *results)]
        bounds = shares(full, workers(given[0].size))
        work = [[(pointers, last - first, first, 0, BLOCK)] if first < last else [] for first, last in bounds]
        if rest:
            work[-1].append((pointers, 1, full, 0, rest))
        half.run(work)
        return results

    def forward(self, operands: Sequence[Array]) -> tuple[Array, list[Array]]:
        """The result, and what the backward half needs beside the operands."""
        y, *kept = self._run(self._forward, operands, [self.result, *self.kept])
        return y, kept

    def backward(self, operands: Sequence[Array], kept: Sequence[Array], g: Array) -> list[Array]:
        """The residuals of the operands that one was asked for."""
        return self._run(self._backward, [*operands, *kept, g], self.residuals)
