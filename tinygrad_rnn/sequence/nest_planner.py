"""Which nest makes each value of a half, and in which order.

    h @ U ─ product ─┐
    x @ W, stream ───┴ + ─ σ ─ × ─┬─ h, stored      two nests a step: a product, and a group of maps
                       c ────────┘

What is elementwise is no nest of its own: it joins the group that reads it (:mod:`.groups`), and its elements
stay in registers. A product, a reduction that sees other elements, a running sum, a look-up's adjoint are
nests of their own, and what they read must lie in memory. Which values those are is found by trying: a nest
that needs one says so (:class:`~.reader.Needs`), and all is planned again with that value in memory.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy

from ..backends.atoms import Value
from ..chain_rule.routing import Accumulated, Checked, Contracted, LookedUp, Piece, Reduced, Routed
from .contractions import Contraction, Operand, form_of, plain_form_of
from .elements import Elements
from .groups import Groups
from .index import Index, Var, blocks, flat, of
from .nests import (
    Buffer,
    Call,
    Check,
    Group,
    Map,
    Nest,
    Place,
    Reduction,
    RunningSum,
    Scattering,
    Store,
    Target,
)
from .program import Instruction, Number
from .reader import Indices, Needs, Reader

TileWidth = Callable[[str, int], int]


class Nests(Groups):
    """The nests of a half.

    Args:
        places: where the values lie that the half is given.
        batch: the axis of the samples in each value that has one, where threads share them.
        targets: what it must make.
        buffers: those that there are; grows.
        tile_width: the columns of a tile of products of a kind, for so many rows; None where none are made.
    """

    def __init__(
        self,
        elements: Elements,
        places: dict[int, Place],
        targets: Sequence[Target],
        batch: dict[int, int],
        buffers: list[Buffer],
        tile_width: TileWidth | None,
    ) -> None:
        self.elements = elements
        self._places = places
        self._batch = batch
        self._buffers = buffers
        self._tile_width = tile_width
        self.targets = targets
        elements.settle([w.value for w in targets if w.value is not None])
        counts = len(buffers), len(elements.shapes)
        while missing := self._plan():
            elements.memory |= missing
            del buffers[counts[0] :], elements.shapes[counts[1] :], elements.dtypes[counts[1] :]

    def _plan(self) -> set[int]:
        """Plan all nests; returns what must lie in memory besides, for which it is to be done again."""
        self._begin()
        elements = self.elements
        for w in self.targets:
            if w.value in elements.memory and w.value not in self.homes and not w.added:
                self.homes[w.value] = w.place
        missing: set[int] = set()
        for instruction in elements.instructions:
            with _noting(missing):
                self._checked(instruction)
            for position, v in enumerate(instruction.results):
                if v in elements.memory and v not in self._places:
                    if v not in self.homes:
                        self.homes[v] = self._scratch(v, v in self._batch)
                    with _noting(missing):
                        self._make(v, instruction, position)
        for w in self.targets:
            if w.value is None or w.added or self.homes.get(w.value) != w.place:
                with _noting(missing):
                    self._leave(w)
        self._drop({w.place for w in self.targets})
        return missing

    # -- values that leave -----------------------------------------------------------------------------------

    def _leave(self, w: Target) -> None:
        elements = self.elements
        if w.value is None:
            self._zeros(w.like, w.place)
            return
        stage, made = self._maps.get(w.value, (0, None))
        if made is not None and not w.added:
            made.stores.append(Store(w.place, made.index))
            return
        shape = elements.shapes[w.value]
        space, indices = self._space(shape, self._batch.get(w.value))
        index = flat(indices, shape)
        source = functools.partial(elements.element, v=w.value, indices=indices)
        new = Map(w.value, source, index, [Store(w.place, index, w.added)])
        stage = self._join(space, new)
        if w.value not in elements.memory:
            self._maps.setdefault(w.value, (stage, new))

    # -- values in memory ------------------------------------------------------------------------------------

    def _make(self, v: int, instruction: Instruction, position: int) -> None:
        elements, loops = self.elements, instruction.row.loops
        if elements.is_called(instruction):
            self._call(v, instruction)
        elif isinstance(loops, Reduced):
            self._reduce(v, instruction, loops)
        elif isinstance(loops, Accumulated):
            axes, indices = self._axes(v)
            self._append(
                v,
                RunningSum(v, instruction.operands[0], axes, axes[instruction.params[0]]),
                instruction.operands[0],
                indices,
            )
        elif isinstance(loops, Contracted) and not elements.is_expression(instruction, position):
            self._contract(v, instruction)
        elif (isinstance(loops, LookedUp) and loops.adjoint) or (
            elements.by_table(instruction) and elements.is_adjoint(instruction)
        ):
            self._scatter(v, instruction)
        elif (
            isinstance(loops, Routed)
            and not elements.by_table(instruction)
            and elements.whole_piece(instruction, position) is None
        ):
            self._route(v, instruction, elements.pieces(instruction, position))
        else:
            space, indices = self._space(elements.shapes[v], self._batch.get(v))
            index = flat(indices, elements.shapes[v])
            new = Map(
                v,
                functools.partial(elements.computed, v=v, indices=indices),
                index,
                [Store(self.homes[v], index)],
            )
            self._maps[v] = self._join(space, new), new

    def _call(self, v: int, instruction: Instruction) -> None:
        for x in instruction.operands:
            if not isinstance(x, Number) and x not in self.elements.memory:
                raise Needs(x)
        self.read.update(x for x in instruction.operands if not isinstance(x, Number))
        self.stages.append(Call(instruction))
        self._maps[v] = len(self.stages) - 1, None

    def _append(self, v: int, nest: Nest, operand: int, indices: Indices) -> None:
        """A nest at the end, which reads an operand."""
        self._note(functools.partial(self.elements.element, v=operand, indices=indices))
        self.stages.append(nest)
        self._maps[v] = len(self.stages) - 1, None

    def _reduce(self, v: int, instruction: Instruction, loops: Reduced) -> None:
        shapes, x = self.elements.shapes, instruction.operands[0]
        kept = loops.kept(shapes[x], instruction.params)
        if self._tile_width and not loops.how.startswith("arg"):
            space, indices = self._space(shapes[x], self._batch.get(x))
            stage = self._beside(space, functools.partial(self.elements.element, v=x, indices=indices))
            if stage is not None:
                group = self.stages[stage]
                assert isinstance(group, Group)
                group.reductions.append(Reduction.of(v, loops.how, x, space, indices, kept, shapes[v]))
                self._maps[v] = stage, None
                return
        axes, indices = self._axes(x)
        self._append(v, Reduction.of(v, loops.how, x, axes, indices, kept, shapes[v]), x, indices)

    def _route(self, v: int, instruction: Instruction, pieces: Sequence[Piece]) -> None:
        elements, shape, home = self.elements, self.elements.shapes[v], self.homes[v]
        lengths = [[len(range(*box)) for box in piece.box] for piece in pieces]
        covered = sum(int(numpy.prod(n)) for n in lengths) == self._size(v)
        after = 0 if covered else self._zeros(v, home) + 1
        last = after - 1
        for piece, box in zip(pieces, lengths, strict=True):
            if 0 in box:
                continue
            space, places = self._space(box, self._batch.get(v))
            index = flat(
                [place * step + start for place, (start, _, step) in zip(places, piece.box, strict=True)],
                shape,
            )
            source = functools.partial(
                elements.from_piece, instruction=instruction, piece=piece, places=places
            )
            last = max(last, self._join(space, Map(None, source, index, [Store(home, index)]), after))
        self._maps[v] = last, None

    def _scatter(self, v: int, instruction: Instruction) -> None:
        elements, x = self.elements, instruction.operands[0]
        axes, indices = self._axes(x)
        self._zeros(v, self.homes[v])
        if isinstance(instruction.row.loops, LookedUp):
            rest, number = elements.split_places(instruction, indices)
            axis, shape = instruction.params
            n, stride = shape[axis], int(numpy.prod(shape[axis + 1 :]))
            index = flat(rest, shape)

            def turn(k: Reader) -> tuple[Value, int]:
                return elements.wrapped(k, instruction.operands[1], number, n), stride
        else:
            index = Index()

            def turn(k: Reader) -> tuple[Value, int]:
                return elements.table_entry(k, instruction, flat(indices, elements.shapes[x])), 1

        self._note(lambda k: turn(k)[0])
        self._append(v, Scattering(v, x, axes, index, turn), x, indices)

    def _contract(self, v: int, instruction: Instruction) -> None:
        elements = self.elements
        letters, output = elements.letters(instruction)
        lengths: dict[str, int] = {}
        for word, x in zip((*letters, output), (*instruction.operands, v), strict=True):
            for a, n in zip(word, elements.shapes[x], strict=True):
                lengths[a] = max(n, lengths.get(a, 1))
        samples = {
            word[axis]
            for word, x in zip((*letters, output), (*instruction.operands, v), strict=True)
            if (axis := self._batch.get(x)) is not None
        }
        axes = {a: Var(n, a in samples) for a, n in lengths.items()}

        def places(word: str, x: int) -> Indices:
            return tuple(
                Index() if n == 1 else of(axes[a]) for a, n in zip(word, elements.shapes[x], strict=True)
            )

        operands = [
            self._operand(x, places(word, x)) for word, x in zip(letters, instruction.operands, strict=True)
        ]
        rows = [axes[a] for a in output if lengths[a] > 1]
        sums = [axes[a] for a in lengths if a not in output]
        index = flat(places(output, v), elements.shapes[v])
        left, right = operands
        nest = self._form(instruction, left, right, v, index, rows, sums)
        if nest.form == "along":
            self._zeros(v, self.homes[v])
        self.stages.append(nest)
        self._maps[v] = len(self.stages) - 1, None

    def _form(
        self,
        instruction: Instruction,
        left: Operand,
        right: Operand,
        v: int,
        index: Index,
        rows: list[Var],
        sums: list[Var],
    ) -> Contraction:
        """The loops of a contraction, as this machine runs them best."""
        if self._tile_width:
            kinds = {self.elements.kind(x) for x in (*instruction.operands, v)}
            vectors = len(kinds) == 1 and kinds <= {"f32", "f64"}
            return form_of(
                vectors, left, right, v, index, rows, sums, self.is_fixed, self._packed, self._panels
            )
        return plain_form_of(left, right, v, index, rows, sums, self.is_fixed, self._packed)

    def _operand(self, x: int, indices: Indices) -> Operand:
        """Where an operand's elements lie, as they are."""
        probe = self._note(functools.partial(self.elements.element, v=x, indices=indices))
        if len(probe.reads) != 1 or probe.counter.cost or probe.reads[0][1] is None:
            raise Needs(x)
        return Operand(*probe.reads[0])  # type: ignore[arg-type]

    def is_fixed(self, v: int) -> bool:
        """Whether a value is there before the loop, and the same at every step."""
        return v in self._places and self._places[v].slot == "fixed"

    def _packed(self, operand: Operand, order: Sequence[Var]) -> Operand:
        """The elements of an operand in another order of axes, copied: once where it is the same at every
        step."""
        elements, once = self.elements, self.is_fixed(operand.value)
        shape = tuple(var.length for var in order)
        samples = next((i for i, var in enumerate(order) if var.batch), None)
        elements.shapes.append(shape)
        elements.dtypes.append(elements.dtypes[operand.value])
        new = len(elements.shapes) - 1
        self.homes[new] = self._scratch(new, once or samples is not None)
        elements.memory.add(new)
        space, indices = self._space(shape, samples)
        place = operand.index.replaced(dict(zip(order, indices, strict=True)))
        copy = Map(
            new,
            functools.partial(_read, value=operand.value, place=place),
            flat(indices, shape),
            [Store(self.homes[new], flat(indices, shape))],
        )
        self.read.update((operand.value, new))
        if once:
            self.prologue.append(Group(space, [copy]))
        else:
            self._maps[new] = self._join(space, copy), None
        return Operand(new, flat(map(of, order), shape))

    def _panels(self, operand: Operand, sums: Sequence[Var], vector: Var, rows: int) -> Operand:
        """A weight, k by j, as panels of the columns of a tile of so many rows, copied once: element (k, j)
        of the panel that begins at column j lies at j · K + k · width."""
        elements, kind = self.elements, self.elements.kind(operand.value)
        assert self._tile_width is not None
        width, deep = self._tile_width(kind, rows), int(numpy.prod([k.length for k in sums]))
        elements.shapes.append((-(-vector.length // width), deep, width))
        elements.dtypes.append(elements.dtypes[operand.value])
        new = len(elements.shapes) - 1
        self.homes[new] = self._scratch(new, True)
        elements.memory.add(new)
        self.read.update((operand.value, new))
        for start, count, columns in blocks(vector.length, width):
            shape = (count, *(k.length for k in sums), columns)
            space, indices = self._space(shape)
            column = indices[0] * width + indices[-1] + start
            source = operand.index.replaced({vector: column, **dict(zip(sums, indices[1:-1], strict=True))})
            depth = flat(indices[1:-1], shape[1:-1])
            place = indices[0] * (deep * width) + depth * width + indices[-1] + start * deep
            copy = Map(
                None,
                functools.partial(_read, value=operand.value, place=source),
                place,
                [Store(self.homes[new], place)],
            )
            self.prologue.append(Group(space, [copy]))
        depth = flat(map(of, sums), tuple(k.length for k in sums))
        return Operand(new, of(vector) * deep + depth * width)

    def _checked(self, instruction: Instruction) -> None:
        loops = instruction.row.loops
        if isinstance(loops, Checked):
            numbers, least, end = instruction.operands[0], instruction.params[1], instruction.params[2]
        elif isinstance(loops, LookedUp) and not loops.adjoint:
            numbers, end = (
                instruction.operands[1],
                self.elements.shapes[instruction.operands[0]][instruction.params[0]],
            )
            least = -end
        else:
            return
        axes, indices = self._axes(numbers)
        self._note(functools.partial(self.elements.element, v=numbers, indices=indices))
        self.stages.append(Check(numbers, axes, least, end))


@contextlib.contextmanager
def _noting(missing: set[int]) -> Iterator[None]:
    """A block that ends where a value must lie in memory and does not."""
    try:
        yield
    except Needs as need:
        missing.add(need.value)


def _read(k: Reader, value: int, place: Index) -> Value:
    return k.read(value, place)
