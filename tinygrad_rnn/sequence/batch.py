"""Along which axis the samples of a batch lie in each value of a step, if no sample sees another: then
threads share them.

A value has the samples along an axis, one after another, each with as many places as another; or it is the
same for all of them (None); or it is a sum over them, of which each thread has a part: such a part may only
be scaled, routed and added on, to leave in a weight's residual.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy

from ..chain_rule.routing import Accumulated, Checked, Contracted, LookedUp, Reduced, Reshaped, Routed
from .elements import Elements
from .program import Instruction, Number

PARTIAL = -1
"""In the place of an axis: a sum over the samples."""

Axes = dict[int, int | None]


class Mixed(Exception):
    """A value of one sample depends on another sample: what a row of that name makes."""

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.name = name


class Batch:
    """The axis of the samples in each value.

    Args:
        size: how many samples there are.
        axes: of the values that are given.

    Raises:
        Mixed: samples meet.
    """

    def __init__(self, elements: Elements, size: int, axes: Axes) -> None:
        self._elements, self._size = elements, size
        self.axes: Axes = dict(axes)
        for instruction in elements.instructions:
            for position, v in enumerate(instruction.results):
                try:
                    self.axes[v] = self._axis(instruction, position, v)
                except Mixed:
                    raise Mixed(instruction.row.name) from None

    @property
    def along(self) -> dict[int, int]:
        """The axis of each value that has the samples along one."""
        return {v: axis for v, axis in self.axes.items() if axis is not None and axis != PARTIAL}

    def _axis(self, instruction: Instruction, position: int, v: int) -> int | None:
        loops, operands = (
            instruction.row.loops,
            [x for x in instruction.operands if not isinstance(x, Number)],
        )
        known = [self.axes[x] for x in operands]
        if all(axis is None for axis in known):
            return None
        if PARTIAL in known:
            return self._of_partial(instruction, known)
        if instruction.row.lowering is not None:
            return self._broadcast(v, operands)
        if isinstance(loops, Reshaped):
            return self._reshaped(operands[0], v)
        if isinstance(loops, Reduced):
            return self._reduced(instruction, loops)
        if isinstance(loops, Contracted):
            return self._contracted(instruction)
        if isinstance(loops, LookedUp):
            return self._looked_up(instruction, loops)
        if isinstance(loops, Routed):
            return (
                self._by_table(instruction, v)
                if self._elements.by_table(instruction)
                else self._routed(instruction, position, v)
            )
        if isinstance(loops, Checked) or (
            isinstance(loops, Accumulated) and instruction.params[0] != known[0]
        ):
            return known[0]
        raise Mixed

    def _of_partial(self, instruction: Instruction, known: Sequence[int | None]) -> int:
        """Sums stay sums under what is linear, with nothing that is the sum's own added."""
        row = instruction.row
        linear = isinstance(row.loops, (Routed, Reshaped, Accumulated)) or (
            isinstance(row.loops, Reduced) and row.loops.how == "sum"
        )
        numbers = any(isinstance(x, Number) for x in instruction.operands)
        sums = row.case == "addition" and row.lowering is not None and not row.masks and not numbers
        if set(known) == {PARTIAL} and (linear or sums):
            return PARTIAL
        if (
            row.case == "weighting"
            and list(known).count(PARTIAL) == 1
            and all(axis in (None, PARTIAL) for axis in known)
        ):
            return PARTIAL
        raise Mixed

    def _one(self, axes: Sequence[int | None]) -> int | None:
        """The axis that all who have one say."""
        said = {axis for axis in axes if axis is not None}
        if len(said) > 1:
            raise Mixed
        return said.pop() if said else None

    def _broadcast(self, v: int, operands: Sequence[int]) -> int | None:
        rank, shapes = len(self._elements.shapes[v]), self._elements.shapes
        return self._one(
            [None if (axis := self.axes[x]) is None else axis + rank - len(shapes[x]) for x in operands]
        )

    def _reshaped(self, x: int, v: int) -> int:
        axis, before, after = self.axes[x], self._elements.shapes[x], self._elements.shapes[v]
        assert axis is not None
        outer = int(numpy.prod(before[:axis]))
        for i, n in enumerate(after):
            if n % self._size == 0 and int(numpy.prod(after[:i])) == outer:
                return i
        raise Mixed

    def _reduced(self, instruction: Instruction, loops: Reduced) -> int:
        x = instruction.operands[0]
        axis = self.axes[x]
        assert axis is not None
        to = loops.kept(self._elements.shapes[x], instruction.params)[axis]
        if (
            to is not None
            and self._elements.shapes[instruction.results[0]][to] == self._elements.shapes[x][axis]
        ):
            return to
        if loops.how == "sum":
            return PARTIAL
        raise Mixed

    def _contracted(self, instruction: Instruction) -> int:
        inputs, output = self._elements.letters(instruction)
        letters = set()
        for word, x in zip(inputs, instruction.operands, strict=True):
            axis = self.axes[x]
            if axis is not None:
                letters.add(word[axis])
        if len(letters) != 1:
            raise Mixed
        letter = letters.pop()
        return output.index(letter) if letter in output else PARTIAL

    def _looked_up(self, instruction: Instruction, loops: LookedUp) -> int:
        x, numbers = instruction.operands
        axis, rank = instruction.params[0], len(self._elements.shapes[numbers])
        ours, theirs = self.axes[x], self.axes[numbers]
        if loops.along:
            found = self._one([ours, theirs])
            if found is None or found == axis:
                raise Mixed
            return found
        if not loops.adjoint:
            if ours is None and theirs is not None:
                return axis + theirs
            if ours is not None and theirs is None and ours != axis:
                return ours if ours < axis else ours + rank - 1
            raise Mixed
        if ours is not None and axis <= ours < axis + rank and theirs in (None, ours - axis):
            return PARTIAL
        if ours is not None and theirs is None and not axis <= ours < axis + rank:
            return ours if ours < axis else ours - rank + 1
        raise Mixed

    def _routed(self, instruction: Instruction, position: int, v: int) -> int | None:
        shape, found = self._elements.shapes[v], []
        for piece in self._elements.pieces(instruction, position):
            x = instruction.operands[piece.operand]
            axis = self.axes[x]
            if axis is None:
                continue
            step, n = piece.steps[axis], self._elements.shapes[x][axis]
            if (
                step.axis is None
                or (step.scale, step.offset) != (1, 0)
                or piece.box[step.axis] != (0, n, 1)
                or shape[step.axis] != n
            ):
                raise Mixed
            found.append(step.axis)
        return self._one(found)

    def _by_table(self, instruction: Instruction, v: int) -> int:
        """Where an index of arrays leaves each sample, if it does not tell them apart."""
        (x,), places = instruction.operands, self._elements.places(instruction)
        axis, before, after = self.axes[x], self._elements.shapes[x], self._elements.shapes[v]
        assert axis is not None
        put_back = self._elements.is_adjoint(instruction)
        from_, to = (after, before) if put_back else (before, after)
        for i, n in enumerate(after):
            there, here = (i, axis) if put_back else (axis, i)
            if n % self._size == 0 and (self._samples(from_, there, places) == self._samples(to, here)).all():
                return i
        raise Mixed

    def _samples(self, shape: Sequence[int], axis: int, places: numpy.ndarray | None = None) -> numpy.ndarray:
        """Of which sample each element of a shape is that has them along an axis; of places in it, or of all,
        in that shape."""
        places = numpy.arange(math.prod(shape)).reshape(shape) if places is None else places
        return places // math.prod(shape[axis + 1 :]) % shape[axis] // (shape[axis] // self._size)
