"""``scan`` as one entry of the tape: trace the cell, find or make its plan, run it."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy

from .. import tree
from ..backends import Backend
from ..backends.base import Unsupported
from ..backends.native import compiler
from ..backends.native.products import GatheredProducts, matmul
from ..chain_rule import Row
from ..errors import TraceError
from ..tape import (
    Entry,
    Node,
    _exposed,
    _remember,
    check_current,
    no_grad,
    now,
    pull_replayed,
    push_replayed,
    recording,
    thread,
)
from ..user_code import line_of
from .around import around
from .device import DevicePlan, DeviceRun
from .eager import eager_scan
from .interpreter import InterpretedRun
from .native import NativePlan, NativeRun
from .plan import Core, Plan, extract_core, fixed_residuals, make_plan
from .program import Number, Program, Trace, capture, placeholder, tracing
from .witness import Reader, witness

Cell = Callable[[Any, Any], tuple[Any, Any]]

_plans: dict[Any, Plan | str] = {}


@dataclass
class Traced:
    """A traced cell: its trace, and the nesting of what it returns."""

    trace: Trace
    y: Any
    witness: Any
    read: Any
    """What the cell could read when it was traced; the witness, unless the trace depends on more than that."""
    steady: bool = False
    """Whether the cell was seen to do the same when traced again."""
    plans: dict[Any, Plan | str] = field(default_factory=dict)
    """By what is asked for: the plans of all cells that do the same, at hand."""

    @functools.cached_property
    def key(self) -> Any:
        """Equal for cells that do the same on the same kinds of tensors."""
        return self.trace.program.key()


def trace_cell(cell: Cell, xs: Any, state: Any, wanted: bool) -> Traced:
    """Run one step of the cell on placeholders.

    Raises:
        TraceError: the cell looks at a value, keeps one, or does not return what a cell returns; says where.
    """
    inputs, states = tree.leaves(xs), tree.leaves(state)
    backend = inputs[0]._backend
    reader = Reader(cell)
    before = reader.parts if reader.known else None
    with tracing(), recording() if wanted else no_grad(), backend.quiet():
        steps = [placeholder(backend.full(x.shape[1:], _poison(x), x.dtype), backend, x.requires_grad) for x in inputs]
        olds = [placeholder(backend.full(s.shape, _poison(s), s.dtype), backend, wanted and s.dtype.kind == "f") for s in states]
        since = now()
        try:
            returned = cell(tree.unflatten(xs, steps), tree.unflatten(state, olds))
        except Exception as error:
            reader.restore()
            line = line_of(error)
            where = "" if line is None else f" ({line.name}, line {line.number}: {line.code})"
            raise TraceError(f"{error}{where}") from error
        changed = witness(cell) != before
        reader.restore()
        if changed:
            raise TraceError("the cell changes what it reads: its own attributes, or variables around it")
        y, results = _checked(returned, state, states)
        trace = capture(results, steps, olds, (), since)
    count = len(results) - len(states)
    trace.program.outputs, trace.program.carried = trace.results[:count], trace.results[count:]
    made = _made_inside(trace, before)
    if any(x.entry is None and x.dtype.kind == "f" and numpy.isnan(x._backend.to_host(x._data)).any() for x in made):
        raise TraceError("the cell makes a constant of what differs from step to step")
    ours = thread.looked or bool(made) or any(x.entry is not None and x.entry.index > since for x in trace.outside)
    return Traced(trace, tree.map_leaves(lambda _leaf: None, y), None if ours else before, before)


def _checked(returned: Any, state: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise TraceError("the cell does not return a pair: its output and its new state")
    y, new = returned
    results = [*tree.leaves(y), *tree.leaves(new)]
    if not all(isinstance(r, Node) for r in results):
        raise TraceError("the cell returns something that is not a tensor")
    kinds = [[(tuple(s.shape), s.dtype) for s in leaves] for leaves in (results[len(results) - len(states) :], states)]
    if tree.structure(new) != tree.structure(state) or kinds[0] != kinds[1]:
        raise TraceError("the cell changes the nesting, a shape or a dtype of its state")
    return y, results


def _made_inside(trace: Trace, before: Any) -> list[Any]:
    """The constants that the cell may have made while it was traced: they are not the same tensors next time."""
    known = {part for part in before if type(part) is int} if before is not None else set()
    return [x for x in trace.outside if id(x) not in known]


def _poison(x: Any) -> Any:
    """A value that shows if it gets out of the trace."""
    return numpy.nan if x.dtype.kind == "f" else 0


def compiled_scan(
    cell: Cell, xs: Any, state: Any, live: numpy.ndarray | None, reverse: bool, masked_output: str, checkpoint: int | None = None
) -> tuple[Any, Any]:
    """As :func:`eager_scan`, compiled.

    Raises:
        TraceError: the cell cannot be compiled; says why.
    """
    inputs, states = tree.leaves(xs), tree.leaves(state)
    known = _known(cell, xs, state, inputs, states)
    trace, y = known.trace, known.y
    if live is not None and any(trace.program.shapes[v][:1] != live.shape[1:] for v in trace.program.outputs):
        raise TraceError("with lengths or a mask each output needs the batch as its first axis")
    operands = [*inputs, *states, *trace.outside]
    wanted = tuple([x.requires_grad for x in operands]) if thread.recording else (False,) * len(operands)
    asked = (inputs[0]._backend.name, wanted, live is not None, masked_output)
    plan = known.plans.get(asked)
    if plan is None:
        key = (known.key, *asked)
        if key not in _plans:
            _plans[key] = _planned(cell, xs, state, known, wanted, live is not None, masked_output)
        plan = known.plans[asked] = _plans[key]
    if isinstance(plan, str):
        raise TraceError(plan)
    with contextlib.suppress(TypeError):
        _last_plans[cell] = plan
    whole = (plan, trace, cell, xs, state, live, reverse, masked_output, wanted, (len(inputs), len(states)), inputs[0].shape[0])
    run = _Run(*whole) if checkpoint is None or True not in wanted else _SegmentedRun(whole, checkpoint)
    arrays = [x._data for x in operands]
    results = run.forward(arrays)
    backend = inputs[0]._backend
    if True not in wanted:
        made = [Node.result_type(array, backend) for array in results]
    else:
        row = Row("scan", "replay", "scan", run.pull, run.pull, run.push, several=True, unfold=run.unfold)
        entry = Entry(row, backend, operands, arrays, (), wanted, tuple(results), thread.scope)
        if _exposed:
            _remember(entry)
        made = [Node.result_type(array, backend, array.dtype.kind == "f", entry, i) for i, array in enumerate(entry.ys)]
    count = len(made) - len(states)
    return tree.unflatten(y, made[:count]), tree.unflatten(state, made[count:])


_traced: weakref.WeakKeyDictionary[Any, dict[Any, Traced]] = weakref.WeakKeyDictionary()


def _known(cell: Cell, xs: Any, state: Any, inputs: Sequence[Any], states: Sequence[Any]) -> Traced:
    """The trace of a cell: the one made before, if nothing that the cell reads has changed since."""
    signature = (
        thread.recording,
        tree.structure(xs),
        tree.structure(state),
        tuple([(x._data.shape[1:], x._data.dtype, x.requires_grad, x._backend) for x in inputs]),
        tuple([(x._data.shape, x._data.dtype) for x in states]),
    )
    try:
        before = _traced.setdefault(cell, {}).get(signature)
    except TypeError:  # a callable that cannot be referred to weakly, or has no hash
        traced = trace_cell(cell, xs, state, thread.recording)
        _check_steady(cell, xs, state, traced)
        return traced
    if before is not None and before.witness is not None and before.witness == witness(cell):
        return before
    traced = trace_cell(cell, xs, state, thread.recording)
    if traced.witness is None and (before is None or traced.read is None or before.read != traced.read):
        _check_steady(cell, xs, state, traced)
    _traced[cell][signature] = traced
    return traced


def _check_steady(cell: Cell, xs: Any, state: Any, traced: Traced) -> None:
    """Trace the cell once more: what differs then would differ from step to step.

    Raises:
        TraceError: something does.
    """
    trace, again = traced.trace, trace_cell(cell, xs, state, thread.recording).trace
    if again.program.key() != trace.program.key():
        raise TraceError("the cell does something else each time it is called")
    for one, other in zip(trace.outside, again.outside, strict=True):
        if one is not other and not numpy.array_equal(one._backend.to_host(one._data), other._backend.to_host(other._data), equal_nan=True):
            raise TraceError("the cell uses other numbers each time it is called")
    traced.steady = True


def _planned(cell: Cell, xs: Any, state: Any, traced: Traced, wanted: Sequence[bool], live: bool, masked_output: str) -> Plan | str:
    """A plan, or the reason why there is none."""
    try:
        if not traced.steady:
            _check_steady(cell, xs, state, traced)
    except TraceError as error:
        return str(error)
    trace = traced.trace
    core = extract_core(trace.program, live, masked_output == "previous")
    backend = tree.leaves(xs)[0]._backend
    if True not in wanted:
        return make_plan(core, backend, None)
    return make_plan(core, backend, _core_needs(core, wanted))


def _core_needs(core: Core, wanted: Sequence[bool]) -> dict[str, list[bool]]:
    """Which of the core's inputs need a residual: those that depend on something asked for. Every state does: it carries residuals."""
    program = core.whole
    asked = {v for v, want in zip((*program.steps, *program.states, *program.fixed), wanted, strict=True) if want}
    for instruction in (*core.once, *core.hoisted):
        if not instruction.stopped and any(not isinstance(ref, Number) and ref in asked for ref in instruction.operands):
            asked.update(instruction.results)
    floats = [core.program.dtypes[v].kind == "f" for v in core.program.states]
    masks = [False] * (len(core.program.steps) - len(core.streams))
    return {
        "steps": [v in asked for v in core.streams] + masks,
        "states": floats,
        "fixed": [any(v in asked for v in group) for group in core.constants],
    }


