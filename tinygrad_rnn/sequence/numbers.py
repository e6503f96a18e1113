"""Numbers that change are operands of a plan, not part of it.

A rate that is annealed, or a flag that is a factor, is a Python number in the cell's program. The first
program of its kind keeps its numbers, so that a constant such as 0.5 is one in the machine code too. A later
program that differs from it in numbers alone gets the differing ones as fixed inputs without axes, from then
on; so there is one plan for all their values.

That changes no result: a number takes the dtype that it makes with its partners, and an array of that dtype
does the same. Numbers that are no operands (the bounds of ``clip``, exponents, axes, indices) choose what is
computed, and stay in the program.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy

from ..caches import recent
from ..tape import by_sight
from .program import Number, Program

Position = tuple[int, int]
"""An instruction, and one of its operands."""


class Key:
    """Something hashable whose hash is computed once."""

    __slots__ = ("_hash", "parts")

    def __init__(self, parts: Any) -> None:
        self.parts: Any = parts
        self._hash = hash(parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Key) and self._hash == other._hash and self.parts == other.parts
        )


@dataclass(frozen=True)
class Form:
    """A program with some of its numbers as operands.

    Attributes:
        program: its last fixed inputs are those numbers.
        numbers: what they are now.
        key: equal for programs that do the same, whatever those numbers are.
    """

    program: Program
    numbers: list[numpy.ndarray]
    key: Key


@dataclass
class _Kind:
    """Programs that differ in numbers alone: those of the first, by sight, and which of them have been others
    since."""

    first: list[Any]
    changed: frozenset[int] = frozenset()


_kinds = recent(1024)


def form_of(program: Program) -> Form:
    """A program with those of its numbers as operands that have changed."""
    places = _places(program)
    kind = Key(_with_operands(program, places).key())
    values = [by_sight(_number(program, place), lambda *_: None) for place in places]
    known: _Kind = _kinds.get(kind) or _kinds.share(kind, _Kind(values))
    known.changed |= {
        i for i, (value, first) in enumerate(zip(values, known.first, strict=True)) if value != first
    }
    chosen = {place: dtype for i, (place, dtype) in enumerate(places.items()) if i in known.changed}
    numbers = [numpy.asarray(_number(program, place), dtype) for place, dtype in chosen.items()]
    whole = _with_operands(program, chosen)
    return Form(whole, numbers, Key(whole.key()) if len(chosen) < len(places) else kind)


def _number(program: Program, place: Position) -> Any:
    return program.instructions[place[0]].operands[place[1]].value


def _places(program: Program) -> dict[Position, Any]:
    """The numbers that an array can stand for, with its dtype."""
    found = {}
    for i, instruction in enumerate(program.instructions):
        if not instruction.row.elementwise:
            continue
        dtypes = [program.dtypes[ref] for ref in instruction.operands if not isinstance(ref, Number)]
        result = program.dtypes[instruction.results[0]]
        for j, ref in enumerate(instruction.operands):
            if isinstance(ref, Number):
                dtype = _dtype(dtypes, ref.value)
                if dtype is not None and result in (dtype, numpy.dtype(bool)):
                    found[i, j] = dtype
    return found


def _dtype(partners: Collection[Any], value: Any) -> Any:
    """The dtype that a number takes among others; None where it has no place in it."""
    try:
        dtype = numpy.result_type(*partners, value)
        numpy.asarray(value, dtype)
    except OverflowError:
        return None
    return dtype


def _with_operands(program: Program, places: dict[Position, Any]) -> Program:
    """The same program with fixed inputs in place of numbers, in their order."""
    if not places:
        return program
    new = replace(
        program,
        shapes=[*program.shapes],
        dtypes=[*program.dtypes],
        fixed=[*program.fixed],
        instructions=[*program.instructions],
    )
    for (i, j), dtype in places.items():
        operands = [*new.instructions[i].operands]
        operands[j] = new.value((), dtype)
        new.fixed.append(operands[j])
        new.instructions[i] = replace(new.instructions[i], operands=tuple(operands))
    return new
