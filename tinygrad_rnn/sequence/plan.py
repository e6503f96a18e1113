"""From one step's program to a plan for all steps.

1. *Hoist.* What depends on x alone and ends in a matmul leaves the loop: one GEMM over all T. What never changes is computed once.
2. *Merge.* Matmuls inside the loop that share a left operand become one, with their right operands side by side.
3. *Mask.* Lengths and masks are part of the plan: ``where`` between the new state and the old one.
4. *Differentiate* the step by its own rows, recorded like everything else.
5. *Sink.* A weight's residual Σₜ aₜᵀ gₜ leaves the backward loop: aₜ and gₜ are kept and become one GEMM over all T.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy

from .. import ops
from ..backends import Backend
from ..caches import Recent
from ..chain_rule.addition import ADD, CONCATENATE, SPLIT, SUM_TO, TRANSPOSE, WHERE
from ..chain_rule.weighting import MATMUL
from ..errors import TraceError
from ..tape import apply, choose, now, pull_back, recording
from .program import Instruction, Number, Program, capture, placeholder, tracing

# -- hoist and merge ------------------------------------------------------------------------------------------------------------------


@dataclass
class Core:
    """What stays in the loop, and what was taken out of it.

    Attributes:
        program: the loop's step; its ``steps``, ``fixed`` inputs come from the values named in ``streams`` and ``constants``.
        whole: the cell's step as traced.
        streams: values of ``whole`` that differ from step to step and feed the loop: inputs x, or products of them.
        constants: values of ``whole`` that are the same at every step and feed the loop, each a tuple: several are merged side by side.
        once: instructions of ``whole`` that are computed once, before the loop.
        hoisted: instructions of ``whole`` that are computed for all steps at once, before the loop.
    """

    program: Program
    whole: Program
    streams: list[int]
    constants: list[tuple[int, ...]]
    once: list[Instruction]
    hoisted: list[Instruction]


def _classes(program: Program) -> dict[int, str]:
    """For each value whether it is "fixed", depends on x alone ("step"), or on the state ("loop")."""
    classes = dict.fromkeys(program.fixed, "fixed") | dict.fromkeys(program.steps, "step") | dict.fromkeys(program.states, "loop")
    for instruction in program.instructions:
        kinds = {classes[ref] for ref in instruction.operands if not isinstance(ref, Number)}
        kind = "loop" if "loop" in kinds else "step" if "step" in kinds else "fixed"
        classes.update(dict.fromkeys(instruction.results, kind))
    return classes


def _rowwise(program: Program, classes: dict[int, str], instruction: Instruction) -> bool:
    """Whether running it on the steps laid under each other, (T·B, n), is the same as running it on each step, (B, n)."""
    row = instruction.row
    batches = {program.shapes[ref][:1] for ref in instruction.operands if not isinstance(ref, Number) and classes[ref] == "step"}
    if len(batches) > 1:
        return False
    for ref in instruction.operands:
        if isinstance(ref, Number):
            continue
        shape = program.shapes[ref]
        if classes[ref] == "step" and (len(shape) != 2 or program.dtypes[ref].kind != "f"):
            return False
        if classes[ref] == "fixed" and row is not MATMUL and not (len(shape) <= 1 or (len(shape) == 2 and shape[0] == 1)):
            return False
    if row is MATMUL:
        a, b = instruction.operands
        return classes[a] == "step" and classes[b] == "fixed" and len(program.shapes[b]) == 2
    return row.elementwise or (row is SPLIT and instruction.params[1] == 1) or (row is CONCATENATE and instruction.params[0] == 1)


def extract_core(program: Program, live: bool, previous: bool) -> Core:
    """Hoist and merge."""
    classes = _classes(program)
    hoistable: set[int] = set(program.steps)
    for instruction in program.instructions:
        ready = all(isinstance(r, Number) or classes[r] == "fixed" or r in hoistable for r in instruction.operands)
        if ready and classes[instruction.results[0]] == "step" and _rowwise(program, classes, instruction):
            hoistable.update(instruction.results)
    products = [i for i in program.instructions if i.row is MATMUL and i.results[0] in hoistable]
    hoisted = ancestors(program, [i.results[0] for i in products], lambda v: classes[v] == "step")
    once = [i for i in program.instructions if classes[i.results[0]] == "fixed"]
    out = {v for i in (*hoisted, *once) for v in i.results}
    inside = [i for i in program.instructions if not out.issuperset(i.results)]
    core = Core(Program(), program, [], [], once, hoisted)
    _fill_core(core, inside, classes, live, previous)
    return core


def ancestors(program: Program, wanted: Sequence[int], follow: Any = lambda _v: True) -> list[Instruction]:
    """The instructions that lead to values, in order."""
    producers = program.producers()
    needed: set[int] = set()
    todo = list(wanted)
    chosen: set[int] = set()
    while todo:
        value = todo.pop()
        if value in needed or value not in producers or not follow(value):
            continue
        instruction = producers[value]
        needed.update(instruction.results)
        chosen.add(instruction.results[0])
        todo.extend(ref for ref in instruction.operands if not isinstance(ref, Number))
    return [i for i in program.instructions if i.results[0] in chosen]


def _fill_core(core: Core, inside: list[Instruction], classes: dict[int, str], live: bool, previous: bool) -> None:
    whole, new = core.whole, core.program
    number: dict[int, int] = {}
    for value in whole.states:
        number[value] = new.value(whole.shapes[value], whole.dtypes[value])
        new.states.append(number[value])
    merged = _merged(whole, inside, classes)

    def ref(old: Any) -> Any:
        if isinstance(old, Number):
            return old
        if old not in number:
            number[old] = new.value(whole.shapes[old], whole.dtypes[old])
            if classes[old] == "fixed":
                core.constants.append((old,))
                new.fixed.append(number[old])
            else:
                core.streams.append(old)
                new.steps.append(number[old])
        return number[old]

    for instruction in inside:
        if instruction.results[0] in number:
            continue  # part of a merged product
        group = merged.get(instruction.results[0])
        if group is None:
            operands = tuple(ref(r) for r in instruction.operands)
            results = tuple(new.value(whole.shapes[r], whole.dtypes[r]) for r in instruction.results)
            number.update(zip(instruction.results, results, strict=True))
            new.instructions.append(Instruction(instruction.row, operands, instruction.params, results, instruction.stopped))
        else:
            _add_merged(core, group, number, ref)
    new.outputs = [ref(v) for v in whole.outputs]
    new.carried = [ref(v) for v in whole.carried]
    if live:
        _mask(new, previous)


def _merged(program: Program, inside: list[Instruction], classes: dict[int, str]) -> dict[int, list[Instruction]]:
    """Groups of matmuls by a shared left operand and fixed right ones of one dtype, under the result of the first."""
    groups: dict[Any, list[Instruction]] = {}
    for instruction in inside:
        if instruction.row is MATMUL and not instruction.stopped and not any(isinstance(r, Number) for r in instruction.operands):
            a, b = instruction.operands
            if classes[b] == "fixed" and len(program.shapes[a]) == len(program.shapes[b]) == 2:
                groups.setdefault((a, program.dtypes[b]), []).append(instruction)
    return {group[0].results[0]: group for group in groups.values() if len(group) > 1}


def _add_merged(core: Core, group: list[Instruction], number: dict[int, int], ref: Any) -> None:
    whole, new = core.whole, core.program
    left = ref(group[0].operands[0])
    rights = tuple(i.operands[1] for i in group)
    widths = [whole.shapes[r][1] for r in rights]
    dtype = whole.dtypes[group[0].results[0]]
    side_by_side = new.value((whole.shapes[rights[0]][0], sum(widths)), whole.dtypes[rights[0]])
    core.constants.append(rights)
    new.fixed.append(side_by_side)
    product = new.value((new.shapes[left][0], sum(widths)), dtype)
    new.instructions.append(Instruction(MATMUL, (left, side_by_side), (), (product,)))
    parts = tuple(new.value((new.shapes[left][0], width), dtype) for width in widths)
    points = tuple(int(p) for p in numpy.cumsum(widths)[:-1])
    new.instructions.append(Instruction(SPLIT, (product,), (points, 1), parts))
    number.update({i.results[0]: part for i, part in zip(group, parts, strict=True)})


def _mask(program: Program, previous: bool) -> None:
    """Where a sample is not live it keeps its state, and 0 or the output before comes out. The mask is the last of the steps."""
    outputs = []
    masks: dict[int, int] = {}

    def where(new: int, old: Any) -> int:
        shape = program.shapes[new]
        if len(shape) not in masks:
            masks[len(shape)] = program.value((shape[0], *(1,) * (len(shape) - 1)), numpy.dtype(bool))
        chosen = program.value(shape, program.dtypes[new])
        program.instructions.append(Instruction(WHERE, (masks[len(shape)], new, old), (), (chosen,)))
        return chosen

    program.carried = [where(new, old) for new, old in zip(program.carried, program.states, strict=True)]
    for output in program.outputs:
        if previous:
            before = program.value(program.shapes[output], program.dtypes[output])
            program.states.append(before)
            chosen = where(output, before)
            program.carried.append(chosen)
        else:
            chosen = where(output, Number(0))
        outputs.append(chosen)
    program.outputs = outputs
    program.steps.extend(masks.values())


# -- differentiate and sink -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Sink:
    """One term of a fixed value's residual, summed over all steps.

    Attributes:
        kind: "product" for Σ aᵀ g, "sum" for a sum over the batch, "plain" for anything else.
        values: (a, g), or the one value.
    """

    kind: str
    values: tuple[int, ...]


@dataclass(eq=False)
class Plan:
    """Everything known of a compiled scan before it runs.

    Attributes:
        core: what is in the loop and what is not.
        joint: the loop's step and, after it, its derivative. Its ``fixed`` are the core's, then ``constants``.
        forward, backward: the instructions of each.
        output_residuals, carried_residuals: inputs of the backward part; None where a value cannot have one.
        step_residuals, state_residuals: what the backward part makes; None where it is not needed or nothing arrives.
        sinks: for each fixed value that needs a residual, its terms.
        constants: arrays that the rules made while the step was differentiated.
        kept: values of the forward part that the backward part uses.
        around: what is before and after the loop, by the number of steps; 0 for any.
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
    engine: Any = None
    advice: str = ""

    @property
    def differentiated(self) -> bool:
        """Whether a residual goes back through the loop; it may pass without an instruction."""
        return bool(self.sinks) or any(r is not None for r in (*self.step_residuals, *self.state_residuals))

    def check(self) -> None:
        """See that every value is there when it is read, in the forward and in the backward part.

        Raises:
            TraceError: one is not.
        """
        joint = self.joint
        forward = check_order(self.forward, {*joint.steps, *joint.states, *joint.fixed}, (*joint.outputs, *joint.carried, *self.kept))
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
        needs: for the core's steps, states and fixed inputs whether a residual is asked for; None for a forward pass alone.
    """
    program = core.program
    if needs is None:
        return Plan(core, program, program.instructions)
    with tracing(), recording(), backend.quiet():

        def places(values: Sequence[int], wanted: Sequence[bool]) -> list[Any]:
            kinds = [(program.shapes[v], program.dtypes[v]) for v in values]
            return [placeholder(dummy(*kind, backend), backend, want) for kind, want in zip(kinds, wanted, strict=True)]

        steps, states, fixed = (places(getattr(program, name), needs[name]) for name in ("steps", "states", "fixed"))
        left = [*program.outputs, *program.carried]
        arriving = places(left, [False] * len(left))

        def run() -> list[Any]:
            values = dict(zip((*program.steps, *program.states, *program.fixed), (*steps, *states, *fixed), strict=True))
            program.run(values, apply, None, choose)
            return [values[v] for v in left]

        return _assembled(core, derive(run, steps, states, fixed, arriving))


def dummy(shape: tuple[int, ...], dtype: Any, backend: Backend) -> Any:
    """An array of a kind; ones, so that no rule meets a singular point, but whole numbers name the first element."""
    return backend.zeros(shape, dtype) if dtype.kind in "iu" else backend.ones(shape, dtype)


@dataclass
class Derived:
    """A piece of program and, after it, its derivative.

    Attributes:
        program: its ``states`` end with the residuals that arrive.
        forward, backward: the instructions of each.
        results: the values that come out.
        reached: for each of them whether residuals pass through it.
        residuals: for each of the steps, states and fixed inputs the value of its residual; None where none is asked for or none arrives.
        constants: arrays that the rules made while it was differentiated.
    """

    program: Program
    forward: list[Instruction]
    backward: list[Instruction]
    results: list[Any]
    reached: list[bool]
    residuals: list[int | None]
    constants: list[Any]


def derive(run: Callable[[], list[Any]], steps: list[Any], states: list[Any], fixed: list[Any], arriving: list[Any]) -> Derived:
    """Run a piece of program on placeholders, and carry placeholders of residuals back; None where no residual comes."""
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
    forward = [i for i, index in zip(trace.program.instructions, trace.indices, strict=True) if index < end_of_forward]
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
    for value, residual in zip(joint.fixed, residuals[counts[0] + counts[1] :], strict=False):
        if residual is not None:
            plan.sinks[value] = _sinks(joint, residual)
    plan.backward = _backward_instructions(plan)
    made = {v for i in plan.backward for v in i.results}
    used = {ref for i in plan.backward for ref in i.operands if not isinstance(ref, Number)}
    used.update(v for sinks in plan.sinks.values() for sink in sinks for v in sink.values)
    used.update(r for r in (*plan.step_residuals, *plan.state_residuals) if r is not None)
    inputs = {*joint.fixed, *(g for g in arriving)}
    plan.kept = sorted(used - made - inputs)
    return plan


def fixed_residuals(plan: Plan, totals: dict[Any, Any], backend: Backend, products: Any) -> list[Any]:
    """The residuals of the core's fixed values from what their sinks add up to over all steps; None where there is none.

    Some are promised by ``products`` until those are run.
    """
    products.wait()

    def of(v: int, sink: Sink) -> Any:
        return totals[sink] if sink.kind == "product" else backend.sum_to(totals[sink], plan.joint.shapes[v])

    fixed = plan.joint.fixed[: len(plan.core.program.fixed)]
    return [products.total([of(v, sink) for sink in plan.sinks[v]]) if v in plan.sinks else None for v in fixed]


def _sinks(program: Program, residual: int) -> list[Sink]:
    """The terms of a residual: Σ aᵀ g and sums over the batch are recognised by the rows that made them."""
    producers = program.producers()
    sinks, todo = [], [residual]
    while todo:
        value = todo.pop()
        made = producers.get(value)
        if made is not None and made.row is ADD and program.shapes[value] == program.shapes[residual] and _same_shapes(program, made):
            todo.extend(made.operands)
        elif made is not None and _is_of_matrices(program, made) and (left := producers.get(made.operands[0])) and left.row is TRANSPOSE:
            sinks.append(Sink("product", (left.operands[0], made.operands[1])))
        elif made is not None and made.row is SUM_TO and len(program.shapes[made.operands[0]]) == 2:
            sinks.append(Sink("sum", (made.operands[0],)))
        else:
            sinks.append(Sink("plain", (value,)))
    return sinks


def _is_of_matrices(program: Program, instruction: Instruction) -> bool:
    """A single product, not a stack of them: only those of all steps are one product."""
    return instruction.row is MATMUL and len(program.shapes[instruction.results[0]]) == 2


def _same_shapes(program: Program, instruction: Instruction) -> bool:
    shapes = {program.shapes[ref] for ref in instruction.operands if not isinstance(ref, Number)}
    return len(shapes) == 1 and not any(isinstance(ref, Number) for ref in instruction.operands)


def _backward_instructions(plan: Plan) -> list[Instruction]:
    """What leads to residuals and sinks, without the forward part."""
    wanted = [r for r in (*plan.step_residuals, *plan.state_residuals) if r is not None]
    wanted += [v for sinks in plan.sinks.values() for sink in sinks for v in sink.values]
    before = {v for i in plan.forward for v in i.results}
    return [i for i in ancestors(plan.joint, wanted, lambda v: v not in before) if not before.issuperset(i.results)]