_last_plans: weakref.WeakKeyDictionary[Any, Plan | str] = weakref.WeakKeyDictionary()
"""For each cell how it ran last: its plan, or the reason why it was not compiled."""


def note_refusal(cell: Cell, reason: str) -> None:
    """Remember why a cell runs eagerly."""
    with contextlib.suppress(TypeError):
        _last_plans[cell] = reason


def explain(cell: Cell) -> str:
    """How ``scan`` last ran a cell: what was hoisted, products, kernels, what is kept in how many bytes; or why it was not compiled."""
    name = getattr(cell, "__name__", type(cell).__name__)
    try:
        plan = _last_plans.get(cell)
    except TypeError:
        return f"{name}: cannot be remembered: it has no hash or cannot be referred to weakly"
    if plan is None:
        return f"{name}: not run yet"
    if isinstance(plan, str):
        return f"{name}: runs step by step, not compiled: {plan}"
    native = _natives.get(id(plan), "the backend has no machine code of ours")
    lines = [f"{name}: compiled" + (f", interpreted: {native}" if isinstance(native, str) else "")]
    whole = plan.core.whole
    lines += [f"  once       {_described(whole, i)}" for i in plan.core.once]
    lines += [f"  all steps  {_described(whole, i)}" for i in plan.core.hoisted]
    for group in plan.core.constants:
        if len(group) > 1:
            lines.append(f"  merged     {len(group)} matrices side by side into one product")
    if isinstance(native, str):
        lines.append(f"  each step  {len(plan.forward)} calls forward, {len(plan.backward)} backward")
    else:
        lines += native.described()
    sunk = sum(sink.kind == "product" for sinks in plan.sinks.values() for sink in sinks)
    if plan.sinks:
        lines.append(f"  after      {sunk} weight gradient{'s' * (sunk != 1)} as one product over all steps")
    return "\n".join(lines)


