"""One scan with its values laid out in memory: what is the same for machine code and for kernels of a
device."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from ..backends import Array, Backend
from .gradient_terms import over_steps
from .interpreter import InterpretedRun
from .nest_layout import NestLayout, Part
from .nests import Buffer


class LaidOutRun:
    """One scan in loop nests; the same interface as :class:`InterpretedRun`.

    Memory, and the order of all that happens, is the same for every engine; how a half runs is told by
    ``_call``.
    """

    def __init__(
        self,
        laid: NestLayout,
        backend: Backend,
        streams: list[Array],
        fixed: list[Array],
        order: range,
        length: int,
    ) -> None:
        self.laid = laid
        self.backend = backend
        self.steps: int = len(order)
        self.step: int = order.step
        self.length = length
        self._again = functools.partial(InterpretedRun, laid.plan, backend, streams, fixed, order, length)
        program = laid.program
        given = [*streams, *fixed, *laid.plan.constants]
        self.given: dict[int, Array] = {}
        for v, x in zip((*program.steps, *program.fixed), given, strict=True):
            self.given[v] = x.T if v in laid.transposed else x  # may be pending: copied in ``forward``

    def _call(
        self,
        part: Part,
        arrays: dict[int, Array],
        times: tuple[int, int],
        order: tuple[int, int],
        products: Any,
    ) -> bool:
        """Run a half; whether all numbers lay in their ranges.

        Args:
            arrays: by the number of their buffer; of what is a thread's own, for all threads.
            times, order: the first step and the next one's distance, in time and in the order of running.
            products: what waits until the half is done; None where the caller does.
        """
        raise NotImplementedError

    def _threads(self, part: Part) -> int:
        """How many share the samples."""
        raise NotImplementedError

    def _room(self, v: int, slots: int) -> Array:
        """Memory for a value, so many times."""
        raise NotImplementedError

    def _half(self, part: Part, arrays: dict[int, Array], products: Any = None) -> bool:
        """Run a half, the backward one where there are products, which are to read what it makes."""
        if not self.steps:
            return True
        backwards, last = products is not None, self.steps - 1
        order = (last, -1) if backwards else (0, 1)
        times = (last if backwards == (self.step > 0) else 0, -self.step if backwards else self.step)
        return self._call(part, arrays, times, order, products)

    def forward(self, states: list[Array], products: Any) -> tuple[list[Array], list[Array]]:
        """From the first states to the outputs at all steps and the last states; once."""
        laid, program = self.laid, self.laid.program
        products.run()
        self.given = {v: self.backend.ascontiguousarray(x) for v, x in self.given.items()}
        arrays = {laid.forward_inputs[v].buffer.number: array for v, array in self.given.items()}
        self.states: list[Array] = [
            self._room(v, self.steps + 1 if laid.training else 2) for v in program.states
        ]
        for array, first in zip(self.states, states, strict=True):
            array[0] = first
        self._turns(arrays, laid.states, self.states, laid.forward)
        outputs = {v: self._room(v, self.steps) for v in laid.outputs}
        arrays.update({laid.outputs[v].number: array for v, array in outputs.items()})
        self.kept: dict[int, Array] = {v: self._room(v, self.steps) for v in laid.kept}
        arrays.update({laid.kept[v].number: array for v, array in self.kept.items()})
        if not self._half(laid.forward, arrays):
            self._again().forward(states, products)  # finds the number, and raises
        del self._again
        later = laid.backward.reads.union(laid.gathered) if laid.training else ()
        # the memory of others is free
        self.given = {v: array for v, array in self.given.items() if v in later}
        end = self.steps if laid.training else self.steps % 2
        last = [self._first(arrays, buffer)[end, ...].copy() for buffer in laid.states]
        results = []
        for i, v in enumerate(program.outputs):
            y = outputs[v] if v in outputs else self._all_states(v)
            results.append(y.copy() if v in program.outputs[:i] else y)
        return results, last

    def _all_states(self, v: int) -> Array:
        """A new state at all steps, in the order of time."""
        array = self._in_time(self.states[self.laid.program.carried.index(v)], "after")
        return array if self.step > 0 else array.copy()

    def _in_time(self, states: Array, slot: str) -> Array:
        """States before or after each step, which lie in the order of running, in that of time."""
        array = states[1:] if slot == "after" else states[:-1]
        return array if self.step > 0 else array[::-1]

    def _turns(
        self, arrays: dict[int, Array], buffers: Sequence[Buffer | None], own: Sequence[Array], part: Part
    ) -> None:
        """Lay down what takes turns, for each thread where it is its own."""
        for buffer, array in zip(buffers, own, strict=True):
            if buffer is not None:
                arrays[buffer.number] = (
                    self.backend.stack([array] * self._threads(part), 0) if buffer.own else array
                )

    def _first(self, arrays: dict[int, Array], buffer: Buffer) -> Array:
        """An array, of the first thread where each has one."""
        return arrays[buffer.number][0, ...] if buffer.own else arrays[buffer.number]

    def backward(
        self, outputs: list[Any], states: list[Any], totals: dict[Any, Array], products: Any
    ) -> tuple[list[Any], list[Any]]:
        laid = self.laid
        arrays = {laid.backward_inputs[v].buffer.number: array for v, array in self.given.items()}
        arrays.update(
            {buffer.number: array for buffer, array in zip(laid.back_states, self.states, strict=True)}
        )
        arrays.update({laid.back_kept[v].number: array for v, array in self.kept.items()})
        for buffer, residual, v in zip(laid.arriving, outputs, laid.plan.output_residuals, strict=True):
            if buffer is not None:
                arrays[buffer.number] = (
                    self._zeros(v, self.steps)
                    if residual is None
                    else self.backend.ascontiguousarray(residual)
                )
        carries = []
        for residual, v in zip(states, laid.program.states, strict=True):
            carries.append(self._zeros(v, 2))
            if residual is not None:
                carries[-1][self.steps % 2] = residual
        self._turns(arrays, laid.carries, carries, laid.backward)
        for buffer, v in zip(laid.leaving, laid.plan.step_residuals, strict=True):
            if buffer is not None:
                assert v is not None
                arrays[buffer.number] = self._room(v, self.steps)
        for v, place in laid.gathered.items():
            if place.buffer.number not in arrays:
                arrays[place.buffer.number] = self._room(v, self.steps)
        for term, buffer in laid.added.items():
            if buffer not in totals:
                shape = (
                    *([self._threads(laid.backward)] if buffer.own else []),
                    *laid.program.shapes[term.values[0]],
                )
                totals[buffer] = self.backend.zeros(shape, laid.program.dtypes[term.values[0]])
            arrays[buffer.number] = totals[buffer]  # sums go on from step to step, wherever steps are cut
        self._half(laid.backward, arrays, products)
        self._add_terms(arrays, totals, products)
        streams = [None if buffer is None else arrays[buffer.number] for buffer in laid.leaving]
        pairs = zip(laid.carries, laid.plan.state_residuals, strict=True)
        return streams, [
            None if r is None or buffer is None else self._first(arrays, buffer)[0, ...]
            for buffer, r in pairs
        ]

    def _zeros(self, v: int | None, slots: int) -> Array:
        assert v is not None
        program = self.laid.program
        return self.backend.zeros((slots, *program.shapes[v]), program.dtypes[v])

    def _add_terms(self, arrays: dict[int, Array], totals: dict[Any, Array], products: Any) -> None:
        """Add what fixed values get: one product over all steps for each weighting, what the loop added up
        for the rest."""
        laid = self.laid
        for term in laid.plan.all_terms:
            if term.gathered:
                left, right = (self._all_steps(v, arrays) for v in term.values)
                totals[term] = over_steps(products, term, left, right, totals.get(term), -self.step)
            else:
                totals[term] = totals[laid.added[term]]

    def _all_steps(self, v: int, arrays: dict[int, Array]) -> Array:
        """A value at all steps, in the order of time."""
        place = self.laid.gathered[v]
        array = arrays[place.buffer.number]
        return array if place.slot == "time" else self._in_time(array, place.slot)
