"""One element of a value, as an expression of elements that lie in memory.

A step's values are arrays; most of them never need to exist. ``element(k, v, (i, j))`` writes element (i, j)
of a value with the printer k: an elementwise row computes it from the same element of its operands, a routing
asks for another one, and what lies in memory is read. So chains of rows become one expression, whatever the
shapes are. The same walk with a printer that only counts says what would be read.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from .. import backends
from ..backends.atoms import Value, kind_of
from ..chain_rule.routing import Checked, Contracted, LookedUp, Piece, Reshaped, Routed, Shape
from .index import Index, flat, unflat
from .pairs import in_pairs
from .program import Instruction, Number, Program
from .reader import Indices, Needs, Reader

CHEAP = 6
"""Atoms that are made again, instead of kept, where a value is used more than once."""


DEEP = 64
"""Rows that an expression follows back: what lies behind them is kept, or writing it would go too deep."""


@dataclass(frozen=True)
class Made:
    """What makes a value: an instruction, and which of its results it is."""

    instruction: Instruction
    position: int


class Elements:
    """The values of one half of a step.

    Args:
        memory: those that lie in memory.
        transposed: matrices among them of which the transpose lies there.

    Attributes:
        made: by value, what makes it.
        cost: by value, the atoms of its expression.

    Raises:
        Unsupported: a value is of a dtype that there is no code for.
    """

    def __init__(
        self,
        program: Program,
        instructions: Sequence[Instruction],
        memory: set[int],
        transposed: Collection[int] = (),
    ) -> None:
        self.transposed = transposed
        self.shapes: list[tuple[int, ...]] = list(program.shapes)
        self.dtypes: list[Any] = list(program.dtypes)
        self.memory: set[int] = set(memory)
        self.made: dict[int, Made] = {}
        self.tables: dict[int, int] = {}
        self.instructions: list[Instruction] = in_pairs(instructions, self.shapes, self.dtypes)
        for instruction in self.instructions:
            for position, result in enumerate(instruction.results):
                self.made[result] = Made(instruction, position)

    def kind(self, value: int) -> str:
        return _kind(self.dtypes[value])

    # -- what must lie in memory -----------------------------------------------------------------------------

    def settle(self, wanted: Sequence[int]) -> None:
        """Choose what lies in memory: what is no expression, and what would be made several times at some
        cost."""
        uses = self._uses(wanted)
        self.cost: dict[int, int] = dict.fromkeys(self.memory, 0)
        depth = dict.fromkeys(self.memory, 0)
        for instruction in self.instructions:
            for position, v in enumerate(instruction.results):
                self.cost[v] = self._cost(instruction)
                depth[v] = 1 + max(
                    (depth[x] for x in instruction.operands if not isinstance(x, Number)), default=0
                )
                often = uses.get(v, 0) > 1 and self.cost[v] > CHEAP
                if (
                    v in self.memory
                    or not self.is_expression(instruction, position)
                    or often
                    or depth[v] > DEEP
                ):
                    self.memory.add(v)
                    self.cost[v] = depth[v] = 0
            for x in self._read_as_they_lie(instruction):
                self.memory.add(x)
                self.cost[x] = 0
            grown = max(int(numpy.prod(self.shapes[v])) for v in instruction.results)
            for x in instruction.operands:
                if not isinstance(x, Number) and self.cost[x] > 2 and grown > numpy.prod(self.shapes[x]):
                    self.memory.add(x)  # each of its elements would be made again for several of these
                    self.cost[x] = 0

    def _read_as_they_lie(self, instruction: Instruction) -> list[int]:
        """Operands that no expression can stand for: what a call gets, what places that are values are looked
        up in, what a product reads again and again."""
        loops, operands = (
            instruction.row.loops,
            [x for x in instruction.operands if not isinstance(x, Number)],
        )
        if self.is_called(instruction):
            return operands
        if (isinstance(loops, LookedUp) and not loops.adjoint) or (
            self.by_table(instruction) and not self.is_adjoint(instruction)
        ):
            return [self._of_one_order(operands[0])]
        if isinstance(loops, Contracted) and not self.is_expression(instruction, 0):
            return [self._of_one_order(x) for x in operands if self.cost[x]]
        return []

    def _of_one_order(self, x: int) -> int:
        """What a reshape, and reshapes of it, have their elements from."""
        while x not in self.memory and isinstance(self.made[x].instruction.row.loops, Reshaped):
            x = self.made[x].instruction.operands[0]
        return x

    def _uses(self, wanted: Sequence[int]) -> dict[int, int]:
        uses: dict[int, int] = {}
        for v in (*wanted, *(x for i in self.instructions for x in i.operands if not isinstance(x, Number))):
            uses[v] = uses.get(v, 0) + 1
        return uses

    def _cost(self, instruction: Instruction) -> int:
        total = sum(self.cost[x] for x in instruction.operands if not isinstance(x, Number))
        return total + (self._own_atoms(instruction) or 2 * isinstance(instruction.row.loops, Contracted))

    def _own_atoms(self, instruction: Instruction) -> int | None:
        """The atoms of an elementwise row; None where no code is written for such operands."""
        operands = tuple(x.value if isinstance(x, Number) else self.kind(x) for x in instruction.operands)
        lowering = instruction.row.lowering
        return None if lowering is None else lowering.cost(operands, instruction.params)

    def is_called(self, instruction: Instruction) -> bool:
        """Whether it is a call of the array module's function."""
        return instruction.row.loops is None and self._own_atoms(instruction) is None

    def atoms_again(self, instruction: Instruction, atoms: Mapping[int, int]) -> int | None:
        """The atoms of an element, made from what is there; None where it is no expression of that.

        Args:
            atoms: of what is there, or can be made from that.
        """
        loops, operands = (
            instruction.row.loops,
            [x for x in instruction.operands if not isinstance(x, Number)],
        )
        looks_up = isinstance(loops, LookedUp) or self.by_table(instruction)
        if looks_up or not all(x in atoms for x in operands):
            return None
        if not all(self.is_expression(instruction, i) for i in range(len(instruction.results))):
            return None
        own = self._own_atoms(instruction)
        return (1 if own is None else own) + sum(atoms[x] for x in operands)

    def is_expression(self, instruction: Instruction, position: int) -> bool:
        """Whether an element of a result is an expression of a few elements of the operands."""
        loops = instruction.row.loops
        if isinstance(loops, (Reshaped, Checked)):
            return True
        if instruction.row.lowering is not None:
            return not self.is_called(instruction)
        if isinstance(loops, LookedUp):
            return not loops.adjoint
        if isinstance(loops, Routed):
            if self.by_table(instruction):
                return not self.is_adjoint(instruction)
            return self.whole_piece(instruction, position) is not None
        if isinstance(loops, Contracted):
            inputs, output = self.letters(instruction)
            return set().union(*inputs) <= set(output)
        return False

    # -- what rows say ---------------------------------------------------------------------------------------

    def operand_shapes(self, instruction: Instruction) -> list[Shape]:
        return [() if isinstance(x, Number) else self.shapes[x] for x in instruction.operands]

    def letters(self, instruction: Instruction) -> tuple[Sequence[str], str]:
        assert isinstance(instruction.row.loops, Contracted)
        return instruction.row.loops.letters(self.operand_shapes(instruction), instruction.params)

    def pieces(self, instruction: Instruction, position: int) -> list[Piece]:
        assert isinstance(instruction.row.loops, Routed)
        return instruction.row.loops.pieces(self.operand_shapes(instruction), instruction.params, position)

    def whole_piece(self, instruction: Instruction, position: int) -> Piece | None:
        """The piece that is all of a result."""
        pieces = self.pieces(instruction, position)
        whole = tuple((0, n, 1) for n in self.shapes[instruction.results[position]])
        return pieces[0] if len(pieces) == 1 and pieces[0].box == whole else None

    def by_table(self, instruction: Instruction) -> bool:
        """Whether a routing is by an index that holds arrays."""
        loops = instruction.row.loops
        if not isinstance(loops, Routed) or loops.index is None:
            return False
        index = instruction.params[loops.index]
        return any(
            hasattr(part, "dtype") and part.ndim > 0
            for part in (index if isinstance(index, tuple) else (index,))
        )

    def is_adjoint(self, instruction: Instruction) -> bool:
        """Whether a routing by an index puts what was taken back, into zeros of a shape."""
        return len(instruction.params) > 1

    def places(self, instruction: Instruction) -> numpy.ndarray:
        """For each element of what such an index takes, its place in what it is taken from."""
        index, *rest = instruction.params
        shape = rest[0] if rest else self.operand_shapes(instruction)[0]
        return numpy.arange(numpy.prod(shape, dtype=numpy.int64)).reshape(shape)[_on_host(index)]

    # -- elements --------------------------------------------------------------------------------------------

    def element(self, k: Reader, v: int, indices: Indices) -> Value:
        """Write one element.

        Raises:
            Needs: a value must lie in memory for that.
        """
        key = v, indices
        if key not in k.cache:
            k.cache[key] = (
                k.read(v, self.place(v, indices)) if v in self.memory else self.computed(k, v, indices)
            )
        return k.cache[key]

    def place(self, v: int, indices: Indices) -> Index:
        """Where an element of a value in memory lies there."""
        turn = -1 if v in self.transposed else 1
        return flat(indices[::turn], self.shapes[v][::turn])

    def computed(self, k: Reader, v: int, indices: Indices) -> Value:
        """The same of a value that may lie in memory, but is not read from there."""
        made = self.made[v]
        instruction, loops = made.instruction, made.instruction.row.loops
        if instruction.row.lowering is not None:
            xs = [
                x.value if isinstance(x, Number) else self.element(k, x, self.broadcast(indices, x))
                for x in instruction.operands
            ]
            return k.printer.as_kind(
                instruction.row.lowering(k.printer, *xs, *instruction.params), self.kind(v)
            )
        if isinstance(loops, Reshaped):
            return self._reshaped(k, instruction.operands[0], flat(indices, self.shapes[v]))
        if isinstance(loops, Checked):
            return self.element(k, instruction.operands[0], indices)
        if isinstance(loops, LookedUp) and not loops.adjoint:
            return self._looked_up(k, instruction, indices)
        if isinstance(loops, Routed):
            if self.by_table(instruction):
                return self._from_table(k, v, instruction, indices)
            piece = self.whole_piece(instruction, made.position)
            if piece is not None:
                return self.from_piece(k, instruction, piece, indices)
        if isinstance(loops, Contracted) and self.is_expression(instruction, made.position):
            return self._product(k, v, instruction, indices)
        raise Needs(v)

    def broadcast(self, indices: Indices, x: int) -> Indices:
        """The indices of an operand that is broadcast."""
        shape = self.shapes[x]
        return tuple(
            Index() if n == 1 else index
            for n, index in zip(shape, indices[len(indices) - len(shape) :], strict=True)
        )

    def _reshaped(self, k: Reader, x: int, place: Index) -> Value:
        if x in self.memory:
            return k.read(x, place)
        parts = unflat(place, self.shapes[x])
        if parts is None:
            raise Needs(x)
        return self.element(k, x, tuple(parts))

    def from_piece(self, k: Reader, instruction: Instruction, piece: Piece, places: Indices) -> Value:
        """The element of an operand that a piece says, at places counted within the piece."""
        indices = tuple(
            (Index() if s.axis is None else places[s.axis] * s.scale) + s.offset for s in piece.steps
        )
        value = self.element(k, instruction.operands[piece.operand], indices)
        if piece.diagonal is None:
            return value
        side, number = piece.diagonal
        distance = k.whole(places[-1]) - k.whole(places[-2])
        return k.printer.select(
            distance <= number if side == "≤" else distance >= number, value, k.printer.number(0, value.kind)
        )

    def _product(self, k: Reader, v: int, instruction: Instruction, indices: Indices) -> Value:
        inputs, output = self.letters(instruction)
        at = dict(zip(output, indices, strict=True))
        factors = []
        for word, x in zip(inputs, instruction.operands, strict=True):
            places = zip(word, self.shapes[x], strict=True)
            factors.append(self.element(k, x, tuple(Index() if n == 1 else at[a] for a, n in places)))
        y = factors[0]
        for factor in factors[1:]:
            y = y * factor
        return k.printer.as_kind(y, self.kind(v))

    # -- places that are values ------------------------------------------------------------------------------

    def in_memory(self, x: int) -> int:
        """The value in memory whose elements, in their order, are those of x."""
        while x not in self.memory:
            made = self.made[x].instruction
            if not isinstance(made.row.loops, Reshaped):
                raise Needs(x)
            x = made.operands[0]
        return x

    def wrapped(self, k: Reader, numbers: int, indices: Indices, n: int) -> Value:
        """A whole number of a value as a place on an axis of length n: counted from the end where it is
        negative, and never outside."""
        p = k.printer
        number = p.convert(self.element(k, numbers, indices), "i64")
        number = p.select(number < 0, number + n, number)
        return p.select(number < 0, 0, p.select(number > n - 1, n - 1, number))

    def _looked_up(self, k: Reader, instruction: Instruction, indices: Indices) -> Value:
        x, numbers = instruction.operands
        axis, shape = instruction.params[0], self.shapes[x]
        rest, number = self.split_places(instruction, indices)
        base = self.in_memory(x)
        stride = int(numpy.prod(shape[axis + 1 :]))
        return k.read(base, flat(rest, shape), [(self.wrapped(k, numbers, number, shape[axis]), stride)])

    def split_places(self, instruction: Instruction, indices: Indices) -> tuple[Indices, Indices]:
        """From the indices of what is looked up to those of the whole, with 0 on the axis, and to those of
        the numbers."""
        loops, (_, numbers), axis = instruction.row.loops, instruction.operands, instruction.params[0]
        assert isinstance(loops, LookedUp)
        if loops.along:
            whole = instruction.params[1] if loops.adjoint else self.shapes[instruction.operands[0]]
            places = [
                Index() if i == axis or n == 1 else index
                for i, (n, index) in enumerate(zip(whole, indices, strict=True))
            ]
            return tuple(places), self.broadcast(indices, numbers)
        rank = len(self.shapes[numbers])
        return (*indices[:axis], Index(), *indices[axis + rank :]), indices[axis : axis + rank]

    def _from_table(self, k: Reader, v: int, instruction: Instruction, indices: Indices) -> Value:
        base = self.in_memory(instruction.operands[0])
        return k.read(base, Index(), [(self.table_entry(k, instruction, flat(indices, self.shapes[v])), 1)])

    def table_entry(self, k: Reader, instruction: Instruction, place: Index) -> Value:
        """The number at a place of an index of arrays."""
        number = instruction.results[0]
        if number not in self.tables:
            self.tables[number] = -1 - len(self.tables)  # beside the program's own numbers
        return k.read(self.tables[number], place)


def _on_host(index: Any) -> Any:
    """An index whose arrays are NumPy's, whatever device they were on."""
    if isinstance(index, tuple):
        return tuple([_on_host(part) for part in index])
    owner = backends.owner(index)
    return index if owner is None else owner.to_host(index)


_kind = functools.lru_cache(maxsize=64)(kind_of)
