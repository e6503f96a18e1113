"""A half of a step, its nests, as one kernel in CUDA C: the whole loop over time runs on the device.

A block owns samples of the batch, so no block waits for another; between nests the threads of a block wait
for each other. What is the same at every step and laid out anew is made by a kernel before, by all blocks
together.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import ClassVar

from ..backends import cuda
from .c_writer import CWriter
from .contractions import Contraction
from .elements import Elements
from .index import Var
from .nest_planner import Nests
from .nests import SLOTS, Buffer, Check, Nest, Place

_SIZES = ("steps", "t0", "dt", "at0", "dat", "share")


class KernelWriter(CWriter):
    """Writes ``name(buffers…, steps, t of the first step, ±1, place of the first step in the order of
    running, ±1, samples of a block)``.

    Attributes:
        longest: rounds of the longest loop that threads share, for one sample.
        block: threads of a block.
    """

    COUNT: ClassVar[str] = "long long"

    def __init__(self, name: str, elements: Elements, nests: Nests, samples: int) -> None:
        super().__init__(cuda.Emitter(), elements, nests)
        self.name = name
        self.samples = samples
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
                self._nest(nest)
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

    def _pointer(self, place: Place) -> str:
        base = f"p{place.buffer.number}"
        if place.slot == "fixed":
            return base
        counter, further, turns = SLOTS[place.slot]
        return f"({base} + (({counter} + {further}){' & 1' if turns else ''}) * {place.buffer.size}LL)"

    # -- loops -----------------------------------------------------------------------------------------------

    def _length(self, axis: Var) -> str:
        return f"((last - first) * {axis.length // self.samples}LL)" if axis.batch else f"{axis.length}LL"

    def _start(self, axis: Var) -> str:
        return f"first * {axis.length // self.samples}LL" if axis.batch else "0"

    def _bounds(self, axis: Var) -> tuple[str, str]:
        return self._start(axis), f"{self._start(axis)} + {self._length(axis)}"

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

    # -- nests -----------------------------------------------------------------------------------------------

    def _contraction(self, nest: Contraction) -> None:
        c, kind = self.c, self.elements.kind(nest.value)
        with self._shared(nest.rows):
            total = self._variable(kind, c.literal(0, kind))
            with self._around(nest.sums):
                a, b = (c.as_kind(self.read(x.value, x.index), kind) for x in (nest.a, nest.b))
                c.lines.append(f"{total.text} = {self._added_product(total, a, b)};")
            self._store(total, self.nests.homes[nest.value], self._at(nest.index))

    def _check(self, nest: Check) -> None:
        """A device is not waited for."""
