"""``scan`` as one entry of the tape: trace the cell, find or make its plan, run it."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from typing import Any

from .. import arguments, caches, tree
from ..backends import Backend
from ..backends.native import code_cache
from ..effects import effect
from ..errors import TraceError
from ..tape import Entry, Node, note, thread
from .budget import Kept, settled
from .explained import note_plan, refuse_calls
from .options import ScanOptions
from .plans import engine_of, plan_of
from .program import Program
from .run import CompiledScan, ScanCall, SegmentedScan
from .single_step import note_call, repeated_step, single_step
from .trace import Cell, TracedCell
from .traces import traced_cell


def compiled_scan(
    cell: Cell, xs: Any, state: Any, options: ScanOptions, no_calls: bool = False
) -> tuple[Any, Any]:
    """As :func:`eager_scan`, compiled.

    Args:
        no_calls: refuse what is not machine code, or kernels of a device, throughout.

    Raises:
        TraceError: the cell cannot be compiled; says why.
    """
    inputs, states = tree.leaves(xs), tree.leaves(state)
    traced, outside = traced_cell(cell, xs, state, inputs, states)
    program, backend, steps = traced.trace.program, inputs[0]._backend, inputs[0].shape[0]
    live = options.live
    if live is not None and any(program.shapes[v][:1] != live.shape[1:] for v in program.outputs):
        raise TraceError("with lengths or a mask each output needs the batch as its first axis")
    needs = _needs([*inputs, *states, *outside])
    planned = _planning.get() and thread.tracing is None  # what is traced goes into a trace that stays
    alone = steps == 1 and live is None and True not in needs
    if alone and not planned and backend.runs_machine_code():
        single = single_step(cell, traced, inputs, states, outside)
        if single is not None:
            note_call(cell, traced, state, [*inputs, *states])
            return tree.unflatten(traced.y, single[0]), tree.unflatten(state, single[1])
    plan = plan_of(traced, needs, options, backend)
    call = ScanCall(
        cell, traced, xs, state, outside, options, needs, steps, plan, engine_of(plan, backend), _scan_of
    )
    if no_calls:
        refuse_calls(call.engine, backend.name)
    kept = settled(call)
    note_plan(cell, plan, call.engine, backend.name, steps, kept)
    ys, last = _blank(program, backend, steps, plan.differentiated) if planned else _recorded(call, kept)
    return tree.unflatten(traced.y, ys), tree.unflatten(state, last)


def repeated_scan(cell: Any, xs: Any, state: Any) -> tuple[Any, Any] | None:
    """What a scan of one step without residuals returns that is like one before, where a look tells so; else
    None."""
    return None if _planning.get() else repeated_step(cell, xs, state)


_planning = contextvars.ContextVar("tinygrad_rnn_planning", default=False)


def is_planning() -> bool:
    """Whether what comes out of scans at the moment are zeros."""
    return _planning.get()


@contextlib.contextmanager
def planning() -> Iterator[None]:
    """A block in which scans are planned, and zeros come out, in no memory."""
    before = _planning.set(True)
    try:
        yield
    finally:
        _planning.reset(before)


def _blank(
    program: Program, backend: Backend, steps: int, differentiated: bool
) -> tuple[list[Any], list[Any]]:
    """Zeros in place of outputs and last states."""

    def zeros(v: int, *further: int) -> Any:
        zero = backend.broadcast_to(backend.zeros((), program.dtypes[v]), (*further, *program.shapes[v]))
        return Node.result_type(zero, backend, differentiated and program.dtypes[v].kind == "f")

    return [zeros(v, steps) for v in program.outputs], [zeros(v) for v in program.carried]


def _scan_of(
    like: ScanCall,
    traced: TracedCell,
    xs: list[Any],
    state: list[Any],
    outside: list[Any],
    options: ScanOptions,
) -> tuple[list[Any], list[Any]]:
    """A program that comes from a scan, its derivative say, as another scan of as many steps.

    Raises:
        TraceError: it cannot be planned.
    """
    needs = _needs([*xs, *state, *outside])
    plan = plan_of(traced, needs, options, like.backend)
    engine = engine_of(plan, like.backend)
    call = ScanCall(like.cell, traced, xs, state, outside, options, needs, like.steps, plan, engine, _scan_of)
    return _recorded(call, settled(call))


def _needs(operands: Sequence[Any]) -> tuple[bool, ...]:
    """For each operand whether it needs a residual."""
    return tuple([x.requires_grad for x in operands]) if thread.recording else (False,) * len(operands)


def _recorded(call: ScanCall, kept: Kept) -> tuple[list[Any], list[Any]]:
    """Run forward; the outputs and the last states, recorded as one entry."""
    backend, needs, states = call.backend, call.needs, call.counts[1]
    segment = kept.steps if True in needs else None
    run = CompiledScan(call, kept.bytes) if segment is None else SegmentedScan(call, segment)
    arrays = [x._data for x in call.operands]
    results = run.forward(arrays)
    wanted = call.flow.results(call.options, call.steps)
    if True not in wanted:
        made = [Node.result_type(array, backend) for array in results]
    else:
        entry = Entry(run, backend, call.operands, arrays, (), needs, tuple(results), thread.scope)
        note(entry)
        kinds = enumerate(zip(results, wanted, strict=True))
        made = [Node.result_type(y, backend, want, entry if want else None, i) for i, (y, want) in kinds]
    count = len(made) - states
    return made[:count], made[count:]


# -- all that is kept ----------------------------------------------------------------------------------------


@effect("empties the caches")
def clear_caches(disk: bool = False) -> None:
    """Forget all traces, plans and machine code: each cell is compiled anew at its next call, with the same
    results.

    There is seldom a need: what is kept is bounded, and what was used least recently goes first. Code that
    runs, or that a tape needs for its backward pass, stays as long as it does.

    >>> tg.clear_caches()

    Args:
        disk: also remove the code that is kept for the next process, in the folder that
            ``TINYGRAD_RNN_CACHE`` names.

    Raises:
        ArgumentError: ``disk`` is neither True nor False.
    """
    disk = arguments.flag("clear_caches: disk", disk)
    caches.clear()
    if disk:
        code_cache.clear()
