"""``scan`` as one entry of the tape: trace the cell, find or make its plan, run it."""

from __future__ import annotations

import contextlib
import contextvars
import types
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from .. import arguments, backends, caches, tree
from ..backends import Backend
from ..backends.base import Unsupported
from ..backends.native import code_cache
from ..caches import Recent, recent
from ..chain_rule import Row
from ..effects import effect
from ..errors import IndexRangeError, TinygradRNNError, TraceError
from ..tape import Entry, Node, host, note, thread
from .bound_step import BoundStep
from .budget import settled
from .explained import note_plan, refuse_calls
from .hoist import Core, extract_core
from .kernels import KernelPlan
from .nested import NestPlan
from .normal_form import normal_form
from .plan import Plan, make_plan
from .program import Number, Program
from .run import CompiledScan, ScanCall, SegmentedScan
from .trace import Attempt, Cell, Reading, TracedCell, trace_cell


def compiled_scan(
    cell: Cell,
    xs: Any,
    state: Any,
    live: numpy.ndarray | None,
    reverse: bool,
    masked_output: str,
    checkpoint: int | str | None = None,
    no_calls: bool = False,
) -> tuple[Any, Any]:
    """As :func:`eager_scan`, compiled.

    Args:
        no_calls: refuse what is not machine code, or kernels of a device, throughout.

    Raises:
        TraceError: the cell cannot be compiled; says why.
    """
    inputs, states = tree.leaves(xs), tree.leaves(state)
    traced, outside = traced_cell(cell, xs, state, inputs, states)
    trace, backend = traced.trace, inputs[0]._backend
    if live is not None and any(trace.program.shapes[v][:1] != live.shape[1:] for v in trace.program.outputs):
        raise TraceError("with lengths or a mask each output needs the batch as its first axis")
    needs = _needs([*inputs, *states, *outside])
    planned = _planning.get() and thread.tracing is None  # what is traced goes into a trace that stays
    if (
        not planned
        and live is None
        and inputs[0]._data.shape[0] == 1
        and True not in needs
        and backend.runs_machine_code()
    ):
        single = _single_step(cell, traced, inputs, states, outside)
        if single is not None:
            return tree.unflatten(traced.y, single[0]), tree.unflatten(state, single[1])
    plan = _plan(traced, needs, live is not None, masked_output, backend)
    engine = _engine(plan, backend)
    if no_calls:
        refuse_calls(engine, backend.name)
    steps = inputs[0].shape[0]
    kept = settled(checkpoint, plan, engine, backend, steps)
    note_plan(cell, plan, engine, backend.name, steps, kept[0])
    if planned:
        ys, last = _blank(trace.program, backend, steps, plan.differentiated)
    else:
        ys, last = _recorded(
            plan, engine, cell, traced, xs, state, outside, steps, reverse, live, masked_output, kept
        )
    return tree.unflatten(traced.y, ys), tree.unflatten(state, last)


_planning = contextvars.ContextVar("tinygrad_rnn_planning", default=False)


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


_steps = recent(32)
"""By traces' identities, steps that are bound to their weights and memory, with the trace; in use by one
thread at a time."""

_lost: list[Any] = []
"""References to weights that are no more, of which a bound step holds copies. Appending to it cannot be
interrupted, as a function of ours could."""


def _single_step(
    cell: Cell, traced: TracedCell, inputs: Sequence[Any], states: Sequence[Any], outside: Sequence[Any]
) -> tuple[list[Any], list[Any]] | None:
    """Outputs and last states of a scan of one step without residuals; None where it is no machine code, or a
    number is out of range."""
    if _lost:
        _lost.clear()
        for key, (_, old) in zip(_steps.keys(), _steps.values(), strict=False):
            if old is not None and not old.lives():
                _steps.drop(key)
    known, step = _steps.take(id(traced)) or (None, None)
    if known is not traced or (step is not None and not step.holds(outside)):
        try:
            first = [Node.result_type(x._data[0, ...], x._backend) for x in inputs]
            step = BoundStep(traced, first, states, outside, _lost.append)
        except (Unsupported, TraceError):
            step = None
    try:
        if step is None:
            return None
        step.put([s._data for s in states])
        ys = [
            Node.result_type(y[None], step.backend) for y in step.outputs([x._data[0, ...] for x in inputs])
        ]
        last = [Node.result_type(s, step.backend) for s in step.states()]
    except IndexRangeError:
        return None
    finally:
        _steps.put(id(traced), (traced, step))
    note_plan(cell, step.plan, step.plan.engine, step.backend.name, 1, None)
    return ys, last


