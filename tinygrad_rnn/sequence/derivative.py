"""The derivative of a scan as scans.

A plan is a program of rows; so is its derivative, which is planned, run and derived again as any other:

    reverse   the loop once more, for what its derivative reads; then a loop the other way round, whose step
              is the step's derivative
    forward   one loop, whose step is the step and its tangents

So derivatives of derivatives, of any order and in either mode, are compiled scans, and no rule is written for
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import ops
from ..backends import Backend
from ..chain_rule.addition import ADD
from ..tape import apply, choose, no_grad, now, push_forward, recording
from .gradient_terms import GradientTerm, fixed_residuals, over_steps
from .own_products import applied, recorded_products
from .plan import Plan, dummy
from .program import Instruction, Program, capture, placeholder, tracing
from .trace import TracedCell, cell_of

# -- reverse -------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Reverse:
    """The two loops of a plan's derivative.

    Attributes:
        forward: from the loop's inputs to what its derivative reads.
        backward: from that and the residuals of outputs to those of the steps' inputs, and to what is
            multiplied after the loop.
        known: the values that are outputs of ``forward``.
        leaving: the values that are outputs of ``backward``.
        carried: which states' residuals are the states of ``backward``.
        sums: the terms that are added up in the states after those.
        stops: which states have no residual before a step, whatever arrives after it.
    """

    forward: TracedCell
    backward: TracedCell
    known: list[int]
    leaving: list[int]
    carried: list[int]
    sums: list[GradientTerm]
    stops: list[int]


def _reverse(plan: Plan) -> _Reverse:
    joint = plan.joint
    known = [v for v in plan.kept if v not in joint.steps]
    forward = replace(joint, instructions=plan.forward, outputs=known)
    program = Program([*joint.shapes], [*joint.dtypes], fixed=[*joint.fixed], instructions=[*plan.backward])
    program.steps = [*plan.kept, *(v for v in plan.output_residuals if v is not None)]
    carried, stops = [], []
    for i, (arriving, leaving) in enumerate(zip(plan.carried_residuals, plan.state_residuals, strict=True)):
        like = leaving if arriving is None else arriving
        if like is None:
            continue
        kind = program.shapes[like], program.dtypes[like]
        program.states.append(program.value(*kind) if arriving is None else arriving)
        if leaving is None:  # no residual goes on: nothing is carried
            leaving = program.value(*kind)
            program.fixed.append(leaving)
            stops.append(i)
        program.carried.append(leaving)
        carried.append(i)
    terms = plan.all_terms
    sums = [term for term in terms if not term.gathered]
    for term in sums:
        (v,) = term.values
        before, after = (program.value(program.shapes[v], program.dtypes[v]) for _ in range(2))
        program.instructions.append(Instruction(ADD, (before, v), (), (after,)))
        program.states.append(before)
        program.carried.append(after)
    left = [v for v in plan.step_residuals if v is not None] + [
        v for term in terms if term.gathered for v in term.values
    ]
    program.outputs = [v for v in dict.fromkeys(left) if v not in plan.kept]
    return _Reverse(cell_of(forward), cell_of(program), known, program.outputs, carried, sums, stops)


def pulled(call: Any, g: Sequence[Any], xs: Sequence[Any]) -> list[Any]:
    """The residuals of a scan's operands, recorded, from those of its results; None where none arrives.

    Args:
        call: the :class:`~.run.ScanCall`.
        g: tensors, None where nothing arrives.
        xs: the operands.

    Raises:
        TraceError: the derivative cannot be planned.
    """
    plan, backend, (inputs, states), reverse = call.plan, call.backend, call.counts, call.options.reverse
    loops = plan.derived.get("reverse") or plan.derived.share("reverse", _reverse(plan))
    joint, program, count = plan.joint, plan.body.program, len(plan.body.program.outputs)
    head = call.prologue(call.steps)
    numbers = [call.tensor(backend.from_host(number)) for number in call.traced.form.numbers]
    products = recorded_products()
    fed, before = head.before([*xs[:inputs], *xs[inputs + states :], *numbers], products, applied)
    streams = [*fed[: len(plan.body.per_step)], *map(call.tensor, call.masks(call.options.live))]
    fixed = [*fed[len(plan.body.per_step) :], *map(call.tensor, plan.constants)]

    def zeros(v: int, *steps: int) -> Any:
        return call.tensor(backend.zeros((*steps, *joint.shapes[v]), joint.dtypes[v]))

    started = [
        call.tensor(backend.zeros(program.shapes[v], program.dtypes[v])) for v in program.states[states:]
    ]
    firsts = [*xs[inputs : inputs + states], *started]
    ys, _ = call.scan(call, loops.forward, streams, firsts, fixed, call.options.unmasked(reverse))
    values = dict(zip(joint.steps, streams, strict=True)) | dict(zip(loops.known, ys, strict=True))
    arriving = [
        zeros(v, call.steps) if part is None else part
        for v, part in zip(plan.output_residuals, g, strict=False)
        if v is not None
    ]
    last = [*g[count:], *[None] * (len(joint.states) - states)]
    carried = [zeros(joint.states[i]) if last[i] is None else last[i] for i in loops.carried]
    begun = [*carried, *(zeros(term.values[0]) for term in loops.sums)]
    stops = [zeros(joint.states[i]) for i in loops.stops]
    steps = [*(values[v] for v in plan.kept), *arriving]
    ys, ended = call.scan(
        call, loops.backward, steps, begun, [*fixed, *stops], call.options.unmasked(not reverse)
    )
    values.update(zip(loops.leaving, ys, strict=True))
    totals = dict(zip(loops.sums, ended[len(carried) :], strict=True))
    found = dict(zip(loops.carried, ended, strict=False))
    of_states = [found.get(i) if r is not None else None for i, r in enumerate(plan.state_residuals[:states])]
    of_streams = [None if r is None else values[r] for r in plan.step_residuals[: len(plan.body.per_step)]]
    for term in (term for term in plan.all_terms if term.gathered):
        a, g = (values[v] for v in term.values)
        totals[term] = over_steps(products, term, a, g, None, 1)
    parts = head.through(before, of_streams, {}, products, 1, applied)
    of_fixed = fixed_residuals(plan, totals, ops, products)
    others = head.after(before, of_fixed, products, applied)
    ends = [*parts, *of_states, *others[: len(call.outside)]]
    return [None if part is None else ops.reshape(part, x.shape) for part, x in zip(ends, xs, strict=True)]


# -- forward -------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Forward:
    """A step and its tangents.

    Attributes:
        cell: its outputs, states and fixed inputs are those of the step, and after them their tangents.
        moved: which outputs have a tangent.
        outside: tensors that the rules made.
    """

    cell: TracedCell
    moved: list[bool]
    outside: list[Any]


def _forward(whole: Program, moving: Sequence[bool], backend: Backend) -> _Forward:
    """The step of a cell with its tangents.

    Args:
        moving: of its steps and fixed inputs, which have a tangent; all states of floats have one.
    """
    with tracing(), recording(), backend.quiet():

        def place(v: int, wanted: bool) -> Any:
            return placeholder(dummy(whole.shapes[v], whole.dtypes[v], backend), backend, wanted)

        wanted = dict(zip([*whole.steps, *whole.fixed], moving, strict=True)) | {
            v: whole.dtypes[v].kind == "f" for v in whole.states
        }
        heads = {v: place(v, want) for v, want in wanted.items()}
        tangents = {v: place(v, True) for v, want in wanted.items() if want}
        since, values = now(), dict(heads)
        whole.run(values, apply, None, choose)
        results = [values[v] for v in (*whole.outputs, *whole.carried)]
        pushed = push_forward(results, [(heads[v], t) for v, t in tangents.items()], ops, since)
        count = len(whole.outputs)
        floats = [v for v in whole.states if v in tangents]
        new = [t for t, v in zip(pushed[count:], whole.states, strict=True) if v in tangents]
        new = [ops.zeros_like(heads[v]) if t is None else t for t, v in zip(new, floats, strict=True)]
        moved = [t for t in pushed[:count] if t is not None]

        def places(values: Sequence[int]) -> list[Any]:
            return [*(heads[v] for v in values), *(tangents[v] for v in values if v in tangents)]

        found = [*results[:count], *moved, *results[count:], *new]
        trace = capture(found, places(whole.steps), places(whole.states), places(whole.fixed), since)
    ends = count + len(moved)
    trace.program.outputs, trace.program.carried = trace.results[:ends], trace.results[ends:]
    return _Forward(cell_of(trace.program), [t is not None for t in pushed[:count]], trace.outside)


def pushed(call: Any, tangents: Sequence[Any], xs: Sequence[Any]) -> list[Any]:
    """The tangents of a scan's results, recorded, from those of its operands; None where none arrives.

    Raises:
        TraceError: the derivative cannot be planned.
    """
    plan, backend, (inputs, states) = call.plan, call.backend, call.counts
    whole = plan.body.whole
    numbers = [call.tensor(backend.from_host(number)) for number in call.traced.form.numbers]
    given = [*xs[:inputs], *xs[inputs + states :], *numbers]
    arrived = [*tangents[:inputs], *tangents[inputs + states :], *[None] * len(numbers)]
    moving = tuple(t is not None for t in arrived)
    key = "forward", moving
    step = plan.derived.get(key) or plan.derived.share(key, _forward(whole, moving, backend))
    old = xs[inputs : inputs + states]
    floats = [
        ops.zeros_like(x) if t is None else t
        for x, t in zip(old, tangents[inputs : inputs + states], strict=True)
        if x.dtype.kind == "f"
    ]
    streams = [*given[:inputs], *(t for t in arrived[:inputs] if t is not None)]
    fixed = [*given[inputs:], *(t for t in arrived[inputs:] if t is not None), *step.outside]
    ys, last = call.scan(call, step.cell, streams, [*old, *floats], fixed, call.options)
    count, new = len(whole.outputs), iter(last[states:])
    made = iter(ys[count:])
    outputs = [next(made) if moves else None for moves in step.moved]
    return [*outputs, *(next(new) if x.dtype.kind == "f" else None for x in old)]


def pushed_arrays(call: Any, tangents: Sequence[Any], xs: Sequence[Any]) -> tuple[Any, ...]:
    """The same of arrays."""
    with no_grad():
        found = pushed(
            call, [None if t is None else call.tensor(t) for t in tangents], [*map(call.tensor, xs)]
        )
    return tuple(None if t is None else t._data for t in found)
