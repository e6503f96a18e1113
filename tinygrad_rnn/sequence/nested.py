"""Run a plan as loop nests: any cell whose rows say how they are written as loops, of any shapes and dtypes, on one thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from ..backends import Array, Backend
from ..backends.atoms import KINDS, kind_of
from ..backends.base import Unsupported
from ..backends.native.compiler import compiled
from ..backends.native.emit import tables
from ..backends.native.loops import Endings
from ..backends.native.memory import address, aligned, keep_memory, numbers
from ..backends.native.threads import run_parallel
from .elements import Elements
from .interpreter import InterpretedRun
from .nest_writer import NestWriter
from .nests import Buffer, Nests, Place, Wanted
from .plan import Plan, Sink
from .program import Instruction


@dataclass
class Part:
    """One half, compiled.

    Attributes:
        address: of the function.
        buffers: all that it uses, by number.
        nests: what it does.
        tables: arrays of places that it reads.
    """

    address: int
    buffers: list[Buffer]
    nests: Nests
    tables: dict[int, Array]


class NestPlan:
    """The layout and the code of a plan.

    Raises:
        Unsupported: one of its rows cannot be written as loops.
    """

    calls: Sequence[tuple[str, str, str]] = ()

    def __init__(self, plan: Plan) -> None:
        keep_memory()
        self.plan, self.program = plan, plan.joint
        self.training = plan.differentiated
        for shape, dtype in zip(self.program.shapes, self.program.dtypes, strict=True):
            kind_of(dtype)
            if 0 in shape:
                raise Unsupported(f"a value of shape {shape}")
        self._forward()
        if self.training:
            self._backward()
        self._compile()

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
        self.forward = self._part(plan.forward, places, wanted, buffers)

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
        self.arriving = [None if v is None else self._new(buffers, v) for v in plan.output_residuals]
        for v, buffer in zip(plan.output_residuals, self.arriving, strict=True):
            if v is not None and buffer is not None:
                places[v] = Place(buffer, "time")
        wanted: list[Wanted] = []
        self.carries: list[Buffer | None] = []
        for arriving, leaving in zip(plan.carried_residuals, plan.state_residuals, strict=True):
            v = leaving if arriving is None else arriving
            self.carries.append(None if v is None else self._new(buffers, v))
            if arriving is not None:
                places[arriving] = Place(self.carries[-1], "other")  # type: ignore[arg-type]
            if v is not None:
                wanted.append(Wanted(leaving, Place(self.carries[-1], "this")))  # type: ignore[arg-type]
        self.leaving = [None if v is None else self._new(buffers, v) for v in plan.step_residuals]
        for v, buffer in zip(plan.step_residuals, self.leaving, strict=True):
            if v is not None and buffer is not None:
                wanted.append(Wanted(v, Place(buffer, "time")))
        wanted += self._sinks(buffers, places)
        self.backward = self._part(plan.backward, places, wanted, buffers)

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

    def _part(self, instructions: Sequence[Instruction], places: dict[int, Place], wanted: list[Wanted], buffers: list[Buffer]) -> Part:
        elements = Elements(self.program, instructions, set(places))
        nests = Nests(elements, places, wanted, lambda kind, size: self._buffer(buffers, kind, size))
        arrays = {}
        for result, number in elements.tables.items():
            table = numpy.ascontiguousarray(elements.places(elements.made[result].instruction), numpy.int64)
            nests.homes[number] = Place(self._buffer(buffers, "i64", table.size), "fixed")
            arrays[nests.homes[number].buffer.number] = table
        return Part(0, buffers, nests, arrays)

    def _compile(self) -> None:
        parts = {"forward": self.forward} | ({"backward": self.backward} if self.training else {})
        endings = Endings()
        writers = {name: NestWriter(name, part.nests.elements, part.nests, endings) for name, part in parts.items()}
        self.text = "\n\n".join(writer.text(len(parts[name].buffers)) for name, writer in writers.items())
        self.text += tables(writer.e for writer in writers.values()) + endings.text()
        addresses = compiled(self.text, tuple(parts))
        for name, part in parts.items():
            part.address = addresses[name]

    def described(self) -> list[str]:
        """A line for each half."""
        parts = [("forward", self.forward)] + ([("backward", self.backward)] if self.training else [])
        return [f"  {name:<10} {len(part.nests.stages)} loop nests, on one thread" for name, part in parts]


class NestRun:
    """One scan in loop nests; the same interface as :class:`InterpretedRun`."""

    def __init__(self, laid: NestPlan, backend: Backend, streams: list[Array], fixed: list[Array], order: range, length: int) -> None:
        self.laid, self.backend = laid, backend
        self.steps, self.step = len(order), order.step
        self._again = (laid.plan, backend, streams, fixed, order, length)
        program = laid.program
        given = [*streams, *fixed, *laid.plan.constants]
        self.given = dict(zip((*program.steps, *program.fixed), map(numpy.ascontiguousarray, given), strict=True))

    def _call(self, part: Part, arrays: dict[int, Array], backwards: bool) -> bool:
        """Run a half; whether all numbers lay in their ranges."""
        if not self.steps:
            return True
        arrays = arrays | part.tables
        for buffer in part.buffers:
            if buffer.number not in arrays:  # nothing before and after the loop
                arrays[buffer.number] = aligned((buffer.size,), _DTYPES[buffer.kind])
        table, flag = numbers([address(arrays[buffer.number]) for buffer in part.buffers]), numbers([0])
        last = self.steps - 1
        places = (last, -1) if backwards else (0, 1)
        start = (last if self.step < 0 else 0) if not backwards else (0 if self.step < 0 else last)
        direction = -self.step if backwards else self.step
        arguments = (table.buffer_info()[0], self.steps, start, direction, *places, flag.buffer_info()[0])
        run_parallel(part.address, [arguments])
        return flag[0] == 0

    def _room(self, v: int, slots: int) -> Array:
        program = self.laid.program
        return aligned((slots, *program.shapes[v]), program.dtypes[v])

    def forward(self, states: list[Array], products: Any) -> tuple[list[Array], list[Array]]:
        laid, program = self.laid, self.laid.program
        products.run()
        arrays = {laid.forward_inputs[v].buffer.number: array for v, array in self.given.items()}
        self.states = [self._room(v, self.steps + 1 if laid.training else 2) for v in program.states]
        for array, buffer, first in zip(self.states, laid.states, states, strict=True):
            array[0] = first
            arrays[buffer.number] = array
        outputs = [self._room(v, self.steps) for v in program.outputs]
        arrays.update({buffer.number: array for buffer, array in zip(laid.outputs, outputs, strict=True)})
        self.kept = {v: self._room(v, self.steps) for v in laid.kept}
        arrays.update({laid.kept[v].number: array for v, array in self.kept.items()})
        if not self._call(laid.forward, arrays, backwards=False):
            plan, backend, *rest = self._again
            InterpretedRun(plan, backend, *rest).forward(states, products)  # finds the number, and raises
        end = self.steps if laid.training else self.steps % 2
        return outputs, [array[end].copy() for array in self.states]

    def backward(self, outputs: list[Any], states: list[Any], totals: dict[Any, Array], products: Any) -> tuple[list[Any], list[Any]]:
        laid = self.laid
        arrays = {laid.backward_inputs[v].buffer.number: array for v, array in self.given.items()}
        arrays.update({buffer.number: array for buffer, array in zip(laid.back_states, self.states, strict=True)})
        arrays.update({laid.back_kept[v].number: array for v, array in self.kept.items()})
        for buffer, residual, v in zip(laid.arriving, outputs, laid.plan.output_residuals, strict=True):
            if buffer is not None:
                arrays[buffer.number] = self._zeros(v, self.steps) if residual is None else numpy.ascontiguousarray(residual)
        for buffer, residual, pair in zip(laid.carries, states, self._residual_pairs(), strict=True):
            if buffer is not None:
                arrays[buffer.number] = self._zeros(pair, 2)
                if residual is not None:
                    arrays[buffer.number][self.steps % 2] = residual
        for buffer, v in zip(laid.leaving, laid.plan.step_residuals, strict=True):
            if buffer is not None:
                arrays[buffer.number] = self._room(v, self.steps)
        for v, buffer in laid.gathered.items():
            if buffer.number not in arrays:
                arrays[buffer.number] = self._room(v, self.steps)
        for sink, buffer in laid.added.items():
            arrays[buffer.number] = numpy.zeros(laid.program.shapes[sink.values[0]], laid.program.dtypes[sink.values[0]])
        self._call(laid.backward, arrays, backwards=True)
        self._sink(arrays, totals, products)
        streams = [None if buffer is None else arrays[buffer.number] for buffer in laid.leaving]
        pairs = zip(laid.carries, laid.plan.state_residuals, strict=True)
        return streams, [None if r is None or buffer is None else arrays[buffer.number][0] for buffer, r in pairs]

    def _residual_pairs(self) -> list[int | None]:
        pairs = zip(self.laid.plan.carried_residuals, self.laid.plan.state_residuals, strict=True)
        return [leaving if arriving is None else arriving for arriving, leaving in pairs]

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
                part = arrays[laid.added[sink].number]
                totals[sink] = totals[sink] + part if sink in totals else part


_DTYPES = {kind: numpy.dtype(name) for name, kind in KINDS.items()}
