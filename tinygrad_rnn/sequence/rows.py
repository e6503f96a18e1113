"""A function of rows as one kernel: the loss of every character from its scores, say.

The function is traced on two rows and differentiated by its own rules, as the step of a scan is; so the kernel is the same for any
number of rows. Going back, elements are made again from the operands; what was one number of a row is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from .. import ops
from ..backends import Array, Backend
from ..backends.base import Unsupported
from ..backends.native.compiler import available, compiled
from ..backends.native.emit import FLOATS, tables, type_name
from ..backends.native.memory import address, keep_memory, numbers
from ..backends.native.threads import run_parallel, shares, workers
from ..caches import memoised
from ..chain_rule.addition import TAKE_ALONG_AXIS
from ..chain_rule.weighting import MATMUL
from ..tape import Node, record_replay, recording, thread
from .plan import ancestors, derive, dummy
from .program import Instruction, placeholder, tracing
from .schedule import REDUCTIONS, Half, Layout, Place, Scheduler, Shapes, check_instruction
from .writer import Writer


def by_rows(name: str, function: Callable[..., Any], operands: Sequence[Any], options: tuple[Any, ...]) -> Any:
    """``function(*operands, *options)``, a tensor with a row along the last axis for each row of the operands and made from that alone.

    Args:
        name: what tapes and errors call it.

    Raises:
        IndexRangeError: a whole number names no element of its row.
    """
    arrays = [x._data.astype(numpy.int64, copy=False) if x._data.dtype.kind in "iu" else x._data for x in operands]
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
    function: Callable[..., Any], options: tuple[Any, ...], kinds: tuple[tuple[int, Any], ...], wanted: tuple[bool, ...], backend: Backend
) -> _Kernel | None:
    """None where the function cannot be written as loops over rows."""
    if backend.name != "numpy" or not available():
        return None
    try:
        return _Kernel(lambda *xs: function(*xs, *options), kinds, wanted, backend)
    except Unsupported:
        return None


class _Kernel:
    """A function of rows for operands of some widths and dtypes, in machine code.

    Raises:
        Unsupported: it cannot be written as loops over rows.
    """

    def __init__(self, function: Callable[..., Any], kinds: Sequence[tuple[int, Any]], wanted: Sequence[bool], backend: Backend) -> None:
        keep_memory()
        with tracing(), recording(), backend.quiet():
            # two rows: a batch of one could be taken for a vector that is the same for all
            heads = [placeholder(dummy((2, n), dtype, backend), backend, want) for (n, dtype), want in zip(kinds, wanted, strict=True)]
            like = function(*heads)._data
            arriving = placeholder(dummy(like.shape, like.dtype, backend), backend, False)
            derived = derive(lambda: [function(*heads)], heads, [], [], [arriving])
        self.program = program = derived.program
        self.dtype = like.dtype
        if {dtype for dtype in program.dtypes if dtype.kind == "f"} != {self.dtype} or self.dtype not in FLOATS:
            raise Unsupported("values of several dtypes")
        self.kind = type_name(self.dtype)
        self.shapes = Shapes(program, 2)
        code = [*derived.forward, *derived.backward]
        self.shapes.note_rest([], code)
        for instruction in code:
            check_instruction(self.shapes, instruction)
            if instruction.row is MATMUL:
                raise Unsupported("a product")
        chosen = [i for i in derived.forward if i.row is TAKE_ALONG_AXIS]
        self.indices = [(program.steps.index(i.operands[1]), self.shapes.widths[i.operands[0]]) for i in chosen]
        self.result = derived.results[0]
        self.residuals = [r for r in derived.residuals if r is not None]
        if derived.constants or len(self.residuals) < sum(wanted):
            raise Unsupported("numbers from outside, or an operand that no residual reaches")
        self.kept = self._numbers(derived.forward)
        forward = self._half(derived.forward, program.steps, [self.result, *self.kept])
        halves = [Writer("forward", self.shapes, forward, derived.forward, self.kind, False, masked=True)]
        if self.residuals:
            backward = self._half(code, [*program.steps, *self.kept, *program.states], self.residuals)
            halves.append(Writer("backward", self.shapes, backward, code, self.kind, True, masked=True))
        text = "\n\n".join(half.text() for half in halves) + tables(half.emit for half in halves)
        addresses = compiled(text, tuple(half.name for half in halves))
        self.code = {half.name: (addresses[half.name], numpy.array(half.numbers, numpy.int64)) for half in halves}

    def _numbers(self, forward: Sequence[Instruction]) -> list[int]:
        """What the forward part reduces to one number of a row and the backward part needs."""
        needed = ancestors(self.program, self.residuals)
        return [i.results[0] for i in forward if i.row in REDUCTIONS and i in needed]

    def _half(self, code: Sequence[Instruction], given: Sequence[int], wanted: Sequence[int]) -> Half:
        """Its buffers are what is given and what is wanted, in this order."""
        layout = Layout()

        def place(v: int) -> Place:
            return Place(layout.new(self.shapes.widths[v], "row", type_name(self.program.dtypes[v])), 0, "row")

        places = {v: place(v) for v in given}
        return Scheduler(self.shapes, layout, code, places, self.kind).schedule({v: [place(v)] for v in wanted}, {})

    def _run(self, name: str, given: Sequence[Array], wanted: Sequence[int]) -> list[Array]:
        code, sizes = self.code[name]
        rows = len(given[0])
        made = [numpy.empty((rows, self.shapes.widths[v]), self.dtype) for v in wanted]
        table = numbers([address(array) for array in (*given, *made)])
        bounds = shares(rows, workers(given[0].size))
        run_parallel(code, [(table.buffer_info()[0], address(sizes), 1, rows, first, last, 0, 1) for first, last in bounds])
        return made

    def forward(self, operands: Sequence[Array]) -> tuple[Array, list[Array]]:
        """The result, and what the backward part needs beside the operands."""
        y, *kept = self._run("forward", operands, [self.result, *self.kept])
        return y, kept

    def backward(self, operands: Sequence[Array], kept: Sequence[Array], g: Array) -> list[Array]:
        """The residuals of the operands that one was asked for."""
        return self._run("backward", [*operands, *kept, g], self.residuals)
