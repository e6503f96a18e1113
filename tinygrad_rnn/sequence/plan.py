"""A plan for all steps: the loop's step and its derivative.

1. *Differentiate* the step by its own rows, recorded like everything else.
2. *Accumulate.* A weight's residual Σₜ aₜᵀ gₜ leaves the backward loop: aₜ and gₜ are kept, and become one
   product over all T.

    forward    x ─ prologue ─ per_step ─┐   ┌─ outputs
                             states ────┴ step ─ carried        for each step, and keeps what is read below
    backward   residuals ─ step's derivative ─ step_residuals   ─ prologue backwards ─ residuals of x
                                            └─ (aₜ, gₜ) of all steps ─ one product ─ residual of W
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import ops
from ..backends import Backend
from ..caches import Recent
from ..chain_rule.routing import Contracted
from ..errors import TraceError
from ..tape import apply, choose, now, pull_back, recording
from .gradient_terms import GradientTerm, terms_of
from .hoist import LoopBody, ancestors
from .program import Instruction, Number, Program, capture, placeholder, tracing


@dataclass(eq=False)
class Plan:
    """Everything known of a compiled scan before it runs.

    Attributes:
        body: what is in the loop and what is not.
        joint: the loop's step and, after it, its derivative. Its ``fixed`` are the body's, then
            ``constants``.
        forward, backward: the instructions of each.
        output_residuals, carried_residuals: inputs of the backward part; None where a value cannot have one.
        step_residuals, state_residuals: what the backward part makes; None where it is not needed or nothing
            arrives.
        terms: for each fixed value that needs a residual, its terms.
        constants: arrays that the rules made while the step was differentiated.
        kept: values of the forward part that the backward part uses.
        prologues: what is before and after the loop, by the number of steps; 0 for any.
        derived: its derivatives as loops, by their mode.
        engine: what runs it, once that is known: machine code, or the reason why it runs as calls.
        advice: in that case what to write instead, "" where nothing better can be written.
    """

    body: LoopBody
    joint: Program
    forward: list[Instruction]
    backward: list[Instruction] = field(default_factory=list)
    output_residuals: list[int | None] = field(default_factory=list)
    carried_residuals: list[int | None] = field(default_factory=list)
    step_residuals: list[int | None] = field(default_factory=list)
    state_residuals: list[int | None] = field(default_factory=list)
    terms: dict[int, list[GradientTerm]] = field(default_factory=dict)
    constants: list[Any] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    prologues: Recent[int, Any] = field(default_factory=lambda: Recent(32))
    derived: Recent[Any, Any] = field(default_factory=lambda: Recent(32))
    engine: Any = None
    advice: str = ""

    def laid_out(self, engine: Any) -> Any:
        """What a run goes by: the engine, this plan laid out in memory, or the plan itself, if that is the
        reason why it is not."""
        return self if isinstance(engine, str) else engine

    @property
    def all_terms(self) -> list[GradientTerm]:
        """Those of all fixed values."""
        return list(itertools.chain(*self.terms.values()))

    @property
    def differentiated(self) -> bool:
        """Whether a residual goes back through the loop; it may pass without an instruction."""
        return bool(self.terms) or any(r is not None for r in (*self.step_residuals, *self.state_residuals))

    @property
    def transposed(self) -> set[int]:
        """The matrices from outside, in the loop's numbers, of which the transpose lies in memory: what
        products alone read."""
        joint = self.joint
        found = {v for v, transposed in zip(joint.fixed, self.body.transposed, strict=False) if transposed}
        for instruction in joint.instructions:
            if not isinstance(instruction.row.loops, Contracted) and not instruction.row.permutes:
                found.difference_update(x for x in instruction.operands if not isinstance(x, Number))
        return found.difference((*joint.outputs, *joint.carried))

    @property
    def made_before(self) -> list[int]:
        """The streams that were computed before the loop, in its numbers."""
        return [
            v
            for v, stream in zip(self.joint.steps, self.body.per_step, strict=False)
            if stream not in self.body.whole.steps
        ]

    @property
    def held(self) -> list[int]:
        """Values that stay for each step until its backward half is done, beside what the cell was given."""
        return list(dict.fromkeys([*self.made_before, *(v for v in self.kept if v not in self.joint.steps)]))

    @property
    def returned(self) -> list[int]:
        """Values that the backward half makes for each step."""
        after_loop = [v for term in self.all_terms if term.gathered for v in term.values]
        return list(
            dict.fromkeys(
                [r for r in (*self.step_residuals, *after_loop) if r is not None and r not in self.kept]
            )
        )

    def check(self) -> None:
        """See that every value is there when it is read, in the forward and in the backward part.

        Raises:
            TraceError: one is not.
        """
        joint = self.joint
        forward = check_order(
            self.forward,
            {*joint.steps, *joint.states, *joint.fixed},
            (*joint.outputs, *joint.carried, *self.kept),
        )
        arriving = {g for g in (*self.output_residuals, *self.carried_residuals) if g is not None}
        sent = [r for r in (*self.step_residuals, *self.state_residuals) if r is not None]
        sent += [v for term in self.all_terms for v in term.values]
        check_order(self.backward, {*joint.fixed, *arriving, *forward.intersection(self.kept)}, sent)


def check_order(instructions: Sequence[Instruction], known: set[int], results: Sequence[int]) -> set[int]:
    """What is known after instructions.

    Raises:
        TraceError: a value is read before it is made, or a result is not made.
    """
    known = set(known)
    for instruction in instructions:
        if not known.issuperset(ref for ref in instruction.operands if not isinstance(ref, Number)):
            raise TraceError(f"{instruction.row.name} would read a value that is not there")
        known.update(instruction.results)
    if not known.issuperset(results):
        raise TraceError("a result would not be made")
    return known


def make_plan(body: LoopBody, backend: Backend, needs: dict[str, list[bool]] | None) -> Plan:
    """Differentiate the body's step, unless nothing needs a residual.

    Args:
        needs: for the body's steps, states and fixed inputs whether a residual is asked for; None for a
            forward pass alone.
    """
    program = body.program
    if needs is None:
        return Plan(body, program, program.instructions)
    with tracing(), recording(), backend.quiet():

        def places(values: Sequence[int], wanted: Sequence[bool]) -> list[Any]:
            kinds = [(program.shapes[v], program.dtypes[v]) for v in values]
            return [
                placeholder(dummy(*kind, backend), backend, want)
                for kind, want in zip(kinds, wanted, strict=True)
            ]

        steps, states, fixed = (
            places(getattr(program, name), needs[name]) for name in ("steps", "states", "fixed")
        )
        left = [*program.outputs, *program.carried]
        # residuals may have residuals themselves
        arriving = places(left, [program.dtypes[v].kind == "f" for v in left])

        def run() -> list[Any]:
            values = dict(
                zip((*program.steps, *program.states, *program.fixed), (*steps, *states, *fixed), strict=True)
            )
            program.run(values, apply, None, choose)
            return [values[v] for v in left]

        return _assembled(body, derive(run, steps, states, fixed, arriving))


def dummy(shape: tuple[int, ...], dtype: Any, backend: Backend) -> Any:
    """An array of a kind; ones, so that no rule meets a singular point, but whole numbers name the first
    element."""
    return backend.zeros(shape, dtype) if dtype.kind in "iu" else backend.ones(shape, dtype)


@dataclass
class Derived:
    """A piece of program and, after it, its derivative.

    Attributes:
        program: its ``states`` end with the residuals that arrive.
        forward, backward: the instructions of each.
        results: the values that come out.
        reached: for each of them whether residuals pass through it.
        residuals: for each of the steps, states and fixed inputs the value of its residual; None where none
            is asked for or none arrives.
        constants: arrays that the rules made while it was differentiated.
    """

    program: Program
    forward: list[Instruction]
    backward: list[Instruction]
    results: list[Any]
    reached: list[bool]
    residuals: list[int | None]
    constants: list[Any]


def derive(
    run: Callable[[], list[Any]], steps: list[Any], states: list[Any], fixed: list[Any], arriving: list[Any]
) -> Derived:
    """Run a piece of program on placeholders, and carry placeholders of residuals back; None where no
    residual comes."""
    since = now()
    results = run()
    end_of_forward = now()
    inputs = [*steps, *states, *fixed]
    wanted = [x for x in inputs if x.requires_grad]
    seeds = [(y, g) for y, g in zip(results, arriving, strict=True) if y.requires_grad and g is not None]
    residuals = pull_back(seeds, ops, wanted, since)[0] if seeds else None
    found = [residuals.at(x) if residuals is not None and x.requires_grad else None for x in inputs]
    come = [g for g in arriving if g is not None]
    trace = capture([*results, *(r for r in found if r is not None)], steps, [*states, *come], fixed, since)
    forward = [
        i
        for i, index in zip(trace.program.instructions, trace.indices, strict=True)
        if index < end_of_forward
    ]
    numbers = iter(trace.results[len(results) :])
    return Derived(
        trace.program,
        forward,
        trace.program.instructions[len(forward) :],
        trace.results[: len(results)],
        [y.requires_grad for y in results],
        [None if r is None else next(numbers) for r in found],
        [x._data for x in trace.outside],
    )


def _assembled(body: LoopBody, derived: Derived) -> Plan:
    joint, residuals = derived.program, derived.residuals
    counts = len(body.program.steps), len(body.program.states), len(body.program.fixed)
    arriving = joint.states[counts[1] :]
    joint.states = joint.states[: counts[1]]
    ends = len(body.program.outputs)
    joint.outputs, joint.carried = derived.results[:ends], derived.results[ends:]
    arriving_or_none = [g if ok else None for g, ok in zip(arriving, derived.reached, strict=True)]
    plan = Plan(body, joint, derived.forward, constants=derived.constants)
    plan.output_residuals, plan.carried_residuals = arriving_or_none[:ends], arriving_or_none[ends:]
    plan.step_residuals = residuals[: counts[0]]
    plan.state_residuals = residuals[counts[0] : counts[0] + counts[1]]
    transposed = plan.transposed
    for value, residual in zip(joint.fixed, residuals[counts[0] + counts[1] :], strict=False):
        if residual is not None:
            plan.terms[value] = terms_of(joint, residual, value in transposed)
    plan.backward = _backward_instructions(plan)
    made = {v for i in plan.backward for v in i.results}
    used = {ref for i in plan.backward for ref in i.operands if not isinstance(ref, Number)}
    used.update(v for term in plan.all_terms for v in term.values)
    used.update(r for r in (*plan.step_residuals, *plan.state_residuals) if r is not None)
    inputs = {*joint.fixed, *(g for g in arriving)}
    plan.kept = sorted(used - made - inputs)
    return plan


def _backward_instructions(plan: Plan) -> list[Instruction]:
    """What leads to residuals and terms, without the forward part."""
    wanted = [r for r in (*plan.step_residuals, *plan.state_residuals) if r is not None]
    wanted += [v for term in plan.all_terms for v in term.values]
    before = {v for i in plan.forward for v in i.results}
    return [
        i
        for i in ancestors(plan.joint, wanted, lambda v: v not in before)
        if not before.issuperset(i.results)
    ]
