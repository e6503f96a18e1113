"""A compiled scan for many values of some of its operands: another scan, whose step is the step with one axis
more in front.

So a Jacobian through a scan is one scan more for all residuals, in machine code as any other.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import batches, ops
from ..backends import Backend
from ..tape import apply, choose, now, recording
from .plan import dummy
from .program import Number, Program, capture, placeholder, tracing
from .trace import TracedCell, cell_of

WORTHWHILE = 1000
"""Steps of all values together from which it pays to compile another scan for them (``python -m benchmarks
derivatives``)."""


@dataclass(eq=False)
class _Step:
    """A step for many values.

    Attributes:
        cell: its inputs are those of the step, with the axis where they are marked.
        outputs, states: which of them have the axis.
        outside: tensors that the rules made.
    """

    cell: TracedCell
    outputs: list[bool]
    states: list[bool]
    outside: list[Any]


def batched(call: Any, xs: Sequence[Any], marked: Sequence[bool], count: int) -> list[Any]:
    """The results of a scan, each (count, …); None for one that depends on no marked operand.

    Args:
        call: the :class:`~.run.ScanCall`.
        xs: its operands; the marked ones (count, …).

    Raises:
        NoBatch: it does not pay.
        TraceError: it cannot be planned.
    """
    assert call.options.live is None  # the loops of a derivative take their masks as inputs
    if count * call.steps < WORTHWHILE:
        raise batches.NoBatch
    inputs, states = call.counts
    numbers = [call.tensor(call.backend.from_host(number)) for number in call.traced.form.numbers]
    fixed = [*xs[inputs + states :], *numbers]
    marks = (
        tuple(marked[:inputs]),
        tuple(marked[inputs : inputs + states]),
        (*marked[inputs + states :], *[False] * len(numbers)),
    )
    key = "batched", count, marks
    derived = call.plan.derived
    step = derived.get(key) or derived.share(key, _step(call.plan.body.whole, marks, count, call.backend))
    streams = [_swapped(x) if mark else x for x, mark in zip(xs[:inputs], marks[0], strict=True)]
    firsts = [
        x if mark or not after else ops.broadcast_to(x, (count, *x.shape))
        for x, mark, after in zip(xs[inputs : inputs + states], marks[1], step.states, strict=True)
    ]
    ys, last = call.scan(call, step.cell, streams, firsts, [*fixed, *step.outside], call.options)
    outputs = [_swapped(y) if mark else None for y, mark in zip(ys, step.outputs, strict=True)]
    return [*outputs, *(s if mark else None for s, mark in zip(last, step.states, strict=True))]


def _swapped(x: Any) -> Any:
    """(count, T, …) as (T, count, …), and back."""
    return ops.transpose(x, (1, 0, *range(2, x.ndim)))


def _step(whole: Program, marks: Sequence[Sequence[bool]], count: int, backend: Backend) -> _Step:
    """
    Args:
        marks: of the steps, the states and the fixed inputs.
    """
    pairs = zip((*whole.steps, *whole.states, *whole.fixed), itertools.chain(*marks), strict=True)
    marked = {v for v, mark in pairs if mark}
    while (more := _reached(whole, marked)) != marked:  # what reaches a new state reaches the old one
        marked = more
    with tracing(), recording(), backend.quiet():

        def place(v: int) -> Any:
            shape = (count, *whole.shapes[v]) if v in marked else whole.shapes[v]
            return placeholder(dummy(shape, whole.dtypes[v], backend), backend, True)

        heads = {v: place(v) for v in (*whole.steps, *whole.states, *whole.fixed)}
        since, values = now(), dict(heads)
        for instruction in whole.instructions:
            given = [ref.value if type(ref) is Number else values[ref] for ref in instruction.operands]
            of = [type(ref) is not Number and ref in marked for ref in instruction.operands]
            if any(of):
                ys = batches.run(instruction.row, given, of, instruction.params, count, instruction.stopped)
            else:
                y = (choose if instruction.stopped else apply)(instruction.row, given, instruction.params)
                ys = y if instruction.row.several else (y,)
            values.update(zip(instruction.results, ys, strict=True))
        states = [v in marked for v in whole.states]
        new = [
            values[v] if v in marked or not mark else ops.broadcast_to(values[v], (count, *whole.shapes[v]))
            for v, mark in zip(whole.carried, states, strict=True)
        ]
        found = [*(values[v] for v in whole.outputs), *new]
        steps, olds, fixed = ([heads[v] for v in group] for group in (whole.steps, whole.states, whole.fixed))
        trace = capture(found, steps, olds, fixed, since)
    ends = len(whole.outputs)
    trace.program.outputs, trace.program.carried = trace.results[:ends], trace.results[ends:]
    return _Step(cell_of(trace.program), [v in marked for v in whole.outputs], states, trace.outside)


def _reached(whole: Program, marked: set[int]) -> set[int]:
    """What depends on marked values within a step and the next."""
    reached = set(marked)
    for instruction in whole.instructions:
        if any(type(ref) is not Number and ref in reached for ref in instruction.operands):
            reached.update(instruction.results)
    return reached | {old for old, new in zip(whole.states, whole.carried, strict=True) if new in reached}