def _scan_of(
    like: ScanCall, traced: TracedCell, xs: list[Any], state: list[Any], outside: list[Any], reverse: bool,
    live: numpy.ndarray | None = None, masked_output: str = "zero",
) -> tuple[list[Any], list[Any]]:  # fmt: skip
    """A program that comes from a scan, its derivative say, as another scan of as many steps.

    Raises:
        TraceError: it cannot be planned.
    """
    plan = _plan(traced, _needs([*xs, *state, *outside]), live is not None, masked_output, like.backend)
    engine = _engine(plan, like.backend)
    return _recorded(
        plan,
        engine,
        like.cell,
        traced,
        xs,
        state,
        outside,
        like.steps,
        reverse,
        live,
        masked_output,
        (None, 0),
    )


def _needs(operands: Sequence[Any]) -> tuple[bool, ...]:
    """For each operand whether it needs a residual."""
    return tuple([x.requires_grad for x in operands]) if thread.recording else (False,) * len(operands)


def _recorded(
    plan: Plan, engine: Engine | str, cell: Cell, traced: TracedCell, xs: Any, state: Any,
    outside: list[Any], steps: int, reverse: bool, live: numpy.ndarray | None, masked_output: str,
    kept: tuple[int | None, int],
) -> tuple[list[Any], list[Any]]:  # fmt: skip
    """Run forward; the outputs and the last states, recorded as one entry.

    Args:
        kept: as of :func:`~.budget.settled`.
    """
    inputs, states = tree.leaves(xs), tree.leaves(state)
    operands, counts = [*inputs, *states, *outside], (len(inputs), len(states))
    needs, backend = _needs(operands), operands[0]._backend
    flow = traced.flow(needs)
    call = ScanCall(
        plan,
        engine,
        traced,
        outside,
        flow,
        cell,
        xs,
        state,
        live,
        reverse,
        masked_output,
        backend,
        needs,
        counts,
        steps,
        _scan_of,
    )
    run = (
        CompiledScan(call, kept[1]) if kept[0] is None or True not in needs else SegmentedScan(call, kept[0])
    )
    arrays = [x._data for x in operands]
    results = run.forward(arrays)
    wanted = (
        flow.unmasked(steps)
        if live is None
        else flow.results(live, reverse, masked_output == "previous", steps)
    )
    if True not in wanted:
        made = [Node.result_type(array, backend) for array in results]
    else:
        row = Row(
            "scan",
            "replay",
            "scan",
            run.pull,
            run.pull,
            run.push,
            several=True,
            fresh=True,
            unfold=run.unfold,
            batched=run.batched,
        )
        entry = Entry(row, backend, operands, arrays, (), needs, tuple(results), thread.scope)
        note(entry)
        kinds = enumerate(zip(results, wanted, strict=True))
        made = [Node.result_type(y, backend, want, entry if want else None, i) for i, (y, want) in kinds]
    count = len(made) - len(states)
    return made[:count], made[count:]


# -- traces --------------------------------------------------------------------------------------------------

_KINDS_OF_OPERANDS = 64
"""For so many of them the traces of a cell are kept."""

_traces = recent(512)
"""By weak references to cells."""

_gone: list[Any] = []
"""References to cells that are no more. Appending to it cannot be interrupted, as a function of ours
could."""

_shared = recent(256)
"""By their code, traces of functions that hold nothing but tensors and numbers: a function that is made anew
in each call has one, too."""


def traced_cell(
    cell: Cell, xs: Any, state: Any, inputs: Sequence[Any], states: Sequence[Any]
) -> tuple[TracedCell, list[Any]]:
    """The trace of a cell, the one made before, if nothing that the cell reads has changed since; and the
    tensors beside its arguments.

    Raises:
        TraceError: there is none; says why.
    """
    signature = (
        thread.recording,
        host.default_dtype,
        backends.current(),
        tree.structure(xs),
        tree.structure(state),
        tuple([(x._data.shape[1:], x._data.dtype, x.requires_grad, x._backend) for x in inputs]),
        tuple([(x._data.shape, x._data.dtype) for x in states]),
    )
    known = known_of(cell)
    function = cell.__func__ if type(cell) is types.MethodType else cell
    code = function.__code__ if type(function) is types.FunctionType else None
    same_code = None if code is None else _shared.get(code)
    last, alike = known.get(signature), None if same_code is None else same_code.get(signature)
    for before in (last,) if alike is None or alike is last else (last, alike):
        outside = None if before is None else before.bound(cell, states)
        if outside is not None and isinstance(before, TracedCell):  # a refusal has none
            return before, outside
    attempt = Attempt(frozenset() if last is None else last.reading.names)
    try:
        traced = trace_cell(cell, xs, state, thread.recording, attempt)
    except TraceError as error:
        if attempt.reading is not None:
            known.put(signature, _Refusal(error.reason, error.advice, attempt.reading))
        raise
    outside, traced.trace.outside = traced.trace.outside, []  # which would live as long as the trace is known
    kept = known.put(signature, traced)
    if code is not None and not traced.reading.contents:
        (_shared.get(code) or _shared.share(code, Recent(_KINDS_OF_OPERANDS))).put(signature, kept)
    return traced, outside


