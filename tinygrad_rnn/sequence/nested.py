"""Run a plan as loop nests: any cell whose rows say how they are written as loops, of any shapes and dtypes.

Threads share the samples of the batch where no sample sees another; else one thread does it all.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy

from ..backends import Array, Backend
from ..backends.atoms import KINDS, kind_of
from ..backends.base import Unsupported
from ..backends.native import thresholds
from ..backends.native.compiler import compiled
from ..backends.native.emit import tables
from ..backends.native.loops import ROWS, Endings
from ..backends.native.memory import address, aligned, keep_memory, numbers
from ..backends.native.threads import run_parallel, shares, threads
from .batch import PARTIAL, Axes, Batch, Mixed
from .elements import Elements
from .interpreter import InterpretedRun
from .nest_writer import NestWriter
from .nests import Buffer, Call, Nests, Place, Wanted
from .plan import Plan, Sink
from .program import Instruction, Number, on_arrays


@dataclass
class Part:
    """One half, compiled.

    Attributes:
        addresses: of the function; where rows are called, of what is done once and of the stretches between calls.
        calls: what is called between them.
        buffers: all that it uses, by number.
        nests: what it does.
        tables: arrays of places that it reads.
    """

    buffers: list[Buffer]
    nests: Nests
    tables: dict[int, Array]
    calls: list[Instruction]
    addresses: list[int] = field(default_factory=list)


class NestPlan:
    """The layout and the code of a plan.

    Raises:
        Unsupported: one of its rows cannot be written as loops.
    """

    def __init__(self, plan: Plan) -> None:
        keep_memory()
        self.plan, self.program = plan, plan.joint
        self.training = plan.differentiated
        for shape, dtype in zip(self.program.shapes, self.program.dtypes, strict=True):
            kind_of(dtype)
            if 0 in shape:
                raise Unsupported(f"a value of shape {shape}")
        try:
            self._halves(self._samples())
        except Mixed:
            self._halves(1)
        self._compile()

    def _samples(self) -> int:
        program = self.program
        return next((program.shapes[v][0] for v in (*program.steps, *program.states) if program.shapes[v]), 1)

    def _halves(self, samples: int) -> None:
        """Lay out both halves.

        Raises:
            Mixed: the samples meet.
        """
        self.samples = samples
        shapes, program = self.program.shapes, self.program
        self.axes: Axes = dict.fromkeys(range(len(shapes)))
        if samples > 1:
            self.axes |= {v: 0 for v in (*program.steps, *program.states) if shapes[v][:1] == (samples,)}
        self._forward()
        if self.training:
            self._backward()

    # -- where values lie -------------------------------------------------------------------------------------------------------------

    def _new(self, buffers: list[Buffer], v: int) -> Buffer:
        return self._buffer(buffers, kind_of(self.program.dtypes[v]), int(numpy.prod(self.program.shapes[v], dtype=numpy.int64)))

    def _buffer(self, buffers: list[Buffer], kind: str, size: int) -> Buffer:
        buffers.append(Buffer(len(buffers), kind, size))
        return buffers[-1]

    def _inputs(self, buffers: list[Buffer]) -> dict[int, Place]:
        program = self.program
        places = {v: Place(self._new(buffers, v), "time") for v in program.steps}
        return places | {v: Place(self._new(buffers, v), "fixed") for v in program.fixed}

    def _forward(self) -> None:
        plan, program = self.plan, self.program
        buffers: list[Buffer] = []
        places = self.forward_inputs = self._inputs(buffers)
        before, after = ("before", "after") if self.training else ("this", "other")
        wanted: list[Wanted] = []
        self.states = []
        for v, new in zip(program.states, program.carried, strict=True):
            places = places | {v: Place(self._new(buffers, v), before)}
            self.states.append(places[v].buffer)
            wanted.append(Wanted(new, Place(places[v].buffer, after)))
        self.outputs = [self._new(buffers, v) for v in program.outputs]
        wanted += [Wanted(v, Place(buffer, "time")) for v, buffer in zip(program.outputs, self.outputs, strict=True)]
        known = {*program.steps, *program.states, *program.fixed, *program.carried}
        self.kept = {v: self._new(buffers, v) for v in (plan.kept if self.training else ()) if v not in known}
        wanted += [Wanted(v, Place(buffer, "time")) for v, buffer in self.kept.items()]
        self.forward = self._part(plan.forward, places, wanted, list(zip(program.carried, program.states, strict=True)), buffers)

    def _backward(self) -> None:
        plan, program = self.plan, self.program
        buffers: list[Buffer] = []
        places = self._inputs(buffers)
        self.backward_inputs = dict(places)
        self.back_states = []
        for v, new in zip(program.states, program.carried, strict=True):
            self.back_states.append(self._new(buffers, v))
            places[v] = Place(self.back_states[-1], "before")
            places.setdefault(new, Place(self.back_states[-1], "after"))
        self.back_kept = {v: self._new(buffers, v) for v in self.kept}
        places |= {v: Place(buffer, "time") for v, buffer in self.back_kept.items()}
        pairs = zip((*plan.output_residuals, *plan.carried_residuals), (*program.outputs, *program.states), strict=True)
        self.axes |= {g: self.axes[v] for g, v in pairs if g is not None}
        self.arriving = [None if v is None else self._new(buffers, v) for v in plan.output_residuals]
        for g, buffer in zip(plan.output_residuals, self.arriving, strict=True):
            if g is not None and buffer is not None:
                places[g] = Place(buffer, "time")
        wanted: list[Wanted] = []
        self.carries: list[Buffer | None] = []
        for arriving, leaving in zip(plan.carried_residuals, plan.state_residuals, strict=True):
            like = leaving if arriving is None else arriving
            buffer = None if like is None else self._new(buffers, like)
            self.carries.append(buffer)
            if buffer is None or like is None:
                continue
            if arriving is not None:
                places[arriving] = Place(buffer, "other")
            wanted.append(Wanted(leaving, Place(buffer, "this"), like=like))
        self.leaving = [None if r is None else self._new(buffers, r) for r in plan.step_residuals]
        for r, buffer in zip(plan.step_residuals, self.leaving, strict=True):
            if r is not None and buffer is not None:
                wanted.append(Wanted(r, Place(buffer, "time")))
        wanted += self._sinks(buffers, places)
        self.backward = self._part(plan.backward, places, wanted, list(zip(plan.state_residuals, program.states, strict=True)), buffers)

    def _sinks(self, buffers: list[Buffer], places: dict[int, Place]) -> list[Wanted]:
        """What weights get: the operands of products are gathered, everything else is added up."""
        wanted: list[Wanted] = []
        self.gathered: dict[int, Buffer] = {}
        self.added: dict[Sink, Buffer] = {}
        for sink in (sink for sinks in self.plan.sinks.values() for sink in sinks):
            if sink.kind == "product":
                for v in sink.values:
                    if v in places and places[v].slot == "time":
                        self.gathered[v] = places[v].buffer
                    elif v not in self.gathered:
                        self.gathered[v] = self._new(buffers, v)
                        wanted.append(Wanted(v, Place(self.gathered[v], "time")))
            else:
                self.added[sink] = self._new(buffers, sink.values[0])
                wanted.append(Wanted(sink.values[0], Place(self.added[sink], "fixed"), added=True))
        return wanted

    # -- code -------------------------------------------------------------------------------------------------------------------------

    def _part(
        self,
        instructions: Sequence[Instruction],
        places: dict[int, Place],
        wanted: list[Wanted],
        turns: Sequence[tuple[int | None, int]],
        buffers: list[Buffer],
    ) -> Part:
        elements = Elements(self.program, instructions, set(places))
        batch: dict[int, int] = {}
        if self.samples > 1:
            axes = Batch(elements, self.samples, {v: self.axes[v] for v in places}).axes
            self.axes |= axes
            self._check(wanted, turns)
            batch = {v: axis for v, axis in axes.items() if axis is not None and axis != PARTIAL}
        nests = Nests(elements, places, wanted, batch, lambda kind, size: self._buffer(buffers, kind, size))
        arrays = {}
        for result, number in elements.tables.items():
            table = numpy.ascontiguousarray(elements.places(elements.made[result].instruction), numpy.int64)
            nests.homes[number] = Place(self._buffer(buffers, "i64", table.size), "fixed")
            arrays[nests.homes[number].buffer.number] = table
        return Part(buffers, nests, arrays, [nest.instruction for nest in nests.stages if isinstance(nest, Call)])

    def _check(self, wanted: Sequence[Wanted], turns: Sequence[tuple[int | None, int]]) -> None:
        """See that every sample leaves where it belongs.

        Args:
            turns: what comes in the place of what, at the next step.

        Raises:
            Mixed: one does not.
        """
        for w in wanted:
            axis = None if w.value is None else self.axes[w.value]
            if (w.added and axis is None) or (not w.added and axis == PARTIAL):
                raise Mixed
        for v, home in turns:
            if v is not None and self.axes[v] != self.axes[home]:
                raise Mixed

    def _compile(self) -> None:
        parts = {"forward": self.forward} | ({"backward": self.backward} if self.training else {})
        endings = Endings()
        writers = {name: NestWriter(name, part.nests.elements, part.nests, self.samples, endings) for name, part in parts.items()}
        self.text = "\n\n".join(text for name, writer in writers.items() for text in writer.functions(len(parts[name].buffers)))
        self.text += tables(writer.e for writer in writers.values()) + endings.text()
        names = {name: [name] if not part.calls else [f"{name}{i}" for i in range(len(part.calls) + 2)] for name, part in parts.items()}
        addresses = compiled(self.text, tuple(itertools.chain(*names.values())))
        for name, part in parts.items():
            part.addresses = [addresses[function] for function in names[name]]
        self.calls = [(i.row.name, "it is no loops", "") for part in parts.values() for i in part.calls]

    def described(self) -> list[str]:
        """A line for each half."""
        parts = [("forward", self.forward)] + ([("backward", self.backward)] if self.training else [])
        shared = "threads share the samples" if self.samples > 1 else "on one thread"
        return [f"  {name:<10} {len(part.nests.stages)} loop nests, {shared}" for name, part in parts]


class NestRun:
    """One scan in loop nests; the same interface as :class:`InterpretedRun`."""

    def __init__(self, laid: NestPlan, backend: Backend, streams: list[Array], fixed: list[Array], order: range, length: int) -> None:
        self.laid, self.backend = laid, backend
        self.steps, self.step, self.length = len(order), order.step, length
        self._again = functools.partial(InterpretedRun, laid.plan, backend, streams, fixed, order, length)
        program = laid.program
        given = [*streams, *fixed, *laid.plan.constants]
        self.given = dict(zip((*program.steps, *program.fixed), map(numpy.ascontiguousarray, given), strict=True))

    def _call(self, part: Part, arrays: dict[int, Array], backwards: bool, apart: Sequence[int] = ()) -> bool:
        """Run a half; whether all numbers lay in their ranges.

        Args:
            apart: what the threads add up, (threads, …) each.
        """
        if not self.steps:
            return True
        arrays = arrays | part.tables
        last = self.steps - 1
        order = (last, -1) if backwards else (0, 1)
        times = (last if backwards == (self.step > 0) else 0, -self.step if backwards else self.step)
        parts, held = [], []
        for shard, samples in enumerate(self._shards(part)):
            own = {number: array[shard, ...] if number in apart else array for number, array in arrays.items()}
            for buffer in part.buffers:
                if buffer.number not in own:  # nothing before and after the loop
                    own[buffer.number] = aligned((buffer.size,), _DTYPES[buffer.kind])
            flag = numbers([0])
            table = numbers([*(address(own[buffer.number]) for buffer in part.buffers), flag.buffer_info()[0]])
            parts.append((table.buffer_info()[0], self.steps, *times, *order, *samples))
            held.append((own, table, flag))
        if part.calls:
            self._between_calls(part, arrays | held[0][0], parts[0])
        else:
            run_parallel(part.addresses[0], parts)
        return not any(flag[0] for _, _, flag in held)

    def _between_calls(self, part: Part, arrays: dict[int, Array], arguments: tuple[int, ...]) -> None:
        """Step by step: stretches of machine code, and rows that are called between them."""
        table, steps, t, dt, at, dat, *samples = arguments
        once, first, *others = part.addresses
        run_parallel(once, [(table, 1, t, 0, at, 0, *samples)])
        call = on_arrays(self.backend)
        for step in range(steps):
            now = t + step * dt, at + step * dat
            run_parallel(first, [(table, 1, now[0], 0, now[1], 0, *samples)])
            for instruction, address_after in zip(part.calls, others, strict=True):
                xs = [x.value if isinstance(x, Number) else self._view(part, arrays, x, *now) for x in instruction.operands]
                self._view(part, arrays, instruction.results[0], *now)[...] = call(instruction.row, xs, instruction.params)
                run_parallel(address_after, [(table, 1, now[0], 0, now[1], 0, *samples)])

    def _view(self, part: Part, arrays: dict[int, Array], v: int, t: int, at: int) -> Array:
        """A value in memory at a step."""
        home = part.nests.homes[v]
        slots = {"time": t, "before": at, "after": at + 1, "this": at % 2, "other": (at + 1) % 2}
        array = arrays[home.buffer.number]
        return (array[slots[home.slot], ...] if home.slot in slots else array).reshape(part.nests.elements.shapes[v])

    def _shards(self, part: Part) -> list[tuple[int, int]]:
        """The samples of each thread: whole tiles of rows."""
        samples = self.laid.samples
        alone = bool(part.calls) or part.nests.work * self.length <= thresholds.PARALLEL_FORWARD_MIN_WORK
        tiles = -(-samples // ROWS)
        return [(ROWS * first, min(ROWS * last, samples)) for first, last in shares(tiles, 1 if alone else max(1, min(threads(), tiles)))]

    def _room(self, v: int, slots: int) -> Array:
        program = self.laid.program
        return aligned((slots, *program.shapes[v]), program.dtypes[v])

    def forward(self, states: list[Array], products: Any) -> tuple[list[Array], list[Array]]:
        laid, program = self.laid, self.laid.program
        products.run()
        arrays = {laid.forward_inputs[v].buffer.number: array for v, array in self.given.items()}
        self.states = [self._room(v, self.steps + 1 if laid.training else 2) for v in program.states]
        for array, first in zip(self.states, states, strict=True):
            array[0] = first
        apart = [] if laid.training else self._apart(program.states, laid.states, self.states, laid.forward)
        arrays.update({buffer.number: array for buffer, array in zip(laid.states, self.states, strict=True)})
        outputs = [self._room(v, self.steps) for v in program.outputs]
        arrays.update({buffer.number: array for buffer, array in zip(laid.outputs, outputs, strict=True)})
        self.kept = {v: self._room(v, self.steps) for v in laid.kept}
        arrays.update({laid.kept[v].number: array for v, array in self.kept.items()})
        if not self._call(laid.forward, arrays, backwards=False, apart=apart):
            self._again().forward(states, products)  # finds the number, and raises
        end = self.steps if laid.training else self.steps % 2
        whole = [array[0, ...] if buffer.number in apart else array for array, buffer in zip(self.states, laid.states, strict=True)]
        return outputs, [array[end, ...].copy() for array in whole]

    def _apart(self, values: Sequence[int], buffers: Sequence[Buffer | None], arrays: list[Array], part: Part) -> list[int]:
        """Give each thread its own of what takes turns and has no samples; the numbers of these buffers."""
        numbers, threads = [], len(self._shards(part))
        for i, (v, buffer) in enumerate(zip(values, buffers, strict=True)):
            if buffer is not None and threads > 1 and self.laid.axes[v] is None:
                arrays[i] = numpy.stack([arrays[i]] * threads)
                numbers.append(buffer.number)
        return numbers

    def backward(self, outputs: list[Any], states: list[Any], totals: dict[Any, Array], products: Any) -> tuple[list[Any], list[Any]]:
        laid = self.laid
        arrays = {laid.backward_inputs[v].buffer.number: array for v, array in self.given.items()}
        arrays.update({buffer.number: array for buffer, array in zip(laid.back_states, self.states, strict=True)})
        arrays.update({laid.back_kept[v].number: array for v, array in self.kept.items()})
        for buffer, residual, v in zip(laid.arriving, outputs, laid.plan.output_residuals, strict=True):
            if buffer is not None:
                arrays[buffer.number] = self._zeros(v, self.steps) if residual is None else numpy.ascontiguousarray(residual)
        carries = []
        for residual, v in zip(states, laid.program.states, strict=True):
            carries.append(self._zeros(v, 2))
            if residual is not None:
                carries[-1][self.steps % 2] = residual
        apart = self._apart(laid.program.states, laid.carries, carries, laid.backward)
        arrays.update({buffer.number: array for buffer, array in zip(laid.carries, carries, strict=True) if buffer is not None})
        for buffer, v in zip(laid.leaving, laid.plan.step_residuals, strict=True):
            if buffer is not None:
                assert v is not None
                arrays[buffer.number] = self._room(v, self.steps)
        for v, buffer in laid.gathered.items():
            if buffer.number not in arrays:
                arrays[buffer.number] = self._room(v, self.steps)
        for sink, buffer in laid.added.items():
            shape = (len(self._shards(laid.backward)), *laid.program.shapes[sink.values[0]])
            arrays[buffer.number] = numpy.zeros(shape, laid.program.dtypes[sink.values[0]])
        self._call(laid.backward, arrays, backwards=True, apart=[*apart, *(buffer.number for buffer in laid.added.values())])
        self._sink(arrays, totals, products)
        streams = [None if buffer is None else arrays[buffer.number] for buffer in laid.leaving]
        firsts = [
            array[0, ...] if buffer and buffer.number in apart else array for array, buffer in zip(carries, laid.carries, strict=True)
        ]
        return streams, [None if r is None else x[0, ...] for x, r in zip(firsts, laid.plan.state_residuals, strict=True)]

    def _zeros(self, v: int | None, slots: int) -> Array:
        assert v is not None
        program = self.laid.program
        return numpy.zeros((slots, *program.shapes[v]), program.dtypes[v])

    def _sink(self, arrays: dict[int, Array], totals: dict[Any, Array], products: Any) -> None:
        """Add what fixed values get: one product over all steps for each weighting, what the loop added up for the rest."""
        laid, program = self.laid, self.laid.program
        for sink in (sink for sinks in laid.plan.sinks.values() for sink in sinks):
            if sink.kind == "product":
                left, right = (arrays[laid.gathered[v].number].reshape(-1, program.shapes[v][-1]) for v in sink.values)
                totals[sink] = products.over_rows(left, right, totals.get(sink), -self.step)
            else:
                part = numpy.asarray(arrays[laid.added[sink].number].sum(0))
                totals[sink] = totals[sink] + part if sink in totals else part


_DTYPES = {kind: numpy.dtype(name) for name, kind in KINDS.items()}
