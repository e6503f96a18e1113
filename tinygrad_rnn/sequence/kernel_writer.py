"""A half of a step, its nests, as one kernel in CUDA C: the whole loop over time runs on the device.

A block owns samples of the batch, so no block waits for another; between nests the threads of a block wait
for each other. What is the same at every step and laid out anew is made by a kernel before, by all blocks
together.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..backends import cuda
from ..backends.atoms import Value
from ..backends.base import Unsupported
from .contractions import Contraction
from .elements import Elements
from .index import Index, Var, flat, of
from .nest_planner import Nests
from .nests import SLOTS, Buffer, Call, Check, Group, Nest, Place, Reduction, RunningSum, Scattering
from .reader import Reader

_SIZES = ("steps", "t0", "dt", "at0", "dat", "share")


class KernelWriter(Reader):
    """Writes ``name(buffers…, steps, t of the first step, ±1, place of the first step in the order of
    running, ±1, samples of a block)``.

    Attributes:
        longest: rounds of the longest loop that threads share, for one sample.
        block: threads of a block.
    """

    def __init__(self, name: str, elements: Elements, nests: Nests, samples: int) -> None:
        self.name = name
        self.elements = elements
        self.nests = nests
        self.samples = samples
        self.c: cuda.Emitter = cuda.Emitter()
        super().__init__(self.c)
        self._registers: dict[Var, str] = {}
        self.longest: int = 1

    @property
    def block(self) -> int:
        return cuda.block_of(self.longest)

    def text(self, buffers: Sequence[Buffer]) -> str:
        """Both kernels; the one of what is done once is called ``name_once``."""
        once = self._kernel(
            f"{self.name}_once",
            buffers,
            self.nests.prologue,
            "blockIdx.x * blockDim.x + threadIdx.x",
            "gridDim.x * blockDim.x",
        )
        each = self._kernel(self.name, buffers, self.nests.stages, "threadIdx.x", "blockDim.x")
        return "\n".join([*self.c.table_lines(), *(once if self.nests.prologue else []), *each, ""])

    def _kernel(
        self, name: str, buffers: Sequence[Buffer], nests: Sequence[Nest], thread: str, threads: str
    ) -> list[str]:
        self._thread, self._threads, self._once = thread, threads, nests is self.nests.prologue
        lines: list[str] = []
        with self.c.into(lines):
            for nest in nests:
                self.known.clear()
                self.cache.clear()
                with self._braces("{"):
                    _WRITE[type(nest)](self, nest)
                if not self._once:
                    self.c.lines.append("__syncthreads();")
        if not self._once:
            lines = [
                "for (long long s = 0; s < steps; s++) {",
                "const long long t = t0 + s * dt, at = at0 + s * dat;",
                *lines,
                "}",
            ]
        types = [self.c.TYPES[buffer.kind] for buffer in buffers]
        pointers = [f"{type_}* p{buffer.number}" for type_, buffer in zip(types, buffers, strict=True)]
        moved = [f"p{b.number} += blockIdx.x * {b.own}LL;" for b in buffers if b.own]
        samples = f"const long long first = {'0' if self._once else 'blockIdx.x * share'};"
        end = (
            str(self.samples)
            if self._once
            else f"first + share < {self.samples} ? first + share : {self.samples}"
        )
        sizes = [f"long long {size}" for size in _SIZES]
        # not every kernel asks for them
        bounds = [samples, f"const long long last = {end};", "(void)first; (void)last;"]
        return cuda.kernel(
            name,
            cuda.LARGEST_BLOCK if self._once else self.block,
            [*pointers, *sizes],
            [*moved, *bounds, *lines],
        )

    # -- what expressions are written with -------------------------------------------------------------------

    def read(self, value: int, place: Index, turns: Sequence[tuple[Value, int]] = ()) -> Value:
        if not turns and (value, place) in self.known:
            return self.known[value, place]
        home = self.nests.homes[value]
        extra = "".join(f" + {turn.text} * {stride}" for turn, stride in turns)
        return self.c.put(home.buffer.kind, f"{self._pointer(home)}[{self._at(place)}{extra}]")

    def whole(self, index: Index) -> Value:
        return self.c.put("i64", self._at(index))

    def _at(self, index: Index) -> str:
        terms = [
            self._registers[var] if factor == 1 else f"{self._registers[var]} * {factor}"
            for var, factor in index.terms.items()
        ]
        return " + ".join([*terms, *([str(index.const)] if index.const or not terms else [])])

    def _pointer(self, place: Place) -> str:
        base = f"p{place.buffer.number}"
        if place.slot == "fixed":
            return base
        counter, further, turns = SLOTS[place.slot]
        return f"({base} + (({counter} + {further}){' & 1' if turns else ''}) * {place.buffer.size}LL)"

    def _store(self, y: Value, place: Place, at: str, added: bool = False) -> None:
        y = self.c.as_kind(y, place.buffer.kind)
        where = f"{self._pointer(place)}[{at}]"
        if added:
            y = self.c.put(y.kind, where) + y
        self.c.lines.append(f"{where} = {y.text};")

    # -- loops -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _braces(self, head: str) -> Iterator[None]:
        """A block, whose values are not known after it."""
        with self._scope():
            self.c.lines.append(head)
            yield
            self.c.lines.append("}")

    def _length(self, axis: Var) -> str:
        return f"((last - first) * {axis.length // self.samples}LL)" if axis.batch else f"{axis.length}LL"

    def _start(self, axis: Var) -> str:
        return f"first * {axis.length // self.samples}LL" if axis.batch else "0"

    @contextlib.contextmanager
    def _shared(self, axes: Sequence[Var]) -> Iterator[None]:
        """Rounds over all axes, shared among the threads."""
        i, rest = self.c.fresh("i"), self.c.fresh("r")
        total = " * ".join(map(self._length, axes)) or "1"
        rounds = 1
        for axis in axes:
            rounds *= axis.length // self.samples if axis.batch else axis.length
        self.longest = max(self.longest, rounds)
        with self._braces(f"for (long long {i} = {self._thread}; {i} < {total}; {i} += {self._threads}) {{"):
            self.c.lines.append(f"long long {rest} = {i};")
            for axis in reversed(axes):
                self._registers[axis] = self.c.fresh("x")
                length = self._length(axis)
                self.c.lines.append(
                    f"const long long {self._registers[axis]} = {self._start(axis)} + {rest} % {length};"
                )
                self.c.lines.append(f"{rest} /= {length};")
            yield

    @contextlib.contextmanager
    def _around(self, axes: Sequence[Var]) -> Iterator[None]:
        """Loops of one thread, the last of them the innermost."""
        with contextlib.ExitStack() as stack:
            for axis in axes:
                x = self._registers[axis] = self.c.fresh("k")
                start, length = self._start(axis), self._length(axis)
                stack.enter_context(
                    self._braces(f"for (long long {x} = {start}; {x} < {start} + {length}; {x}++) {{")
                )
            yield

    # -- nests -----------------------------------------------------------------------------------------------

    def _group(self, group: Group) -> None:
        with self._shared(group.space):
            for y, store in group.values(self):
                self._store(y, store.place, self._at(store.index), store.added)

    def _variable(self, kind: str, first: str) -> Value:
        name = self.c.fresh("a")
        self.c.lines.append(f"{self.c.TYPES[kind]} {name} = {first};")
        return Value(self.c, name, kind)

    def _reduction(self, nest: Reduction) -> None:
        c, kind = self.c, self.elements.kind(nest.operand)
        home, lost = self.nests.homes[nest.value], [axis for axis in nest.axes if axis not in nest.kept]
        with self._shared(nest.kept):
            if nest.how in ("argmax", "argmin"):
                total = self._position(nest, kind, lost)
            else:
                kind = self.elements.kind(nest.value)
                total = self._variable(kind, c.literal(nest.first(kind), kind))
                with self._around(lost):
                    x = c.as_kind(self.elements.element(self, nest.operand, nest.indices), kind)
                    c.lines.append(f"{total.text} = {self._joined(nest.how, total, x)};")
            self._store(total, home, self._at(nest.index))

    def _joined(self, how: str, total: Value, x: Value) -> str:
        if how in ("max", "min"):
            wins = x > total if how == "max" else x < total
            wins = wins | (x != x) if x.kind[0] == "f" else wins
            return self.c.select(wins, x, total).text
        return (total & x if how == "all" else total | x if how == "any" else total + x).text

    def _position(self, nest: Reduction, kind: str, lost: Sequence[Var]) -> Value:
        """The place of the first extremum; NaN is one."""
        c = self.c
        best, at = self._variable(kind, c.literal(0, kind)), self._variable("i64", "0")
        place = flat(map(of, lost), tuple(axis.length for axis in lost))
        with self._around(lost):
            x, here = self.elements.element(self, nest.operand, nest.indices), self.whole(place)
            wins = (x > best if nest.how == "argmax" else x < best) | (here == 0)
            if kind[0] == "f":
                wins = wins | ((x != x) & (best == best))
            c.lines.append(f"if ({wins.text}) {{ {best.text} = {x.text}; {at.text} = {here.text}; }}")
        return at

    def _running_sum(self, nest: RunningSum) -> None:
        kind, home = self.elements.kind(nest.value), self.nests.homes[nest.value]
        place = flat(map(of, nest.axes), self.elements.shapes[nest.value])
        with self._shared([axis for axis in nest.axes if axis is not nest.along]):
            total = self._variable(kind, self.c.literal(0, kind))
            with self._around([nest.along]):
                x = self.c.as_kind(self.elements.element(self, nest.operand, tuple(map(of, nest.axes))), kind)
                self.c.lines.append(f"{total.text} = {(total + x).text};")
                self._store(total, home, self._at(place))

    def _scattering(self, nest: Scattering) -> None:
        """Samples are shared; the rest is added by one thread, always in the same order."""
        kind, home = self.elements.kind(nest.value), self.nests.homes[nest.value]
        samples = [axis for axis in nest.axes if axis.batch and nest.index.terms.get(axis)]
        with self._shared(samples), self._around([axis for axis in nest.axes if axis not in samples]):
            turn, stride = nest.turn(self)
            x = self.c.as_kind(self.elements.element(self, nest.operand, tuple(map(of, nest.axes))), kind)
            self._store(x, home, f"{self._at(nest.index)} + {turn.text} * {stride}", added=True)

    def _contraction(self, nest: Contraction) -> None:
        c, kind = self.c, self.elements.kind(nest.value)
        with self._shared(nest.rows):
            total = self._variable(kind, c.literal(0, kind))
            with self._around(nest.sums):
                a, b = (c.as_kind(self.read(x.value, x.index), kind) for x in (nest.a, nest.b))
                y = (
                    c.fma(a, b, total)
                    if kind[0] == "f"
                    else total | (a & b)
                    if kind == "i1"
                    else total + a * b
                )
                c.lines.append(f"{total.text} = {y.text};")
            self._store(total, self.nests.homes[nest.value], self._at(nest.index))

    def _check(self, nest: Check) -> None:
        """A device is not waited for."""

    def _call(self, nest: Call) -> None:
        raise Unsupported(f"the operation {nest.instruction.row.name!r}")


_WRITE: dict[type, Callable[[KernelWriter, Any], None]] = {
    Group: KernelWriter._group,
    Reduction: KernelWriter._reduction,
    RunningSum: KernelWriter._running_sum,
    Scattering: KernelWriter._scattering,
    Contraction: KernelWriter._contraction,
    Check: KernelWriter._check,
    Call: KernelWriter._call,
}