def known_of(cell: Cell) -> Recent[Any, Any]:
    """What is known of a cell, its traces first of all, by the kinds of its operands."""
    if _gone:
        with contextlib.suppress(IndexError):  # another thread was sooner
            while True:
                _traces.drop(_gone.pop())
    try:
        known = _traces.get(weakref.ref(cell))
        return (
            _traces.share(weakref.ref(cell, _gone.append), Recent(_KINDS_OF_OPERANDS))
            if known is None
            else known
        )
    except TypeError:  # a callable that cannot be referred to weakly, or has no hash
        return Recent(1)


@dataclass(frozen=True)
class _Refusal:
    """A cell that cannot be compiled: for that reason, as long as it reads what it read."""

    reason: str
    advice: str
    reading: Reading

    def bound(self, cell: Cell, states: Sequence[Any]) -> None:
        if self.reading.again(cell) is not None:
            raise TraceError(self.reason, self.advice)


# -- plans ---------------------------------------------------------------------------------------------------


_plans = recent(512)


def _plan(
    traced: TracedCell, needs: tuple[bool, ...], live: bool, masked_output: str, backend: Backend
) -> Plan:
    """The plan for a traced cell, made once for all cells that do the same.

    Raises:
        TraceError: there is none; says why.
    """
    key = traced.form.key, backend.name, needs, live, masked_output
    plan = _plans.get(key)
    if plan is None:
        plan = _plans.share(key, _planned(traced, needs, live, masked_output == "previous", backend))
    if isinstance(plan, str):
        raise TraceError(plan)
    return plan


def _planned(
    traced: TracedCell, needs: Sequence[bool], live: bool, previous: bool, backend: Backend
) -> Plan | str:
    """A plan, or the reason why there is none: all of it is differentiated and checked here, before a step
    runs."""
    core = extract_core(normal_form(traced.form.program, needs), live, previous)
    try:
        plan = make_plan(core, backend, _core_needs(core, needs) if True in needs else None)
        plan.check()
    except TinygradRNNError as error:
        return f"its derivative cannot be planned: {error}"
    return plan


def _core_needs(core: Core, needs: Sequence[bool]) -> dict[str, list[bool]]:
    """Which of the core's inputs need a residual: those that depend on something asked for. Every state does:
    it carries residuals."""
    program = core.whole
    # numbers do not
    asked = {
        v for v, need in zip((*program.steps, *program.states, *program.fixed), needs, strict=False) if need
    }
    for instruction in (*core.once, *core.hoisted):
        if not instruction.stopped and any(
            not isinstance(ref, Number) and ref in asked for ref in instruction.operands
        ):
            asked.update(instruction.results)
    floats = [core.program.dtypes[v].kind == "f" for v in core.program.states]
    masks = [False] * (len(core.program.steps) - len(core.streams))
    return {
        "steps": [v in asked for v in core.streams] + masks,
        "states": floats,
        "fixed": [any(v in asked for v in group) for group in core.constants],
    }


Engine = NestPlan | KernelPlan


def _engine(plan: Plan, backend: Backend) -> Engine | str:
    """The plan in machine code or in kernels, or the reason why it is interpreted; made once."""
    if plan.engine is None:
        plan.engine = _built(plan, backend)
    return plan.engine


def _built(plan: Plan, backend: Backend) -> Engine | str:
    if backend.name == "numpy" and not backend.runs_machine_code():
        return "llvmlite 0.45 or newer is missing: pip install 'tinygrad_rnn[fast]'"
    try:
        return NestPlan(plan) if backend.runs_machine_code() else KernelPlan(plan, backend)
    except Unsupported as reason:
        plan.advice = reason.advice
        return str(reason)


# -- all that is kept ----------------------------------------------------------------------------------------


@effect("empties the caches")
def clear_caches(disk: bool = False) -> None:
    """Forget all traces, plans and machine code: each cell is compiled anew at its next call, with the same
    results.

    There is seldom a need: what is kept is bounded, and what was used least recently goes first. Code that
    runs, or that a tape needs for its backward pass, stays as long as it does.

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
