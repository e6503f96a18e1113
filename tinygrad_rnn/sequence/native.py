"""Run a plan as machine code: the loop over time is one function, and threads share the batch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from ..backends import Array, Backend
from ..backends.base import CACHE_LINE, Unsupported
from ..backends.native import gemm, thresholds
from ..backends.native.compiler import compiled
from ..backends.native.emit import FLOATS, tables, type_name
from ..backends.native.memory import address, keep_memory, numbers
from ..backends.native.panels import packed, panel
from ..backends.native.threads import run_parallel, shares, threads
from ..chain_rule.addition import TRANSPOSE
from ..chain_rule.weighting import MATMUL
from .plan import Plan, Sink
from .program import Instruction, Number
from .schedule import REDUCTIONS, Buffer, Half, Layout, Place, Product, Scheduler, Shapes, Target, check_instruction, costly
from .writer import Access, Writer, touching

# -- the plan in machine code -----------------------------------------------------------------------------------------------------------


@dataclass
class Code:
    """One compiled half.

    Attributes:
        address: of a function of (table of pointers, sizes, T, B, first row, last row, t of the first step, ±1).
        sizes: the sizes that the text left open.
        buffers: what it reads or writes. A matrix that only products read is not among them: its panels are.
        scratch, room: by number, the bytes of buffers that are nothing before and after the loop, and of all of them.
    """

    address: int
    sizes: numpy.ndarray
    buffers: set[Buffer]
    scratch: list[tuple[int, int]] | None = None
    room: int = 0

    def __post_init__(self) -> None:
        self.sizes_at = address(self.sizes)


class NativePlan:
    """The layout and the code of a plan for one batch size.

    Attributes:
        calls: what is still called: names of rows, each with the reason and what to write instead; here nothing is.
        read: the inputs that are read as they are, not only laid out for products.
        work: multiplications of a step and row.

    Raises:
        Unsupported: the plan cannot be written as loops over rows.
    """

    calls: Sequence[tuple[str, str, str]] = ()

    def __init__(self, plan: Plan, batch: int) -> None:
        keep_memory()
        self.plan, self.batch = plan, batch
        program = plan.joint
        if any(program.dtypes[v].kind == "b" for v in (*program.states, *program.outputs)):
            raise Unsupported("booleans that leave the step")
        floats = {d for d in program.dtypes if d.kind != "b"}
        if len(floats) != 1 or batch == 0:
            raise Unsupported("values of several dtypes")
        self.dtype = floats.pop()
        if self.dtype not in FLOATS:
            raise Unsupported(f"values of {self.dtype}", "have the cell compute in float32 or float64")
        self.kind = type_name(self.dtype)
        self.shapes = Shapes(program, batch)
        self.arriving = [g for g in (*plan.output_residuals, *plan.carried_residuals) if g is not None]
        self.shapes.note_rest(self.arriving, (*plan.forward, *plan.backward))
        if any(program.shapes[v][:1] != (batch,) or (v in program.fixed and self.shapes.kinds[v] != "matrix") for v in program.outputs):
            raise Unsupported("an output whose first axis is not the batch")
        for instruction in (*plan.forward, *plan.backward):
            check_instruction(self.shapes, instruction)
        self.training = plan.differentiated
        self._lay_out_forward()
        self.work = sum(product.inner * product.columns for product in self.forward_half.products())
        if self.training:
            self._lay_out_backward()
        self._compile()

    # -- forward --------------------------------------------------------------------------------------------------------------------

    def _place(self, layout: Layout, value: int, slot: str) -> Place:
        program = self.shapes.program
        buffer = layout.new(self.shapes.widths[value], slot, type_name(program.dtypes[value]))
        return Place(buffer, 0, slot)

    def _inputs(self, layout: Layout) -> dict[int, Place]:
        """Places for what both halves read."""
        program = self.plan.joint
        places = {v: self._place(layout, v, "time") for v in program.steps}
        for v in program.fixed:
            places[v] = self._place(layout, v, "row" if self.shapes.kinds[v] == "matrix" else "fixed")
        return places

    def _lay_out_forward(self) -> None:
        plan, program = self.plan, self.plan.joint
        layout = self.forward_layout = Layout()
        before, after = ("before", "after") if self.training else ("parity", "other")
        places = self._inputs(layout)
        wanted: dict[int, list[Place]] = {}
        self.state_places = []
        for v, new in zip(program.states, program.carried, strict=True):
            places[v] = self._place(layout, v, before)
            self.state_places.append(places[v])
            wanted.setdefault(new, []).append(Place(places[v].buffer, 0, after))
        self.output_places: list[Place | None] = []
        for v in program.outputs:
            if self.training and v in program.carried:  # the states are kept anyway
                self.output_places.append(None)
                continue
            place = self._place(layout, v, "time")
            wanted.setdefault(v, []).append(place)
            self.output_places.append(place)
        self.stashed = {v: self._place(layout, v, "time") for v in self._stash()}
        for v, place in self.stashed.items():
            wanted.setdefault(v, []).append(place)
        scheduler = Scheduler(self.shapes, layout, plan.forward, places, self.kind)
        self.forward_half = scheduler.schedule(wanted, {})

    def _stash(self) -> list[int]:
        """Which forward values to keep for the backward part: what costs much to make again. The rest is made again from them."""
        plan, program = self.plan, self.plan.joint
        if not self.training:
            return []
        known = {*program.steps, *program.states, *program.fixed, *program.carried}
        made = {v: i for i in plan.forward for v in i.results}
        operands = {s.values[0] for sinks in plan.sinks.values() for s in sinks if s.kind == "product"} & set(made)
        chosen = {v for v in operands if v not in known}
        costly = [v for v in plan.kept if v in made and v not in known and self._costly(made[v])]
        chosen.update(v for v in costly if self.shapes.kinds[v] != "matrix")
        for v in plan.kept:
            if v in made and v not in known | chosen and made[v].row is not TRANSPOSE and not self._remade(v, made, known | chosen):
                chosen.add(v)
        booleans = [v for v in chosen if program.dtypes[v].kind == "b"]
        if booleans:
            raise Unsupported("a comparison that must be kept")
        return sorted(chosen)

    def _costly(self, made: Instruction) -> bool:
        return costly(made) or made.row in (MATMUL, *REDUCTIONS)

    def _remade(self, value: int, made: dict[int, Instruction], known: set[int]) -> bool:
        """Whether a value can be made again cheaply from what is known."""
        if value in known:
            return True
        instruction = made.get(value)
        if instruction is None or self._costly(instruction):
            return False
        return all(isinstance(r, Number) or self._remade(r, made, known) for r in instruction.operands)

    # -- backward -------------------------------------------------------------------------------------------------------------------

    def _lay_out_backward(self) -> None:
        plan, program = self.plan, self.plan.joint
        layout = self.backward_layout = Layout()
        places = self._inputs(layout)
        self.back_states = [self._place(layout, v, "before") for v in program.states]
        for v, new, place in zip(program.states, program.carried, self.back_states, strict=True):
            places[v] = place
            places.setdefault(new, Place(place.buffer, 0, "after"))
        self.back_stash = {v: self._place(layout, v, "time") for v in self.stashed}
        places.update(self.back_stash)
        self.back_outputs = [None if v is None else self._place(layout, v, "time") for v in plan.output_residuals]
        places.update({v: p for v, p in zip(plan.output_residuals, self.back_outputs, strict=True) if v is not None and p is not None})
        self.carries = []
        wanted: dict[int, list[Place]] = {}
        for state, arriving, leaving in zip(program.states, plan.carried_residuals, plan.state_residuals, strict=True):
            slot = "time" if leaving is None else "carry"  # a state that the step does not use has a residual at the last step only
            buffer = layout.new(self.shapes.widths[state], slot, self.kind)
            self.carries.append(buffer)
            if arriving is not None:
                places[arriving] = Place(buffer, 0, slot)
            if leaving is not None:
                wanted.setdefault(leaving, []).append(Place(buffer, 0, "next"))
        self.back_steps: list[Place | None] = []
        for residual in plan.step_residuals:
            self.back_steps.append(None if residual is None else self._place(layout, residual, "time"))
            if residual is not None:
                wanted.setdefault(residual, []).append(self.back_steps[-1])  # type: ignore[arg-type]
        added = self._sink_places(layout, places, wanted)
        remade = [i for i in plan.forward if i.row is not MATMUL]
        scheduler = Scheduler(self.shapes, layout, [*remade, *plan.backward], places, self.kind)
        self.backward_half = scheduler.schedule(wanted, added)

    def _sink_places(self, layout: Layout, places: dict[int, Place], wanted: dict[int, list[Place]]) -> dict[int, list[Place]]:
        """Where the operands of weight residuals are gathered, and the vectors that sums go to."""
        self.operand_places: dict[int, Place] = {}
        self.sum_places: dict[Sink, Place] = {}
        added: dict[int, list[Place]] = {}
        for value, sinks in self.plan.sinks.items():
            shape = self.shapes.program.shapes[value]
            for sink in sinks:
                if sink.kind == "product":
                    for v in sink.values:
                        self.operand_places[v] = self._gathered(layout, v, places, wanted)
                elif sink.kind == "sum" and (len(shape) < 2 or shape[0] == 1):
                    place = Place(layout.new(self.shapes.widths[sink.values[0]], "fixed", self.kind), 0, "fixed")
                    self.sum_places[sink] = place
                    added.setdefault(sink.values[0], []).append(place)
                else:
                    raise Unsupported("a residual that is neither a product nor a sum over the batch")
        return added

    def _gathered(self, layout: Layout, v: int, places: dict[int, Place], wanted: dict[int, list[Place]]) -> Place:
        """The place of all steps of a value: where it is kept anyway, or a new one."""
        candidates = [places[v]] if v in places else []
        for place in (*candidates, *wanted.get(v, [])):
            if place.slot in ("time", "before", "after") and place.offset == 0 and place.buffer.width == self.shapes.widths[v]:
                return place
        place = self._place(layout, v, "time")
        wanted.setdefault(v, []).append(place)
        return place

    # -- sharing memory -------------------------------------------------------------------------------------------------------------

    def _share(self, step: int, forward: Writer, backward: Writer) -> None:
        """Let what is kept of a step lie where a hoisted product lay that only the forward part reads, element over element in the loop
        that reads it; and its residual over that."""
        core, position = self.plan.core, self.plan.core.program.steps.index(step)
        if position >= len(core.streams) or core.streams[position] not in {i.results[0] for i in core.hoisted if i.row is MATMUL}:
            return
        if any(core.streams[position] in i.operands for i in core.hoisted):  # the residual of that one reads it again
            return
        number = self.plan.joint.steps[position]
        if self.shapes.kinds[number] != "row":  # one number of a row is read and written outside of loops
            return
        ours, back = forward.half.places[number].buffer, backward.half.places[number].buffer
        reads = forward.reads.get(ours, set())
        if back in backward.reads or len({a.loop for a in reads}) != 1 or touching(reads):
            return
        free = sorted(reads, key=lambda a: a.column)
        moved = set()
        for v, place in self.stashed.items():
            writes = forward.writes.get(place.buffer, set()) if self.shapes.kinds[v] == "row" else set()
            fitting = [a for a in free if {(w.loop, w.length) for w in writes} == {(a.loop, a.length)} and a.length == place.buffer.width]
            if fitting:
                free.remove(fitting[0])
                place.buffer.inside = (ours, fitting[0].column)
                self.back_stash[v].buffer.inside = (back, fitting[0].column)
                moved.add(self.back_stash[v].buffer)
        residual = self.back_steps[position]
        if residual is None:
            return
        kept = [Access(a.loop, a.column + b.inside[1], a.length) for b in moved if b.inside for a in backward.reads.get(b, set())]
        gathered = {place.buffer for place in self.operand_places.values()}  # read once more after the last step
        kept += [Access(backward.loops + 1, b.inside[1], b.width) for b in moved & gathered if b.inside]
        writes = backward.writes.get(residual.buffer, set())
        if all(not w.overlaps(a) or a.loop < w.loop or (a.loop == w.loop and a.column == w.column) for w in writes for a in kept):
            residual.buffer.inside = (back, 0)

    # -- what it does, in words -----------------------------------------------------------------------------------------------------

    def described(self) -> list[str]:
        """A line for each product and kernel of a step, and for what is kept."""
        lines = []
        for name, half in [("forward", self.forward_half)] + ([("backward", self.backward_half)] if self.training else []):
            for stage in half.stages:
                for product in stage:
                    if isinstance(product, Product):
                        turned = " transposed" if product.transposed else ""
                        lines.append(
                            f"  {name:<10} product ({self.batch}, {product.inner}) @ matrix{turned} -> ({self.batch}, {product.columns})"
                        )
                if isinstance(stage[0], Target):
                    lines.append(f"  {name:<10} kernel that writes {len(stage)} values")
        kept = [
            (self.plan.joint.shapes[v], place.buffer.inside is not None) for v, place in (self.stashed.items() if self.training else ())
        ]
        for shape, inside in kept:
            size = int(numpy.prod(shape)) * self.dtype.itemsize
            lines.append(f"  kept       {shape}, {size:,} bytes a step" + (", in the memory of a hoisted product" if inside else ""))
        return lines

    # -- code -----------------------------------------------------------------------------------------------------------------------

    def _compile(self) -> None:
        halves = [("forward", self.forward_half, self.plan.forward, False)]
        if self.training:
            halves.append(("backward", self.backward_half, [*self.plan.forward, *self.plan.backward], True))

        layouts = [self.forward_layout, self.backward_layout] if self.training else [self.forward_layout]
        for (_, half, *_rest), layout in zip(halves, layouts, strict=True):
            for product in half.products():
                half.packed.setdefault((product.right, product.transposed), layout.new(panel(self.kind), "fixed", self.kind))

        def write() -> tuple[list[Writer], str]:
            writers = [Writer(name, self.shapes, half, code, self.kind, back) for name, half, code, back in halves]
            return writers, "\n\n".join(writer.text() for writer in writers)

        writers, text = write()
        if self.training:
            for v in self.plan.core.program.steps:
                self._share(v, *writers)
            writers, text = write()
        text = gemm.text(self.kind) + text + tables(writer.emit for writer in writers)
        self.text = text
        addresses = compiled(text, tuple(writer.name for writer in writers))
        codes = [
            Code(
                addresses[w.name],
                numpy.array(w.numbers or [0], numpy.int64),
                {b.inside[0] if b.inside else b for b in (*w.reads, *w.writes, *w.half.packed.values())},
            )
            for w in writers
        ]
        read = [(half.places, code.buffers) for (_, half, *_rest), code in zip(halves, codes, strict=True)]
        inputs = (*self.plan.joint.steps, *self.plan.joint.fixed)
        self.read = {v for v in inputs if any(places[v].buffer in buffers for places, buffers in read)}
        self.forward = codes[0]
        self.backward = codes[1] if self.training else None


class NativeRun:
    """One scan in machine code; the same interface as :class:`InterpretedRun`.

    Attributes:
        laid: the layout.
        steps, step: how many, and 1 or −1 for the order of running.
        states: by place, all steps in the order of running.
        stash: the arrays of what is kept, by value.
    """

    states: list[Array]
    stash: dict[int, Array]

    def __init__(self, native: NativePlan, backend: Backend, streams: list[Array], fixed: list[Array], order: range, length: int) -> None:
        self.laid, self.backend = native, backend
        self.steps, self.step = len(order), order.step
        program = native.plan.joint
        given = zip((*program.steps, *program.fixed), (*streams, *fixed, *native.plan.constants), strict=True)
        self.given = {v: numpy.ascontiguousarray(x) if v in native.read else x for v, x in given}
        self.length = length

    def _prepared(
        self, code: Code, layout: Layout, arrays: dict[Buffer, Array], shards: list[tuple[int, int]], apart: Sequence[Buffer] = ()
    ) -> tuple[Any, ...]:
        """What a half is called with for each shard, and the memory that has to be there as long as it runs; scratch is made here.

        Args:
            apart: what the shards add up, (shards, width) each.
        """
        if code.scratch is None:
            scratch = self._scratch(code, layout, arrays)
            code.room, code.scratch = sum(size for _, size in scratch), scratch
        block = numpy.empty(code.room + CACHE_LINE, numpy.uint8)
        free, pointers = -(-address(block) // CACHE_LINE) * CACHE_LINE, [0] * len(layout.buffers)
        for number, size in code.scratch:
            pointers[number] = free
            free += size
        for buffer in code.buffers:
            if buffer in arrays:
                pointers[buffer.number] = address(arrays[buffer])
        tables = [numbers(pointers) for _ in shards]
        for buffer in apart:
            for shard, table in enumerate(tables):
                table[buffer.number] += shard * buffer.width * self.laid.dtype.itemsize
        start = 0 if self.step > 0 else self.steps - 1
        parts = [
            (table.buffer_info()[0], code.sizes_at, self.steps, self.laid.batch, first, last, start, self.step)
            for table, (first, last) in zip(tables, shards, strict=True)
        ]
        return parts, (block, tables, arrays, code)

    def _scratch(self, code: Code, layout: Layout, arrays: dict[Buffer, Array]) -> list[tuple[int, int]]:
        """The numbers of the buffers that are nothing before and after the loop, and how many bytes each takes: whole cache lines."""
        row = self.laid.batch * self.laid.dtype.itemsize
        return [(b.number, -(-b.width * row // CACHE_LINE) * CACHE_LINE) for b in layout.buffers if b in code.buffers and b not in arrays]

    def forward(self, states: list[Array], products: Any) -> tuple[list[Array], list[Array]]:
        native = self.laid
        arrays = self._inputs(native.forward_half)
        outputs = self._make_room(arrays, states)
        shards = _shards(native, self.length, thresholds.PARALLEL_FORWARD_MIN_WORK)
        parts, _memory = self._prepared(native.forward, native.forward_layout, arrays, shards)
        products.run()
        run_parallel(native.forward.address, parts)
        return self._results(outputs)

    def _inputs(self, half: Half) -> dict[Buffer, Array]:
        arrays = {half.places[v].buffer: array for v, array in self.given.items()}
        for (v, transposed), buffer in half.packed.items():
            arrays[buffer] = packed(self.given[v], buffer.width, transposed)
        return arrays

    def backward(self, outputs: list[Any], states: list[Any], totals: dict[Any, Array], products: Any) -> tuple[list[Any], list[Any]]:
        native = self.laid
        assert native.backward is not None
        arrays = self._inputs(native.backward_half)
        self._give_back(arrays, outputs, states)
        shards = _shards(native, self.length, thresholds.PARALLEL_BACKWARD_MIN_WORK)
        sums = []
        for sink, place in native.sum_places.items():
            sums.append(place.buffer)
            arrays[place.buffer] = totals[sink] if sink in totals else numpy.zeros((len(shards), place.buffer.width), native.dtype)
        products.after(native.backward.address, *self._prepared(native.backward, native.backward_layout, arrays, shards, sums))
        self._sink(arrays, totals, products)
        return self._residuals(arrays)

    # -- memory ----------------------------------------------------------------------------------------------------------------------

    def _empty(self, buffer: Buffer, slots: int) -> Array:
        return self.backend.empty((slots, self.laid.batch, buffer.width), self.laid.dtype)

    def _make_room(self, arrays: dict[Buffer, Array], firsts: list[Array]) -> list[Array]:
        """Memory for the forward loop, with the first states in it; returns that of the outputs."""
        laid, program = self.laid, self.laid.plan.joint
        self.states = [self._empty(place.buffer, self.steps + 1 if laid.training else 2) for place in laid.state_places]
        for array, place, first in zip(self.states, laid.state_places, firsts, strict=True):
            array[0] = first.reshape(array.shape[1:])
            arrays[place.buffer] = array
        own = {v: place.buffer for v, place in laid.stashed.items() if place.buffer.inside is None}
        self.stash = {v: self._empty(buffer, self.steps) for v, buffer in own.items()}
        arrays.update({buffer: self.stash[v] for v, buffer in own.items()})
        outputs = []
        for v, home in zip(program.outputs, laid.output_places, strict=True):
            if home is None:  # a state, in the order of running
                outputs.append(self.states[program.carried.index(v)][1:])
            else:
                outputs.append(self._empty(home.buffer, self.steps))
                arrays[home.buffer] = outputs[-1]
        return outputs

    def _results(self, outputs: list[Array]) -> tuple[list[Array], list[Array]]:
        """The outputs in the order of time, (T, …) each, and the last states."""
        laid, program = self.laid, self.laid.plan.joint
        if self.step < 0:
            outputs = [y[::-1].copy() if home is None else y for y, home in zip(outputs, laid.output_places, strict=True)]
        end = self.steps if laid.training else self.steps % 2
        last = [array[end].copy().reshape(program.shapes[v]) for array, v in zip(self.states, program.states, strict=True)]
        return [y.reshape(self.steps, *program.shapes[v]) for y, v in zip(outputs, program.outputs, strict=True)], last

    def _give_back(self, arrays: dict[Buffer, Array], outputs: list[Any], lasts: list[Any]) -> None:
        """Memory for the backward loop: what was kept, the residuals that arrived (zeros where none did), and those that are made."""
        laid, backend, dtype = self.laid, self.backend, self.laid.dtype
        arrays.update({place.buffer: array for place, array in zip(laid.back_states, self.states, strict=True)})
        arrays.update({laid.back_stash[v].buffer: array for v, array in self.stash.items()})
        for home, residual in zip(laid.back_outputs, outputs, strict=True):
            if home is not None:
                whole = (self.steps, laid.batch, home.buffer.width)
                arrays[home.buffer] = backend.zeros(whole, dtype) if residual is None else backend.ascontiguousarray(residual, dtype)
        for buffer, residual in zip(laid.carries, lasts, strict=True):
            lone = buffer.slot == "time"
            arrays[buffer] = backend.zeros((self.steps if lone else 2, laid.batch, buffer.width), dtype)
            if residual is not None:
                at = self.steps % 2 if not lone else self.steps - 1 if self.step > 0 else 0
                arrays[buffer][at] = residual.reshape(laid.batch, buffer.width)
        for home in (*laid.back_steps, *laid.operand_places.values()):
            if home is not None and home.buffer not in arrays and home.buffer.inside is None:
                arrays[home.buffer] = self._empty(home.buffer, self.steps)

    def _residuals(self, arrays: dict[Buffer, Array]) -> tuple[list[Any], list[Any]]:
        """Those of streams and first states; None where there is none."""
        laid, program = self.laid, self.laid.plan.joint
        streams = [
            None if place is None else _array(place.buffer, arrays).reshape(self.steps, *program.shapes[v])
            for place, v in zip(laid.back_steps, program.steps, strict=True)
        ]
        firsts = [
            None if r is None else arrays[buffer][0].reshape(program.shapes[v])
            for buffer, r, v in zip(laid.carries, laid.plan.state_residuals, program.states, strict=True)
        ]
        return streams, firsts

    def _sink(self, arrays: dict[Buffer, Array], totals: dict[Any, Array], products: Any) -> None:
        """Add what fixed values get: one product over all steps for each weighting, what the loop added up for each sum."""
        for sink in itertools.chain(*self.laid.plan.sinks.values()):
            if sink.kind == "sum":
                totals[sink] = arrays[self.laid.sum_places[sink].buffer]
            else:
                left, right = (self._all_steps(v, arrays) for v in sink.values)
                totals[sink] = products.over_rows(left, right, totals.get(sink), -self.step)

    def _all_steps(self, value: int, arrays: dict[Buffer, Array]) -> Array:
        """(T·B, n): a value at all steps, in the order of time."""
        place = self.laid.operand_places[value]
        array = _array(place.buffer, arrays)
        if place.slot != "time":  # states lie in the order of running
            array = array[1:] if place.slot == "after" else array[:-1]
            array = array if self.step > 0 else array[::-1]
        return array.reshape(self.steps * self.laid.batch, place.buffer.width)


def _array(buffer: Buffer, arrays: dict[Buffer, Array]) -> Array:
    """The array of a buffer, or the columns of the one that it lies in."""
    if buffer.inside is None:
        return arrays[buffer]
    outer, column = buffer.inside
    return arrays[outer][..., column : column + buffer.width]


def _shards(native: NativePlan, steps: int, pays: int) -> list[tuple[int, int]]:
    """How the rows of the batch are split over threads."""
    alone = native.work * native.batch * steps <= pays
    return shares(native.batch, 1 if alone else max(1, min(threads(), native.batch // 2)))
