"""Running a compiled scan forward and backward.

    operands ─ Prologue (all steps at once) ─ loop (machine code, kernels or calls) ─ results
                     └────────── kept ──────────────┘
    residuals of results ─ loop backwards ─ Prologue backwards ─ residuals of operands

What a forward pass keeps belongs to one backward pass at a time: whoever begins one takes it, and a second
one, later or at the same time in another thread, finds nothing and runs the forward pass again for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from .. import tree
from ..backends import Backend
from ..batches import NoBatch
from ..errors import TraceError
from ..reading.lines import Lines
from ..tape import Entry, Node, Replay, check_current, now, pull_replayed, push_replayed, recording, thread
from ..user_code import Line
from .batched import batched
from .budget import claim
from .derivative import pulled, pushed, pushed_arrays
from .eager import eager_scan
from .flow import Flow
from .gradient_terms import fixed_residuals
from .interpreter import InterpretedRun
from .kernels import KernelPlan, KernelRun
from .nested import NestPlan, NestRun
from .options import ScanOptions
from .plan import Plan
from .prologue import Prologue, prologue_of
from .trace import TracedCell, trace_cell

RUNS: dict[type, Any] = {str: InterpretedRun, NestPlan: NestRun, KernelPlan: KernelRun}


@dataclass(eq=False)
class ScanCall:
    """One call of ``scan``.

    Attributes:
        cell, xs, state, options: as in :func:`~.eager.eager_scan`.
        traced: the cell's trace.
        outside: the tensors that it uses beside its arguments.
        needs: for each operand (inputs, states, tensors from outside) whether it needs a residual.
        steps: how many steps the whole scan has.
        plan: what to do.
        engine: the plan in machine code or kernels, or the reason why it is interpreted.
        scan: runs another program for as many steps: scan(call, traced cell, inputs, states, tensors from
            outside, options) → outputs and last states, recorded.
        operands, backend: its tensors, and theirs.
        counts: how many inputs and states there are.
        flow: which operands the loop would bring residuals to.
    """

    cell: Any
    traced: TracedCell
    xs: Any
    state: Any
    outside: list[Any]
    options: ScanOptions
    needs: tuple[bool, ...]
    steps: int
    plan: Plan
    engine: Any
    scan: Callable[..., tuple[list[Any], list[Any]]]

    def __post_init__(self) -> None:
        inputs, states = tree.leaves(self.xs), tree.leaves(self.state)
        self.operands: list[Any] = [*inputs, *states, *self.outside]
        self.counts: tuple[int, int] = len(inputs), len(states)
        self.backend: Backend = self.operands[0]._backend
        self.flow: Flow = self.traced.flow(self.needs)

    def prologue(self, steps: int) -> Prologue:
        """What is before and after the loop."""
        inputs, states = self.counts
        numbers = [False] * len(self.traced.form.numbers)
        return prologue_of(
            self.plan, self.backend, steps, [*self.needs[:inputs], *self.needs[inputs + states :], *numbers]
        )

    def masks(self, live: numpy.ndarray | None) -> list[Any]:
        """The mask of some steps with as many axes as each place needs."""
        if live is None:
            return []
        program = self.plan.body.program
        places = program.steps[len(self.plan.body.per_step) :]
        return [self.backend.from_host(live.reshape(live.shape[0], *program.shapes[v])) for v in places]

    def tensor(self, array: Any) -> Any:
        return Node.result_type(array, self.backend)

    def arrived(self, g: Sequence[Any], parts: Sequence[Any]) -> list[Any]:
        """The residuals of operands; None, and not zeros, where nothing leads from the residuals of results,
        as in the loop: an optimiser leaves such a parameter alone."""
        given = tuple([part is not None for part in g])
        reached = self.flow.operands(given, self.options, self.steps)
        return [part if way else None for part, way in zip(parts, reached, strict=True)]


class ForwardPass:
    """One forward pass over some of the steps, and what it keeps for its backward pass.

    Args:
        call: the scan.
        operands: arrays of inputs, (T, …), states and tensors from outside.
        live: the mask of these steps.

    Attributes:
        results: the arrays of outputs and of the last states.
    """

    def __init__(self, call: ScanCall, operands: Sequence[Any], live: numpy.ndarray | None) -> None:
        self.call = call
        inputs, states = call.counts
        plan, backend, program = call.plan, call.backend, call.plan.body.program
        steps = operands[0].shape[0] if inputs else call.steps  # a derivative may read nothing of the inputs
        numbers = [backend.from_host(number) for number in call.traced.form.numbers]
        self._prologue = call.prologue(steps)
        with backend.products() as products:
            fed, self._kept = self._prologue.before(
                [*operands[:inputs], *operands[inputs + states :], *numbers], products
            )
            streams, fixed = fed[: len(plan.body.per_step)], fed[len(plan.body.per_step) :]
            arrays = streams + call.masks(live)
            firsts = list(operands[inputs : inputs + states])
            for v in program.states[states:]:  # outputs before the first step
                firsts.append(backend.zeros(program.shapes[v], program.dtypes[v]))
            order = range(steps)[::-1] if call.options.reverse else range(steps)
            self._loop = RUNS[type(call.engine)](
                plan.laid_out(call.engine), backend, arrays, fixed, order, call.steps
            )
            ys, last = self._loop.forward(firsts, products)
        self.results: list[Any] = [*ys, *last[:states]]

    def back(self, g: Sequence[Any], totals: dict[Any, Any], products: Any) -> tuple[list[Any], list[Any]]:
        """The residuals of inputs and first states from those of outputs and last states; what tensors from
        outside get is added up.

        Some are pending in ``products`` until those are run.
        """
        plan, count = self.call.plan, len(self.call.plan.body.program.outputs)
        carried = [*g[count:], *[None] * (len(plan.carried_residuals) - len(g) + count)]
        streams, firsts = self._loop.backward(list(g[:count]), carried, totals, products)
        order = 1 if self.call.options.reverse else -1
        parts = self._prologue.through(
            self._kept, streams[: len(plan.body.per_step)], totals, products, order
        )
        return parts, firsts[: self.call.counts[1]]

    def fixed(self, totals: dict[Any, Any], products: Any) -> list[Any]:
        """The residuals of tensors from outside, after all steps."""
        call = self.call
        residuals = self._prologue.after(
            self._kept, fixed_residuals(call.plan, totals, call.backend, products), products
        )
        return residuals[: len(call.outside)]  # the rest is of numbers

    def apart(self, parts: Sequence[Any], arrived: Sequence[Any]) -> list[Any]:
        """Residuals that nothing else has: copied where two of them, or one and what was there, are the same
        memory, and where one number stands for several elements."""
        others = [
            x
            for x in (*arrived, *self.call.plan.constants, *self._prologue.derived.constants)
            if x is not None
        ]
        taken, found = {id(_owner(x)) for x in others}, list[Any]()
        for part in parts:
            if part is not None:
                part = part.copy() if id(_owner(part)) in taken or self.call.backend.is_spread(part) else part
                taken.add(id(_owner(part)))
            found.append(part)
        return found


def _owner(array: Any) -> Any:
    """Whose memory it is."""
    while (base := getattr(array, "base", None)) is not None:
        array = base
    return array


class CompiledScan(Replay):
    """A scan on the tape: its forward pass, and what its entry does with residuals and tangents."""

    fresh = True

    def __init__(self, call: ScanCall, kept: int = 0) -> None:
        """
        Args:
            kept: bytes, to be counted as kept until the backward pass.
        """
        super().__init__("scan")
        self.call = call
        self._kept = kept
        self._passes: list[ForwardPass] = []

    def forward(self, operands: Sequence[Any]) -> list[Any]:
        """From the arrays of inputs, states and tensors from outside: the arrays of outputs and last
        states."""
        run = ForwardPass(self.call, operands, self.call.options.live)
        if self._kept:
            claim(run, self._kept)
        self._passes.append(run)
        return run.results

    def _take(self, operands: Sequence[Any]) -> ForwardPass:
        try:
            return self._passes.pop()  # nobody else gets it
        except IndexError:
            return ForwardPass(self.call, operands, self.call.options.live)

    def pull(self, np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
        if not isinstance(np, Backend):
            return self._pull_recorded(np, g, xs)
        run, totals = self._take(xs), dict[Any, Any]()
        with np.products() as products:
            parts, firsts = run.back(g, totals, products)
            fixed = run.fixed(totals, products)
        return self.call.arrived(g, run.apart([*parts, *firsts, *fixed], [*g, *xs]))

    def _pull_recorded(self, np: Any, g: Any, xs: Any) -> Any:
        try:
            return self.call.arrived(g, pulled(self.call, g, xs))
        except TraceError:
            results, inputs, since = self._replay(np, xs)
            return pull_replayed(results, inputs, since, g, np)

    def push(self, np: Any, tangents: Any, y: Any, xs: Any, params: Any) -> Any:
        on_arrays = isinstance(np, Backend)
        try:
            return (pushed_arrays if on_arrays else pushed)(self.call, tangents, xs)
        except TraceError:
            results, inputs, since = self._replay(np, xs)
            return push_replayed(results, inputs, since, tangents, None if on_arrays else np)

    def batched(self, xs: Sequence[Any], marked: Sequence[bool], count: int) -> Sequence[Any] | None:
        try:
            return batched(self.call, xs, marked, count)
        except (TraceError, NoBatch):
            return None

    # -- step by step ----------------------------------------------------------------------------------------

    def unfold(self, entry: Entry, inputs: Sequence[Any]) -> list[Any]:
        head = sum(self.call.counts)
        return self._eager(inputs[:head], inputs[head:])

    def _replay(self, np: Any, xs: Sequence[Any]) -> tuple[list[Any], list[Any], int]:
        head = sum(self.call.counts)
        if isinstance(np, Backend):
            check_current("scan", self.call.outside, xs[head:])
            heads = [Node.result_type(x, np, x.dtype.kind == "f") for x in xs[:head]]
        else:
            heads = [np.reshape(x, x.shape) for x in xs[:head]]
        since = now()
        return self._eager(heads, self.call.outside), [*heads, *self.call.outside], since

    def _eager(self, xs: Sequence[Any], outside: Sequence[Any]) -> list[Any]:
        """The same scan, recorded step by step, on these inputs and states: the program that ran, whatever
        its cell reads by now."""
        call, count = self.call, self.call.counts[0]
        inputs, states = tree.unflatten(call.xs, xs[:count]), tree.unflatten(call.state, xs[count:])
        step = call.traced.trace.as_cell(call.state, outside, self._lines())
        with recording():
            ys, last = eager_scan(call.cell, inputs, states, call.options.keeping(None), step)
        return [*tree.leaves(ys), *tree.leaves(last)]

    def _lines(self) -> Sequence[Line | None]:
        """The user's line of each instruction, if somebody asks for lines: as a new trace has it, if the cell
        still is the same."""
        call, traced = self.call, self.call.traced
        unknown = [None] * len(traced.trace.lines)
        if thread.observer is None:
            return unknown
        try:
            with Lines():
                again = trace_cell(call.cell, call.xs, call.state, True)
        except TraceError:
            return unknown
        return again.trace.lines if again.trace.program.key() == traced.trace.program.key() else unknown


class SegmentedScan(CompiledScan):
    """Keeps the states before every so many steps only, and runs these steps again for the backward pass."""

    def __init__(self, call: ScanCall, segment: int) -> None:
        super().__init__(call)
        self.segment = segment
        self.before: list[tuple[slice, list[Any]]] = []

    def forward(self, operands: Sequence[Any]) -> list[Any]:
        call, steps = self.call, len(operands[0])
        states = list(operands[call.counts[0] : sum(call.counts)])
        outputs: list[Any] = []
        starts = range(0, steps, self.segment)
        for start in reversed(starts) if call.options.reverse else starts:
            part = slice(start, start + self.segment)
            self.before.append((part, states))
            results = self._again(part, states, operands).results
            ys, states = results[: len(results) - len(states)], results[len(results) - len(states) :]
            outputs = outputs or [call.backend.empty((steps, *y.shape[1:]), y.dtype) for y in ys]
            for whole, y in zip(outputs, ys, strict=True):
                whole[part] = y
        return [*outputs, *states]

    def _again(self, part: slice, states: list[Any], operands: Sequence[Any]) -> ForwardPass:
        """A pass over some of the steps."""
        count, live = self.call.counts[0], self.call.options.live
        arrays = [*(x[part] for x in operands[:count]), *states, *operands[sum(self.call.counts) :]]
        return ForwardPass(self.call, arrays, None if live is None else live[part])

    def pull(self, np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
        if not isinstance(np, Backend):
            return self._pull_recorded(np, g, xs)
        count, steps = len(g) - self.call.counts[1], self.call.counts[0]
        carried, whole, totals = list(g[count:]), list[Any]([None] * steps), dict[Any, Any]()
        for part, before in reversed(self.before):
            run = self._again(part, before, xs)
            with np.products() as products:
                parts, carried = run.back(
                    [*(None if r is None else r[part] for r in g[:count]), *carried], totals, products
                )
            for i, residual in enumerate(parts):
                if residual is not None:
                    whole[i] = np.empty(xs[i].shape, xs[i].dtype) if whole[i] is None else whole[i]
                    whole[i][part] = residual
        with np.products() as products:
            fixed = run.fixed(totals, products)
        return self.call.arrived(g, run.apart([*whole, *carried, *fixed], [*g, *xs]))
