"""A plan for all steps: the loop's step and its derivative.

1. *Differentiate* the step by its own rows, recorded like everything else.
2. *Sink.* A weight's residual Σₜ aₜᵀ gₜ leaves the backward loop: aₜ and gₜ are kept and become one GEMM over
   all T.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import ops
from ..backends import Backend
from ..caches import Recent
from ..chain_rule.routing import Contracted
from ..errors import TraceError
from ..tape import apply, choose, now, pull_back, recording
from .hoist import Core, ancestors
from .program import Instruction, Number, Program, capture, placeholder, tracing


@dataclass(frozen=True, eq=False)
class Sink:
    """One term of a fixed value's residual, summed over all steps.

    Attributes:
        kind: "product" for Σ aᵀ g, "batched" for such a product of each sample, Σ a[b, i] g[b, j], "plain"
            for what is added up.
        values: (a, g), or the one value.
        shared: how many axes b stands for.
        turned: whether the transpose is made of a product, Σ gᵀ a.
    """

    kind: str
    values: tuple[int, ...]
    shared: int = 0
    turned: bool = False

    @property
    def gathered(self) -> bool:
        """Whether its values are kept, and multiplied for all steps at once."""
        return self.kind in ("product", "batched")


@dataclass(eq=False)
class Plan:
    """Everything known of a compiled scan before it runs.

    Attributes:
        core: what is in the loop and what is not.
        joint: the loop's step and, after it, its derivative. Its ``fixed`` are the core's, then
            ``constants``.
        forward, backward: the instructions of each.
        output_residuals, carried_residuals: inputs of the backward part; None where a value cannot have one.
        step_residuals, state_residuals: what the backward part makes; None where it is not needed or nothing
            arrives.
        sinks: for each fixed value that needs a residual, its terms.
        constants: arrays that the rules made while the step was differentiated.
        kept: values of the forward part that the backward part uses.
        around: what is before and after the loop, by the number of steps; 0 for any.
        derived: its derivatives as loops, by their mode.
        engine: what runs it, once that is known: machine code, or the reason why it runs as calls.
        advice: in that case what to write instead, "" where nothing better can be written.
    """

    core: Core
    joint: Program
    forward: list[Instruction]
    backward: list[Instruction] = field(default_factory=list)
    output_residuals: list[int | None] = field(default_factory=list)
    carried_residuals: list[int | None] = field(default_factory=list)
    step_residuals: list[int | None] = field(default_factory=list)
    state_residuals: list[int | None] = field(default_factory=list)
    sinks: dict[int, list[Sink]] = field(default_factory=dict)
    constants: list[Any] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    around: Recent[int, Any] = field(default_factory=lambda: Recent(32))
    derived: Recent[Any, Any] = field(default_factory=lambda: Recent(32))
    engine: Any = None
    advice: str = ""

    def laid_out(self, engine: Any) -> Any:
        """What a run goes by: the engine, this plan laid out in memory, or the plan itself, if that is the
        reason why it is not."""
        return self if isinstance(engine, str) else engine

    @property
    def differentiated(self) -> bool:
        """Whether a residual goes back through the loop; it may pass without an instruction."""
        return bool(self.sinks) or any(r is not None for r in (*self.step_residuals, *self.state_residuals))

    @property
    def turned(self) -> set[int]:
        """The matrices from outside, in the loop's numbers, of which the transpose lies in memory: what
        products alone read."""
        joint = self.joint
        found = {v for v, turned in zip(joint.fixed, self.core.turned, strict=False) if turned}
        for instruction in joint.instructions:
            if not isinstance(instruction.row.loops, Contracted) and not instruction.row.permutes:
                found.difference_update(x for x in instruction.operands if not isinstance(x, Number))
        return found.difference((*joint.outputs, *joint.carried))

    @property
    def made_before(self) -> list[int]:
        """The streams that were computed before the loop, in its numbers."""
        return [
            v
            for v, stream in zip(self.joint.steps, self.core.streams, strict=False)
            if stream not in self.core.whole.steps
        ]

    @property
    def held(self) -> list[int]:
        """Values that stay for each step until its backward half is done, beside what the cell was given."""
        return list(dict.fromkeys([*self.made_before, *(v for v in self.kept if v not in self.joint.steps)]))

    @property
    def returned(self) -> list[int]:
        """Values that the backward half makes for each step."""
        sunk = [v for sinks in self.sinks.values() for sink in sinks if sink.gathered for v in sink.values]
        return list(
            dict.fromkeys([r for r in (*self.step_residuals, *sunk) if r is not None and r not in self.kept])
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
        sent += [v for sinks in self.sinks.values() for sink in sinks for v in sink.values]
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


def make_plan(core: Core, backend: Backend, needs: dict[str, list[bool]] | None) -> Plan:
    """Differentiate the core's step, unless nothing needs a residual.

    Args:
        needs: for the core's steps, states and fixed inputs whether a residual is asked for; None for a
            forward pass alone.
    """
    program = core.program
    if needs is None:
        return Plan(core, program, program.instructions)
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

        return _assembled(core, derive(run, steps, states, fixed, arriving))


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


def _assembled(core: Core, derived: Derived) -> Plan:
    joint, residuals = derived.program, derived.residuals
    counts = len(core.program.steps), len(core.program.states), len(core.program.fixed)
    arriving = joint.states[counts[1] :]
    joint.states = joint.states[: counts[1]]
    ends = len(core.program.outputs)
    joint.outputs, joint.carried = derived.results[:ends], derived.results[ends:]
    arriving_or_none = [g if ok else None for g, ok in zip(arriving, derived.reached, strict=True)]
    plan = Plan(core, joint, derived.forward, constants=derived.constants)
    plan.output_residuals, plan.carried_residuals = arriving_or_none[:ends], arriving_or_none[ends:]
    plan.step_residuals = residuals[: counts[0]]
    plan.state_residuals = residuals[counts[0] : counts[0] + counts[1]]
    turned = plan.turned
    for value, residual in zip(joint.fixed, residuals[counts[0] + counts[1] :], strict=False):
        if residual is not None:
            plan.sinks[value] = _sinks(joint, residual, value in turned)
    plan.backward = _backward_instructions(plan)
    made = {v for i in plan.backward for v in i.results}
    used = {ref for i in plan.backward for ref in i.operands if not isinstance(ref, Number)}
    used.update(v for sinks in plan.sinks.values() for sink in sinks for v in sink.values)
    used.update(r for r in (*plan.step_residuals, *plan.state_residuals) if r is not None)
    inputs = {*joint.fixed, *(g for g in arriving)}
    plan.kept = sorted(used - made - inputs)
    return plan


def fixed_residuals(plan: Plan, totals: dict[Any, Any], np: Any, products: Any) -> list[Any]:
    """The residuals of the core's fixed values from what their sinks add up to over all steps; None where
    there is none.

    Args:
        np: the backend of arrays, or the recorded operations of tensors.

    Some are promised by ``products`` until those are run.
    """
    products.wait()

    def of(v: int, sink: Sink) -> Any:
        shape = plan.joint.shapes[v]
        if not sink.gathered:
            return np.sum_to(totals[sink], shape)
        return totals[sink].T if sink.turned else totals[sink].reshape(shape)

    fixed = plan.joint.fixed[: len(plan.core.program.fixed)]
    return [
        products.total([of(v, sink) for sink in plan.sinks[v]]) if v in plan.sinks else None for v in fixed
    ]


def over_steps(products: Any, sink: Sink, a: Any, g: Any, total: Any, order: int) -> Any:
    """What a gathered sink adds up to, (T, …) each, and the total so far; from the first step (order 1) or
    the last (−1). Of a turned one the transpose."""
    if sink.kind == "product":
        left, right = (x.reshape(-1, x.shape[-1]) for x in ((g, a) if sink.turned else (a, g)))
        return products.over_rows(left, right, total, order)
    lead = len(a), math.prod(a.shape[1 : 1 + sink.shared])
    return products.of_each(a.reshape(*lead, -1), g.reshape(*lead, -1), total, order)


def _sinks(program: Program, residual: int, turned: bool) -> list[Sink]:
    """The terms of a residual: products and sums over the batch are recognised by the rows that made them."""
    producers = program.producers()
    sinks, todo = [], [residual]
    while todo:
        value = todo.pop()
        made = producers.get(value)
        if (
            made is not None
            and made.row.sums
            and program.shapes[value] == program.shapes[residual]
            and _same_shapes(program, made)
        ):
            todo.extend(made.operands)
        elif (
            made is not None
            and _is_of_matrices(program, made)
            and (left := producers.get(made.operands[0]))
            and left.row.permutes
        ):
            sinks.append(Sink("product", (left.operands[0], made.operands[1]), turned=turned))
        elif made is not None and (batched := _batched(program, made)) is not None:
            sinks.append(batched)
        elif made is not None and made.row.undoes_broadcast and len(program.shapes[made.operands[0]]) == 2:
            sinks.append(Sink("plain", (made.operands[0],)))  # summed over the batch after all steps
        else:
            sinks.append(Sink("plain", (value,)))
    return sinks


def _is_of_matrices(program: Program, instruction: Instruction) -> bool:
    """A single product, not a stack of them: only those of all steps are one product."""
    return instruction.row.multiplies_matrices and len(program.shapes[instruction.results[0]]) == 2


def _batched(program: Program, instruction: Instruction) -> Sink | None:
    """The sink of a[b, i] · g[b, j], an element for each b, i and j, where these are more than there are of
    both."""
    loops, operands = instruction.row.loops, instruction.operands
    if (
        not isinstance(loops, Contracted)
        or len(operands) != 2
        or any(isinstance(x, Number) for x in operands)
    ):
        return None
    words, result = loops.letters([program.shapes[x] for x in operands], instruction.params)
    size = {x: math.prod(program.shapes[x]) for x in (*operands, *instruction.results)}
    if 2 * (size[operands[0]] + size[operands[1]]) > size[instruction.results[0]]:
        return None
    for (a, left), (g, right) in itertools.permutations(zip(operands, words, strict=True)):
        shared = sum(
            1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False))
        )
        same = (
            program.shapes[a][:shared] == program.shapes[g][:shared]
            and program.dtypes[a] == program.dtypes[g]
        )
        if 0 < shared < min(len(left), len(right)) and result == left + right[shared:] and same:
            return Sink("batched", (a, g), shared)
    return None


def _same_shapes(program: Program, instruction: Instruction) -> bool:
    shapes = {program.shapes[ref] for ref in instruction.operands if not isinstance(ref, Number)}
    return len(shapes) == 1 and not any(isinstance(ref, Number) for ref in instruction.operands)


def _backward_instructions(plan: Plan) -> list[Instruction]:
    """What leads to residuals and sinks, without the forward part."""
    wanted = [r for r in (*plan.step_residuals, *plan.state_residuals) if r is not None]
    wanted += [v for sinks in plan.sinks.values() for sink in sinks for v in sink.values]
    before = {v for i in plan.forward for v in i.results}
    return [
        i
        for i in ancestors(plan.joint, wanted, lambda v: v not in before)
        if not before.issuperset(i.results)
    ]
