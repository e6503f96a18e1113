"""Run a plan on a device: one generated kernel for each region of a step, one product of the device's BLAS between them.

The loop over time is on the host and only enqueues: all memory is laid out before it, nothing in it waits for the device or sees values.
It is not recorded as a CUDA graph, because CuPy refuses calls of BLAS while it records one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..backends import Array, Backend, cuda
from ..backends.atoms import Value
from ..backends.base import Unsupported
from ..backends.native.emit import LOADED
from ..chain_rule.addition import MAX
from .native import LaidOutRun, NativePlan
from .program import Instruction, Number
from .schedule import VIEWS, Buffer, Half, Layout, Place, Product, Target
from .writer import RowWriter, Writer

_SLOTS: dict[str, tuple[str, Callable[[int, int], int]]] = {
    "time": ("t{0}", lambda t, _at: t),
    "before": ("at{0}", lambda _t, at: at),
    "after": ("(at{0} + 1)", lambda _t, at: at + 1),
    "carry": ("((at{0} + 1) % 2)", lambda _t, at: (at + 1) % 2),
    "next": ("(at{0} % 2)", lambda _t, at: at % 2),
    "parity": ("(at{0} % 2)", lambda _t, at: at % 2),
    "other": ("((at{0} + 1) % 2)", lambda _t, at: (at + 1) % 2),
}
"""Which part of a buffer a step uses, in a kernel and here: from its place t in time and its place ``at`` in the order of running. A kernel
does one step or two: {0} is which."""


Call = Callable[[int, int], None]


@dataclass
class Launch:
    """One kernel: a region, or the last region of a step together with the first one of the next.

    Attributes:
        buffers, sizes: its arguments, before the number of rows and the places of the step, or of both steps.
        width: columns of its longest loop.
        alone: whether one block must do all of a row.
    """

    name: str
    text: str
    buffers: list[Buffer]
    sizes: list[int]
    width: int
    alone: bool
    steps: int


class _Kernel:
    """Writes one kernel. Regions of two steps in one kernel need no more than a barrier between them, since one block does all of a row."""

    def __init__(self, writer: Writer, regions: Sequence[list[Target]]) -> None:
        self.writer, self.regions = writer, regions
        self.c = cuda.Emitter(writer.kind)
        self.written = {target.place.buffer for targets in regions for target in targets}
        self.buffers: dict[Buffer, str] = {}
        self.widths: dict[Buffer, str] = {}
        self.numbers: list[int] = []
        self.longest = 1

    def launch(self, name: str) -> Launch:
        alone = len(self.regions) > 1
        lines: list[str] = []
        for step, targets in enumerate(self.regions):
            region = _Region(self, targets, step)
            region.write()
            lines += [*(["__syncthreads();"] if step else []), *region.lines]
            alone = alone or bool(region.sums)
        pointers = [f"{self.type_of(buffer)} __restrict__ {pointer}" for buffer, pointer in self.buffers.items()]
        steps = [f"{place}{step}" for step in range(len(self.regions)) for place in ("t", "at")]
        sizes = [*(f"n{i}" for i in range(len(self.numbers))), "rows", *steps]
        text = cuda.kernel(name, self.c.kind, pointers, sizes, self.c.table_lines(), lines)
        return Launch(name, text, list(self.buffers), self.numbers, self.longest, alone, len(self.regions))

    def size(self, number: int) -> str:
        self.numbers.append(number)
        return f"n{len(self.numbers) - 1}"

    def type_of(self, buffer: Buffer) -> str:
        return f"{'' if buffer in self.written else 'const '}{cuda.C_TYPES[buffer.kind]}*"

    def row(self, place: Place, step: int, added: bool) -> str:
        """The first element of a row in a buffer. What is added up over the batch has a row for each of its rows."""
        buffer = place.buffer
        base = self.buffers.setdefault(buffer, f"p{len(self.buffers)}")
        if place.slot == "fixed" and not added:
            return base
        if buffer not in self.widths:
            self.widths[buffer] = self.size(buffer.width)
        row = f"({_SLOTS[place.slot][0].format(step)} * rows + b)" if place.slot in _SLOTS else "b"
        return f"{base} + {row} * {self.widths[buffer]}"


class _Region(RowWriter):
    """Writes one region: loops over columns, each level after the sums over a row that it needs.

    What is the same for a whole row, pointers and numbers, stands before the loops.
    """

    def __init__(self, kernel: _Kernel, targets: list[Target], step: int) -> None:
        super().__init__(kernel.writer, "b", targets)
        self.kernel, self.c, self.step = kernel, kernel.c, step
        self.same: dict[tuple[int, int], Value] = {}
        self.lines: list[str] = []

    def write(self) -> None:
        jobs: list[tuple[int, int, int, Target | int]] = []  # level, first column, length, a target or a sum
        for target in self.targets:
            jobs += [(self._level(target.value), start, length, target) for start, length in self._segments(target.value)]
        for v in self.sums:
            source = self.w.made[v].operands[0]
            jobs += [(self._level(source), start, length, v) for start, length in self._segments(source)]
        for level in sorted({job[0] for job in jobs}):
            self._write_level([job[1:] for job in jobs if job[0] == level])

    def _write_level(self, jobs: list[tuple[int, int, Target | int]]) -> None:
        kind = self.c.kind
        sums = {what: self.c.fresh("a") for _, _, what in jobs if not isinstance(what, Target)}
        self.lines += [f"{kind} {total} = 0;" for total in sums.values()]
        for length in dict.fromkeys(length for _, length, _ in jobs):
            self._columns([(start, what) for start, n, what in jobs if n == length], length, sums)
        for v, total in sums.items():
            with self.c.into(self.lines):
                self.same[(v, 0)] = self.c.put(self.c.float, f"row_sum({total})")

    def _columns(self, jobs: list[tuple[int, Target | int]], length: int, sums: dict[int, str]) -> None:
        """One loop over columns: all values are read before one is written, since a target may lie where another value was."""
        self.cache = {}
        self.kernel.longest = max(self.kernel.longest, length)
        body: list[str] = []
        stores: list[str] = []
        with self.c.into(body):
            for start, what in jobs:
                value = what.value if isinstance(what, Target) else self.w.made[what].operands[0]
                element = self.c.convert(self._element(value, start, length), self.c.float).text
                if isinstance(what, Target):
                    pointer = self._pointer(what.place, start, what.added)
                    stores.append(f"{pointer}[j] {'+=' if what.added else '='} {element};")
                else:
                    stores.append(f"{sums[what]} += {element};")
        self.lines += cuda.loop(self.kernel.size(length), [*body, *stores])

    def _pointer(self, place: Place, start: int, added: bool = False) -> str:
        """The first element of this row in a place, from a column on."""
        key = (place.buffer, place.slot, place.offset + start)
        if key not in self.pointers:
            row = self.kernel.row(place, self.step, added)
            column = f" + {self.kernel.size(place.offset + start)}" if place.offset + start else ""
            self.pointers[key] = self.c.fresh("q")
            self.lines.append(f"{self.kernel.type_of(place.buffer)} {self.pointers[key]} = {row}{column};")
        return self.pointers[key]

    # -- values -------------------------------------------------------------------------------------------------------------------

    def _element(self, value: int, start: int, length: int, column: str = "j") -> Value:
        """The element of a value at a column counted from ``start``; what is the same for the whole row stands before the loops."""
        if self.shapes.kinds[value] in ("scalar", "number"):
            column = "0"
        cache = self.same if column == "0" else self.cache
        if (value, start) not in cache:
            with self.c.into(self.lines if column == "0" else self.c.lines):
                cache[(value, start)] = self._computed(value, start, length, column)
        return cache[(value, start)]

    def _computed(self, value: int, start: int, length: int, column: str) -> Value:
        if self._available(value):
            place = self.places[value]
            return self.c.put(LOADED[place.buffer.kind], f"{self._pointer(place, start)}[{column}]")
        made = self.w.made[value]
        sources = [self._element(v, at, length, column) for v, at in self._sources(value, start, length)]
        if made.row in VIEWS:
            return sources[0] if sources else self.c.number(0.0, self.c.float)
        rest = iter(sources)
        operands = [r.value if isinstance(r, Number) else next(rest) for r in made.operands]
        assert made.row.lowering is not None
        return made.row.lowering(self.c, *operands, *made.params)


# -- the plan in kernels --------------------------------------------------------------------------------------------------------------


@dataclass
class Loop:
    """What is called at the steps. Where a step ends and begins with a kernel, two steps share one, and the first step begins before.

    Attributes:
        before: at the first step.
        each: at each step but the last.
        last: at the last step.
    """

    before: list[Launch | Product]
    each: list[Launch | Product]
    last: list[Launch | Product]


class DevicePlan(NativePlan):
    """The layout and the kernels of a plan for one batch size.

    Raises:
        Unsupported: the plan cannot be written as loops over rows.
    """

    def _compile(self) -> None:
        if any(instruction.row is MAX for instruction in (*self.plan.forward, *self.plan.backward)):
            raise Unsupported("the largest element of a row")
        self.forward_loop = self._loop("forward", self.forward_half, self.plan.forward)
        if self.training:
            self.backward_loop = self._loop("backward", self.backward_half, [*self.plan.forward, *self.plan.backward])

    def _loop(self, name: str, half: Half, instructions: Sequence[Instruction]) -> Loop:
        writer = Writer(name, self.shapes, half, instructions, self.kind, False)
        calls: list[Launch | Product] = []
        for i, stage in enumerate(half.stages):
            targets = [part for part in stage if isinstance(part, Target)]
            calls += [_Kernel(writer, [targets]).launch(f"{name}{i}")] if targets else []
            calls += [part for part in stage if isinstance(part, Product)]
        if len(calls) > 1 and isinstance(calls[0], Launch) and isinstance(calls[-1], Launch):
            ends = [[part for part in half.stages[i] if isinstance(part, Target)] for i in (-1, 0)]
            return Loop(calls[:1], [*calls[1:-1], _Kernel(writer, ends).launch(f"{name}_joined")], calls[1:])
        return Loop([], calls, calls)


class DeviceRun(LaidOutRun):
    """One scan in kernels; the same interface as :class:`InterpretedRun`."""

    laid: DevicePlan

    def __init__(self, device: DevicePlan, backend: Backend, streams: list[Array], fixed: list[Array], order: range, length: int) -> None:
        self.laid, self.backend = device, backend
        self.steps, self.step = len(order), order.step
        self.inputs = [backend.ascontiguousarray(x) for x in (*streams, *fixed, *device.plan.constants)]

    def _arrays(self, half: Half) -> dict[Buffer, Array]:
        program = self.laid.plan.joint
        return {half.places[v].buffer: array for v, array in zip((*program.steps, *program.fixed), self.inputs, strict=True)}

    # -- the loop over time -------------------------------------------------------------------------------------------------------

    def _run(self, half: Half, loop: Loop, layout: Layout, arrays: dict[Buffer, Array], order: range) -> None:
        """Lay out what is left of the memory, and run; ``order`` are the places in the order of running, as they are visited."""
        for buffer in layout.buffers:
            if buffer not in arrays:
                arrays[buffer] = self._empty(buffer, 1)[0]
        bound = {id(call): self._bound(call, half, arrays, order.step) for call in (*loop.before, *loop.each, *loop.last)}
        before, each, last = ([bound[id(call)] for call in calls] for calls in (loop.before, loop.each, loop.last))
        self._walk(before, each, last, order)

    def _walk(self, before: list[Call], each: list[Call], last: list[Call], order: range) -> None:
        times = order if self.step > 0 else order[::-1]
        for call in before:
            call(times[0], order[0])
        for t, at in zip(times[:-1], order[:-1], strict=True):
            for call in each:
                call(t, at)
        for call in last:
            call(times[-1], order[-1])

    def _bound(self, call: Launch | Product, half: Half, arrays: dict[Buffer, Array], direction: int) -> Call:
        return self._launch(call, arrays, direction) if isinstance(call, Launch) else self._product(call, half, arrays)

    def _launch(self, launch: Launch, arrays: dict[Buffer, Array], direction: int) -> Call:
        kernel = self.backend.kernel(launch.text, launch.name)
        threads = cuda.block_of(launch.width)
        grid = (1 if launch.alone else -(-launch.width // threads), min(self.laid.batch, cuda.LARGEST_GRID))
        arguments = (*[arrays[buffer] for buffer in launch.buffers], *launch.sizes, self.laid.batch)
        if launch.steps == 1:
            return lambda t, at: kernel(grid, (threads,), (*arguments, t, at))
        return lambda t, at: kernel(grid, (threads,), (*arguments, t, at, t + direction * self.step, at + direction))

    def _product(self, product: Product, half: Half, arrays: dict[Buffer, Array]) -> Call:
        right = arrays[half.places[product.right].buffer]
        right = right.T if product.transposed else right
        matmul = self.backend.matmul

        def call(t: int, at: int) -> None:
            left = _columns(arrays, product.left, product.inner, t, at)
            matmul(left, right, out=_columns(arrays, product.place, product.columns, t, at))

        return call

    # -- forward and backward -----------------------------------------------------------------------------------------------------

    def forward(self, states: list[Array], products: Any) -> tuple[list[Array], list[Array]]:
        """The outputs, (T, …) each, and the last states."""
        products.run()
        device = self.laid
        arrays = self._arrays(device.forward_half)
        outputs = self._make_room(arrays, states)
        self._run(device.forward_half, device.forward_loop, device.forward_layout, arrays, range(self.steps))
        return self._results(outputs)

    def backward(self, outputs: list[Any], states: list[Any], totals: dict[Any, Array], products: Any) -> tuple[list[Any], list[Any]]:
        device = self.laid
        arrays = self._arrays(device.backward_half)
        self._give_back(arrays, outputs, states)
        for sink, place in device.sum_places.items():  # every row adds up for itself, so that no two threads meet
            new = sink not in totals
            arrays[place.buffer] = self.backend.zeros((device.batch, place.buffer.width), device.dtype) if new else totals[sink]
        self._run(device.backward_half, device.backward_loop, device.backward_layout, arrays, range(self.steps)[::-1])
        self._sink(arrays, totals, products)
        return self._residuals(arrays)


def _columns(arrays: dict[Buffer, Array], place: Place, width: int, t: int, at: int) -> Array:
    """The matrix that a step finds in a place."""
    array = arrays[place.buffer]
    if place.slot in _SLOTS:
        array = array[_SLOTS[place.slot][1](t, at)]
    return array if width == place.buffer.width else array[:, place.offset : place.offset + width]
