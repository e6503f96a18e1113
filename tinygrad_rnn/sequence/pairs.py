"""Contractions of more than two operands as several of two."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from ..chain_rule.routing import Contracted
from .program import Instruction, Number


def in_pairs(
    instructions: Sequence[Instruction], shapes: list[tuple[int, ...]], dtypes: list[Any]
) -> list[Instruction]:
    """Instructions with the smallest results first, where the order is free.

    Args:
        shapes, dtypes: of all values; grow by what is between.
    """
    found: list[Instruction] = []
    for instruction in instructions:
        if isinstance(instruction.row.loops, Contracted) and len(instruction.operands) > 2:
            found += _pairs(instruction, instruction.row.loops, shapes, dtypes)
        else:
            found.append(instruction)
    return found


def _pairs(
    instruction: Instruction, loops: Contracted, shapes: list[tuple[int, ...]], dtypes: list[Any]
) -> list[Instruction]:
    given = [() if isinstance(x, Number) else shapes[x] for x in instruction.operands]
    letters, output = loops.letters(given, instruction.params)
    lengths = {
        a: n for word, shape in zip(letters, given, strict=True) for a, n in zip(word, shape, strict=True)
    }
    todo = list(zip(letters, instruction.operands, strict=True))
    found = []
    while len(todo) > 2:
        choices = []
        for j, i in itertools.combinations(range(len(todo)), 2):
            rest = {*output, *(a for k, (word, _) in enumerate(todo) if k not in (i, j) for a in word)}
            word = "".join(a for a in dict.fromkeys(todo[j][0] + todo[i][0]) if a in rest)
            choices.append((math.prod(lengths[a] for a in word), j, i, word))
        _, j, i, word = min(choices)
        shapes.append(tuple(lengths[a] for a in word))
        dtypes.append(dtypes[instruction.results[0]])
        second, first = todo.pop(i), todo.pop(j)
        found.append(
            Instruction(
                instruction.row, (first[1], second[1]), ((first[0], second[0]), word), (len(shapes) - 1,)
            )
        )
        todo.append((word, len(shapes) - 1))
    last = tuple(word for word, _ in todo), output
    return [*found, Instruction(instruction.row, tuple(x for _, x in todo), last, instruction.results)]
