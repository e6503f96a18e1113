"""However a product is spelled, it is planned as the same weighting: bi,io→bo, io,bi→bo and bi,oi→bo are x @
W and x @ Wᵀ, and bi,igj→bgj is x @ W with the columns of W in groups."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from ..chain_rule.addition import ASTYPE, RESHAPE, TRANSPOSE
from ..chain_rule.routing import Contracted
from ..chain_rule.weighting import MATMUL
from .hoist import ancestors
from .program import Instruction, Number, Program


def normal_form(program: Program, needs: Sequence[bool]) -> Program:
    """The program with products of two matrices as ``matmul``, of the rows of a batch from the left; values
    keep their numbers, and new ones come after them.

    Args:
        needs: for the steps, states and fixed inputs whether a residual is asked for.
    """
    inputs = [*program.steps, *program.states, *program.fixed]
    # no residual comes there anyway
    free = {v for v, need in zip(inputs, needs, strict=False) if not need and v not in program.states}
    new = dataclasses.replace(
        program, shapes=list(program.shapes), dtypes=list(program.dtypes), instructions=[]
    )
    same: dict[Any, int] = {}
    made: dict[int, Instruction] = {}

    def ref(x: Any) -> Any:
        return same.get(x, x) if isinstance(x, int) else x

    for instruction in program.instructions:
        instruction = dataclasses.replace(instruction, operands=tuple(map(ref, instruction.operands)))
        x, y = instruction.operands[0], instruction.results[0]
        if all(operand in free for operand in instruction.operands if isinstance(operand, int)):
            free.update(instruction.results)
        if _is_same(new, instruction):
            if not instruction.stopped or x in free:
                same[y] = x
                continue
            instruction = Instruction(ASTYPE, (x,), (new.dtypes[x],), (y,), stopped=True)
        steps = _as_matmul(new, instruction) or _transposed_product(new, instruction, made) or [instruction]
        new.instructions += steps
        made.update((result, step) for step in steps for result in step.results)
    new.outputs, new.carried = [list(map(ref, values)) for values in (program.outputs, program.carried)]
    new.instructions = ancestors(new, [*new.outputs, *new.carried])
    return new


def _transposed_product(
    program: Program, instruction: Instruction, made: dict[int, Instruction]
) -> list[Instruction] | None:
    """(a @ b)ᵀ as bᵀ @ aᵀ, where one of these is there already."""
    if not _is_transpose(instruction):
        return None
    product = made.get(instruction.operands[0])
    if product is None or not product.row.multiplies_matrices or product.stopped != instruction.stopped:
        return None
    a, b = product.operands
    if not any(isinstance(x, int) and x in made and _is_transpose(made[x]) for x in (a, b)):
        return None
    found: list[Instruction] = []
    turned = []
    for x in (b, a):
        before = made.get(x)
        turned.append(
            before.operands[0] if before and _is_transpose(before) else _transposed(program, x, (1, 0), found)
        )
    return [*found, Instruction(MATMUL, tuple(turned), (), instruction.results, instruction.stopped)]


def _is_same(program: Program, instruction: Instruction) -> bool:
    """Whether a reshape or a transpose changes nothing."""
    if instruction.row.reshapes:
        return program.shapes[instruction.operands[0]] == program.shapes[instruction.results[0]]
    return instruction.row.permutes and instruction.params[0] == tuple(range(len(instruction.params[0])))


def _is_transpose(instruction: Instruction) -> bool:
    return instruction.row.permutes and instruction.params[0] == (1, 0)


def _as_matmul(program: Program, instruction: Instruction) -> list[Instruction] | None:
    """Σ over what two operands share, with what only one of them has as rows and columns: (i k, k j → i j),
    each letter for one axis or for several, with transposes where axes stand in another order; None for what
    is another sum of products."""
    loops, operands = instruction.row.loops, instruction.operands
    if (
        not isinstance(loops, Contracted)
        or instruction.row.multiplies_matrices
        or len(operands) != 2
        or any(isinstance(x, Number) for x in operands)
    ):
        return None
    words, output = loops.letters([program.shapes[x] for x in operands], instruction.params)
    pairs = list(zip(words, operands, strict=True))
    if output and output[0] not in pairs[0][0]:
        pairs.reverse()
    (left, a), (right, b) = pairs
    rows, columns = ([i for i in output if i not in word] for word in (right, left))
    summed = [i for i in right if i in left and i not in output]
    whole = sorted(left) == sorted([*rows, *summed]) and sorted(right) == sorted([*summed, *columns])
    if not (rows and columns and summed and whole and sorted(output) == sorted(rows + columns)):
        return None
    lengths = dict(zip(left, program.shapes[a], strict=True)) | dict(
        zip(right, program.shapes[b], strict=True)
    )
    if any(lengths[i] != n for i, n in zip(left, program.shapes[a], strict=True)):  # one of them is repeated
        return None

    def shape(*groups: list[str]) -> tuple[int, ...]:
        return tuple(math.prod(lengths[i] for i in group) for group in groups)

    found: list[Instruction] = []
    a = _reshaped(
        program,
        _transposed(program, a, [left.index(i) for i in rows + summed], found),
        shape(rows, summed),
        found,
    )
    b = _reshaped(
        program,
        _transposed(program, b, [right.index(i) for i in summed + columns], found),
        shape(summed, columns),
        found,
    )
    made = program.value(shape(rows, columns), program.dtypes[instruction.results[0]])
    found.append(Instruction(MATMUL, (a, b), (), (made,), instruction.stopped))
    made = _reshaped(program, made, shape(*([i] for i in rows + columns)), found)
    _transposed(program, made, [(rows + columns).index(i) for i in output], found)
    return [*found[:-1], dataclasses.replace(found[-1], results=instruction.results)]


def _reshaped(program: Program, x: Any, shape: tuple[int, ...], instructions: list[Instruction]) -> Any:
    """x in a shape, itself where it has it."""
    if program.shapes[x] == shape:
        return x
    y = program.value(shape, program.dtypes[x])
    instructions.append(Instruction(RESHAPE, (x,), (shape,), (y,)))
    return y


def _transposed(program: Program, x: Any, order: Sequence[int], instructions: list[Instruction]) -> Any:
    """x with its axes in an order, itself where they stand so."""
    if list(order) == list(range(len(order))):
        return x
    y = program.value(tuple(program.shapes[x][i] for i in order), program.dtypes[x])
    instructions.append(Instruction(TRANSPOSE, (x,), (tuple(order),), (y,)))
    return y