def _described(program: Program, instruction: Any) -> str:
    shapes = [program.shapes[r] for r in instruction.operands if not isinstance(r, Number)]
    return f"{instruction.row.name} {' '.join(map(str, shapes))} -> {program.shapes[instruction.results[0]]}"


class _Run:
    """One run of a compiled scan and what its backward pass needs."""

    def __init__(
        self, plan: Plan, trace: Trace, cell: Cell, xs: Any, state: Any, live: numpy.ndarray | None, reverse: bool, masked_output: str,
        wanted: Sequence[bool], counts: tuple[int, int], length: int,
    ) -> None:  # fmt: skip
        self.plan, self.trace, self.live, self.masked_output = plan, trace, live, masked_output
        self.cell, self.xs, self.state, self.reverse = cell, xs, state, reverse
        self.backend = tree.leaves(xs)[0]._backend
        self.counts, self.length = counts, length
        self.wanted = [*wanted[: counts[0]], *wanted[sum(counts) :]]
        self.around: Any = None
        self.kept: dict[int, Any] = {}
        self.core: Any = None
        self.spent = False

    def forward(self, operands: Sequence[Any]) -> list[Any]:
        """Run from the arrays of inputs, states and tensors from outside: the arrays of outputs and last states."""
        plan, backend = self.plan, self.backend
        inputs, states, found = operands[: self.counts[0]], operands[self.counts[0] : sum(self.counts)], operands[sum(self.counts) :]
        if backend.name == "numpy" and compiler.available():
            _use_own_products(backend)
        steps = inputs[0].shape[0]
        self.around = around(plan, backend, steps, self.wanted)
        with backend.products() as products:
            fed, self.kept = self.around.before([*inputs, *found], products)
            streams, fixed = fed[: len(plan.core.streams)], fed[len(plan.core.streams) :]
            arrays = streams + _masks(plan.core.program, self.live, len(streams), backend)
            order = range(steps)[::-1] if self.reverse else range(steps)
            firsts = list(states)
            for v in plan.core.program.states[len(firsts) :]:  # outputs before the first step
                firsts.append(backend.zeros(plan.core.program.shapes[v], plan.core.program.dtypes[v]))
            native = _native(plan, backend)
            kind = _RUNS[type(native)]
            self.core = kind(plan if isinstance(native, str) else native, backend, arrays, fixed, order, self.length)
            ys, last = self.core.forward(firsts, products)
        return [*ys, *last[: len(states)]]

    def pull(self, np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
        if not isinstance(np, Backend):
            return self._replay_pull(np, g, y, xs)
        if self.spent:  # a backward pass may overwrite what the forward pass kept: run that again
            self.forward(xs)
        self.spent = True
        totals: dict[Any, Any] = {}
        with self.backend.products() as products:
            parts, firsts = self.back(g, totals, products)
            fixed = self.fixed(totals, products)
        return [*parts, *firsts, *fixed]

    def back(self, g: Sequence[Any], totals: dict[Any, Any], products: Any) -> tuple[list[Any], list[Any]]:
        """The residuals of inputs and first states from those of outputs and last states; what tensors from outside get is added up.

        Some are promised by ``products`` until those are run.
        """
        count = len(self.plan.core.program.outputs)
        carried = [*g[count:], *[None] * (len(self.plan.carried_residuals) - len(g) + count)]
        streams, firsts = self.core.backward(list(g[:count]), carried, totals, products)
        order = 1 if self.reverse else -1
        parts = self.around.through(self.kept, streams[: len(self.plan.core.streams)], totals, products, order)
        return parts, firsts[: self.counts[1]]

    def fixed(self, totals: dict[Any, Any], products: Any) -> list[Any]:
        """The residuals of tensors from outside, after all steps."""
        return self.around.after(self.kept, fixed_residuals(self.plan, totals, self.backend, products), products)

    def unfold(self, inputs: Sequence[Any]) -> list[Any]:
        """The operations of every step, for those who want to look inside."""
        return self._eager(inputs[: sum(self.counts)])

    def _eager(self, xs: Sequence[Any]) -> list[Any]:
        """The same scan, recorded step by step, on these inputs and states."""
        inputs = tree.unflatten(self.xs, xs[: self.counts[0]])
        states = tree.unflatten(self.state, xs[self.counts[0] :])
        with recording():
            ys, last = eager_scan(self.cell, inputs, states, self.live, self.reverse, self.masked_output, None)
        return [*tree.leaves(ys), *tree.leaves(last)]

    def _replay(self, np: Any, xs: Sequence[Any]) -> tuple[list[Any], list[Any], int]:
        head = sum(self.counts)
        if isinstance(np, Backend):
            check_current("scan", self.trace.outside, xs[head:])
            heads = [Node.result_type(x, np, x.dtype.kind == "f") for x in xs[:head]]
        else:
            heads = [np.reshape(x, x.shape) for x in xs[:head]]
        since = now()
        return self._eager(heads), [*heads, *self.trace.outside], since

    def _replay_pull(self, np: Any, g: Any, y: Any, xs: Any) -> Any:
        results, inputs, since = self._replay(np, xs)
        return pull_replayed(results, inputs, since, g, np)

    def push(self, np: Any, tangents: Any, y: Any, xs: Any, params: Any) -> Any:
        results, inputs, since = self._replay(np, xs)
        return push_replayed(results, inputs, since, tangents, None if isinstance(np, Backend) else np)


class _SegmentedRun(_Run):
    """Keeps the states before every so many steps only, and runs these steps again for the backward pass."""

    def __init__(self, whole: tuple[Any, ...], segment: int) -> None:
        super().__init__(*whole)
        self.whole, self.segment = whole, segment
        self.before: list[Any] = []

    def forward(self, operands: Sequence[Any]) -> list[Any]:
        steps, states = len(operands[0]), list(operands[self.counts[0] : sum(self.counts)])
        outputs: list[Any] = []
        self.before = []
        starts = range(0, steps, self.segment)
        for start in reversed(starts) if self.reverse else starts:
            part = slice(start, start + self.segment)
            self.before.append((part, states))
            *ys, states = self._again(part, states, operands)[1]
            outputs = outputs or [self.backend.empty((steps, *y.shape[1:]), y.dtype) for y in ys]
            for whole, y in zip(outputs, ys, strict=True):
                whole[part] = y
        return [*outputs, *states]

    def _again(self, part: slice, states: list[Any], operands: Sequence[Any]) -> tuple[_Run, list[Any]]:
        """The run of some of the steps, its operands, and what came out: the outputs, and a list of the last states."""
        plan, trace, cell, xs, state, live, *rest = self.whole
        run = _Run(plan, trace, cell, xs, state, None if live is None else live[part], *rest)
        results = run.forward([*(x[part] for x in operands[: self.counts[0]]), *states, *operands[sum(self.counts) :]])
        count = len(results) - self.counts[1]
        return run, [*results[:count], results[count:]]

    def pull(self, np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
        if not isinstance(np, Backend):
            return self._replay_pull(np, g, y, xs)
        count, steps = len(g) - self.counts[1], self.counts[0]
        carried, found, totals = list(g[count:]), list[Any]([None] * steps), dict[Any, Any]()
        for part, before in reversed(self.before):
            run, _ = self._again(part, before, xs)
            with np.products() as products:
                parts, carried = run.back([*(None if r is None else r[part] for r in g[:count]), *carried], totals, products)
            for i, residual in enumerate(parts):
                if residual is not None:
                    found[i] = np.empty(xs[i].shape, xs[i].dtype) if found[i] is None else found[i]
                    found[i][part] = residual
        with np.products() as products:
            fixed = run.fixed(totals, products)
        return [*found, *carried, *fixed]


@functools.cache
def _use_own_products(backend: Backend) -> None:
    """From the first compiled scan on, large products of the backend are ours, also outside of scans: threads of NumPy's library would go
    on spinning for a while after each of its products, and take the processor from ours."""
    vars(backend).update(matmul=matmul, products=GatheredProducts)


_natives: dict[int, NativePlan | str] = {}
_RUNS: dict[type, Any] = {str: InterpretedRun, NativePlan: NativeRun, DevicePlan: DeviceRun}


def _native(plan: Plan, backend: Backend) -> NativePlan | str:
    """The plan in machine code or in kernels, or the reason why it is interpreted."""
    if id(plan) not in _natives:
        kind = NativePlan if backend.name == "numpy" else DevicePlan
        if kind is NativePlan and not compiler.available():
            _natives[id(plan)] = "llvmlite 0.45 or newer is missing (pip install 'tinygrad_rnn[fast]')"
        else:
            shape = plan.joint.shapes[(*plan.joint.states, *plan.joint.steps)[0]]
            try:
                if not shape:
                    raise Unsupported("a state that is a single number")
                _natives[id(plan)] = kind(plan, shape[0])
            except Unsupported as reason:
                _natives[id(plan)] = str(reason)
    return _natives[id(plan)]


def _masks(program: Program, live: numpy.ndarray | None, streams: int, backend: Backend) -> list[Any]:
    """The mask with as many axes as each place needs."""
    if live is None:
        return []
    return [backend.from_host(live.reshape(live.shape[0], *program.shapes[v])) for v in program.steps[streams:]]
