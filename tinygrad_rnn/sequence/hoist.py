"""What of one step's program leaves the loop, and what stays.

1. *Hoist.* What depends on x alone and ends in a matmul leaves the loop: one GEMM over all T. What never
   changes is computed once.
2. *Merge.* Matmuls inside the loop that share a left operand become one, with their right operands side by
   side.
3. *Mask.* Lengths and masks are part of the plan: ``where`` between the new state and the old one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy

from ..chain_rule.addition import SPLIT, WHERE
from ..chain_rule.weighting import MATMUL
from .padding import nothing
from .program import Instruction, Number, Program


@dataclass
class LoopBody:
    """What stays in the loop, and what was taken out of it.

    Attributes:
        program: the loop's step; its ``steps``, ``fixed`` inputs come from the values named in ``per_step``
            and ``invariant``.
        whole: the cell's step as traced.
        per_step: values of ``whole`` that differ from step to step and feed the loop: inputs x, or products
            of them.
        invariant: values of ``whole`` that are the same at every step and feed the loop, each a tuple:
            several are merged side by side.
        preamble: instructions of ``whole`` that are computed once, before the loop.
        hoisted: instructions of ``whole`` that are computed for all steps at once, before the loop.
    """

    program: Program
    whole: Program
    per_step: list[int]
    invariant: list[tuple[int, ...]]
    preamble: list[Instruction]
    hoisted: list[Instruction]

    @property
    def transposed(self) -> list[bool]:
        """For each of the constants whether it is another matrix, transposed: then it is the other one that
        lies in memory."""
        made = {i.results[0] for i in self.preamble if i.row.permutes and i.params == ((1, 0),)}
        return [len(group) == 1 and group[0] in made for group in self.invariant]


def _classes(program: Program) -> dict[int, str]:
    """For each value whether it is "fixed", depends on x alone ("step"), or on the state ("loop")."""
    classes = (
        dict.fromkeys(program.fixed, "fixed")
        | dict.fromkeys(program.steps, "step")
        | dict.fromkeys(program.states, "loop")
    )
    for instruction in program.instructions:
        kinds = {classes[ref] for ref in instruction.operands if not isinstance(ref, Number)}
        kind = "loop" if "loop" in kinds else "step" if "step" in kinds else "fixed"
        classes.update(dict.fromkeys(instruction.results, kind))
    return classes


def _rowwise(program: Program, classes: dict[int, str], instruction: Instruction) -> bool:
    """Whether running it on the steps laid under each other, (T·B, …), is the same as running it on each
    step, (B, …)."""
    row = instruction.row
    if row.reshapes:
        return all(len(program.shapes[v]) > 1 for v in (*instruction.operands, *instruction.results))
    ranks = {
        len(program.shapes[ref])
        for ref in instruction.operands
        if not isinstance(ref, Number) and classes[ref] == "step"
    }
    batches = {
        program.shapes[ref][:1]
        for ref in instruction.operands
        if not isinstance(ref, Number) and classes[ref] == "step"
    }
    if len(batches) > 1 or len(ranks) > 1:
        return False
    for ref in instruction.operands:
        if isinstance(ref, Number):
            continue
        shape = program.shapes[ref]
        if classes[ref] == "step" and (len(shape) < 2 or program.dtypes[ref].kind != "f"):
            return False
        if (
            classes[ref] == "fixed"
            and not row.multiplies_matrices
            and not (len(shape) < min(ranks) or (len(shape) in ranks and shape[0] == 1))
        ):
            return False
    if row.multiplies_matrices:
        a, b = instruction.operands
        return classes[a] == "step" and classes[b] == "fixed" and len(program.shapes[b]) == 2
    axis = row.axis(instruction.params)
    return row.elementwise or (axis is not None and axis > 0)


def _of_any_length(instruction: Instruction) -> Instruction:
    """The same for steps laid under each other: a reshape finds out how many rows there are."""
    if not instruction.row.reshapes:
        return instruction
    return replace(instruction, params=((-1, *instruction.params[0][1:]),))


def loop_body(
    program: Program, live: bool = False, previous: bool = False, hoists: bool = True, merges: bool = True
) -> LoopBody:
    """Hoist and merge.

    Args:
        live: whether there are masks.
        previous: whether masked outputs repeat the one before.
        hoists: whether what depends on x alone leaves the loop.
        merges: whether products that share an operand become one.
    """
    classes = _classes(program)
    hoistable: set[int] = set(program.steps)
    for instruction in program.instructions:
        ready = all(
            isinstance(r, Number) or classes[r] == "fixed" or r in hoistable for r in instruction.operands
        )
        if ready and classes[instruction.results[0]] == "step" and _rowwise(program, classes, instruction):
            hoistable.update(instruction.results)
    products = [
        i for i in program.instructions if i.row.multiplies_matrices and i.results[0] in hoistable and hoists
    ]
    hoisted = ancestors(program, [i.results[0] for i in products], lambda v: classes[v] == "step")
    once = [i for i in program.instructions if classes[i.results[0]] == "fixed"]
    out = {v for i in (*hoisted, *once) for v in i.results}
    inside = [i for i in program.instructions if not out.issuperset(i.results)]
    body = LoopBody(Program(), program, [], [], once, [*map(_of_any_length, hoisted)])
    _fill_body(body, inside, classes, _merged(program, inside, classes) if merges else {})
    if live:
        _mask(body.program, previous)
    return body


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


def _fill_body(
    body: LoopBody,
    inside: list[Instruction],
    classes: dict[int, str],
    merged: dict[int, list[Instruction]],
) -> None:
    whole, new = body.whole, body.program
    number: dict[int, int] = {}
    for value in whole.states:
        number[value] = new.value(whole.shapes[value], whole.dtypes[value])
        new.states.append(number[value])

    def ref(old: Any) -> Any:
        if isinstance(old, Number):
            return old
        if old not in number:
            number[old] = new.value(whole.shapes[old], whole.dtypes[old])
            if classes[old] == "fixed":
                body.invariant.append((old,))
                new.fixed.append(number[old])
            else:
                body.per_step.append(old)
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
            new.instructions.append(
                Instruction(instruction.row, operands, instruction.params, results, instruction.stopped)
            )
        else:
            _add_merged(body, group, number, ref)
    new.outputs = [ref(v) for v in whole.outputs]
    new.carried = [ref(v) for v in whole.carried]


def _merged(
    program: Program, inside: list[Instruction], classes: dict[int, str]
) -> dict[int, list[Instruction]]:
    """Groups of matmuls by a shared left operand and fixed right ones of one dtype, under the result of the
    first."""
    groups: dict[Any, list[Instruction]] = {}
    for instruction in inside:
        if (
            instruction.row.multiplies_matrices
            and not instruction.stopped
            and not any(isinstance(r, Number) for r in instruction.operands)
        ):
            a, b = instruction.operands
            if classes[b] == "fixed" and len(program.shapes[a]) == len(program.shapes[b]) == 2:
                groups.setdefault((a, program.dtypes[b]), []).append(instruction)
    return {group[0].results[0]: group for group in groups.values() if len(group) > 1}


def _add_merged(body: LoopBody, group: list[Instruction], number: dict[int, int], ref: Any) -> None:
    whole, new = body.whole, body.program
    left = ref(group[0].operands[0])
    rights = tuple(i.operands[1] for i in group)
    widths = [whole.shapes[r][1] for r in rights]
    dtype = whole.dtypes[group[0].results[0]]
    side_by_side = new.value((whole.shapes[rights[0]][0], sum(widths)), whole.dtypes[rights[0]])
    body.invariant.append(rights)
    new.fixed.append(side_by_side)
    product = new.value((new.shapes[left][0], sum(widths)), dtype)
    new.instructions.append(Instruction(MATMUL, (left, side_by_side), (), (product,)))
    parts = tuple(new.value((new.shapes[left][0], width), dtype) for width in widths)
    points = tuple(int(p) for p in numpy.cumsum(widths)[:-1])
    new.instructions.append(Instruction(SPLIT, (product,), (points, 1), parts))
    number.update({i.results[0]: part for i, part in zip(group, parts, strict=True)})


def _mask(program: Program, previous: bool) -> None:
    """Where a sample is not live it keeps its state, and 0 or the output before comes out. The mask is the
    last of the steps."""
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
            chosen = where(output, Number(nothing(program.dtypes[output])))
        outputs.append(chosen)
    program.outputs = outputs
    program.steps.extend(masks.values())
