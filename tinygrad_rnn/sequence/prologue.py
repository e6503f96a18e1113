"""What a plan takes out of the loop: what is computed before it, for all steps at once, and how residuals go
back through that after it.

Both are differentiated once, by the same rows as the step, into two straight lines of calls; a run records
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import ops
from ..backends import Backend
from ..errors import TraceError
from ..tape import Node, apply, choose, recording
from .hoist import LoopBody
from .plan import Derived, Plan, check_order, derive, dummy
from .program import Instruction, Number, on_arrays, placeholder, tracing

Applied = Callable[[Instruction, Sequence[Any]], Any]


class Prologue:
    """Before and after the loop, for a number of steps; its inputs are the steps' inputs and the tensors from
    outside.

    The steps lie under each other, (T · B, …), since what is hoisted works on rows.

    Args:
        wanted: for each input whether its residual is asked for.
        arriving: for each of the loop's streams and constants whether a residual comes out of the loop.
    """

    def __init__(
        self, body: LoopBody, backend: Backend, steps: int, wanted: Sequence[bool], arriving: Sequence[bool]
    ) -> None:
        self.body = body
        self.backend = backend
        whole, loop = body.whole, body.program
        inputs = [*whole.steps, *whole.fixed]
        with tracing(), recording(), backend.quiet():

            def place(program: Any, value: int, stream: bool, want: bool) -> Any:
                shape = _stacked(program.shapes[value], steps) if stream else program.shapes[value]
                return placeholder(dummy(shape, program.dtypes[value], backend), backend, want)

            heads = [
                place(whole, v, i < len(whole.steps), want)
                for i, (v, want) in enumerate(zip(inputs, wanted, strict=True))
            ]
            fed = [*((v, True) for v in loop.steps[: len(body.per_step)]), *((v, False) for v in loop.fixed)]
            residuals = [
                place(loop, v, stream, True) if come else None
                for (v, stream), come in zip(fed, arriving, strict=True)
            ]

            def run() -> list[Any]:
                values = dict(zip(inputs, heads, strict=True))
                whole.run(values, apply, [*body.preamble, *body.hoisted], choose)
                constants = [
                    values[g[0]] if len(g) == 1 else ops.concatenate([values[v] for v in g], 1)
                    for g in body.invariant
                ]
                return [*(values[v] for v in body.per_step), *constants]

            self.derived: Derived = derive(run, heads, [], [], residuals)
        self.stacked: set[int] = set()
        self.contractions: set[int] = set()
        self.transposed: set[int] = set()
        self.each: list[Instruction] = []
        self.last: list[Instruction] = []
        self.kept: set[int] = set()

    def key(self) -> Any:
        """Equal for numbers of steps that all is the same for."""
        constants = [(x.shape, x.dtype, self.backend.to_host(x).tobytes()) for x in self.derived.constants]
        return self.derived.program.key()[4:], constants  # without shapes and dtypes

    def part(self, stacked: set[int]) -> None:
        """Part the backward instructions into those of the steps, which may be run for some steps at a time,
        and those after them.

        Raises:
            TraceError: what comes after goes back to the steps.
        """
        late = set(self.derived.program.states) - stacked
        for instruction in self.derived.backward:
            operands = {v for v in instruction.operands if not isinstance(v, Number)}
            if operands & late:
                self.last.append(instruction)
                late.update(instruction.results)
            else:
                self.each.append(instruction)
                if operands & stacked and not stacked.issuperset(instruction.results):
                    self.contractions.update(instruction.results)
                    late.update(instruction.results)
        if late & stacked:
            raise TraceError("what is computed for all steps at once depends on a sum over them")
        made = {v for i in self.derived.backward for v in i.results}
        uses = [(v, i.row) for i in self.last for v in i.operands if not isinstance(v, Number)]
        self.transposed = {
            v
            for v in self.contractions
            if (readers := [row for u, row in uses if u == v]) and all(row.permutes for row in readers)
        }
        self._check()
        # a forward pass alone is not compared to another one
        self.stacked = stacked if self.derived.program.states else set()
        self.kept = {v for i in self.derived.backward for v in i.operands if type(v) is int} - made

    def _check(self) -> None:
        """See that every value is there when it is read.

        Raises:
            TraceError: one is not.
        """
        derived, program = self.derived, self.derived.program
        known = check_order(derived.forward, {*program.steps, *program.fixed}, derived.results)
        steps = len(self.body.whole.steps)
        known = check_order(
            self.each, {*known, *program.states}, [r for r in derived.residuals[:steps] if r is not None]
        )
        check_order(self.last, known, [r for r in derived.residuals if r is not None])

    def before(
        self, arrays: Sequence[Any], products: Any, apply: Applied | None = None
    ) -> tuple[list[Any], dict[int, Any]]:
        """The streams, (T, B, …), and constants that the loop reads; and what goes back through this needs of
        it.

        Some are pending in ``products`` until those are run.

        Args:
            apply: runs an instruction on its operands; by default on arrays, with nothing recorded.
        """
        derived, body = self.derived, self.body
        steps = len(body.whole.steps)
        rows = [_rows(x, body.whole.shapes[v]) for x, v in zip(arrays[:steps], body.whole.steps, strict=True)]
        values: dict[int, Any] = dict(zip(derived.program.steps, [*rows, *arrays[steps:]], strict=True))
        constants = derived.constants if apply is None else self._tensors()
        values.update(zip(derived.program.fixed, constants, strict=True))
        self._run(derived.forward, values, products, {}, 1, apply)
        products.start()
        made = [values[v] for v in derived.results]
        times = len(arrays[0]) if steps else 0
        streams = [x.reshape(times, *body.whole.shapes[v]) for x, v in zip(made, body.per_step, strict=False)]
        return [*streams, *made[len(streams) :]], {v: values[v] for v in self.kept if v in values}

    def through(
        self,
        kept: dict[int, Any],
        streams: Sequence[Any],
        totals: dict[Any, Any],
        products: Any,
        order: int,
        apply: Applied | None = None,
    ) -> list[Any]:
        """The residuals of the steps' inputs from those of the streams; None where none is asked for or none
        arrives.

        Some are pending in ``products`` until those are run.

        Args:
            kept: what ``before`` kept; grows.
            totals: sums over the steps so far; grows.
            order: 1 if the next steps come after these, −1 if they come before.
            apply: as of :meth:`before`.
        """
        shapes, times = self.body.whole.shapes, next((len(g) for g in streams if g is not None), 0)
        rows = [
            _rows(g, shapes[v]) for g, v in zip(streams, self.body.per_step, strict=True) if g is not None
        ]
        kept.update(zip(self.derived.program.states, rows, strict=False))
        self._run(self.each, kept, products, totals, order, apply)
        found = zip(self.derived.residuals, self.body.whole.steps, strict=False)
        return [None if r is None else kept[r].reshape(times, *shapes[v]) for r, v in found]

    def after(
        self, kept: dict[int, Any], fixed: Sequence[Any], products: Any, apply: Applied | None = None
    ) -> list[Any]:
        """The residuals of the tensors from outside, from those of the loop's constants and the totals, after
        all steps.

        Some are pending in ``products`` until those are run.
        """
        states = [v for v in self.derived.program.states if v not in self.stacked]
        kept.update(zip(states, [g for g in fixed if g is not None], strict=True))
        self._run(self.last, kept, products, {}, 1, apply)
        return [None if r is None else kept[r] for r in self.derived.residuals[len(self.body.whole.steps) :]]

    def _tensors(self) -> list[Any]:
        return [Node.result_type(x, self.backend) for x in self.derived.constants]

    def _run(
        self,
        instructions: Sequence[Instruction],
        values: dict[int, Any],
        products: Any,
        totals: dict[Any, Any],
        order: int,
        apply: Applied | None,
    ) -> None:
        """Interpret, with products that wait for each other; only transposes do not wait for them."""
        at_once = self._at_once if apply is None else apply
        for instruction in instructions:
            row, (result, *_) = instruction.row, instruction.results
            xs: list[Any] = [v.value if type(v) is Number else values[v] for v in instruction.operands]
            passes = apply is None or not instruction.stopped  # only ``apply`` records that no residual does
            if passes and result in self.contractions:
                if row.multiplies_matrices and result in self.transposed:  # made as the transpose is to lie
                    totals[result] = products.over_rows(xs[1], xs[0].T, totals.get(result), order)
                    values[result] = totals[result].T
                elif row.multiplies_matrices:
                    values[result] = totals[result] = products.over_rows(
                        xs[0].T, xs[1], totals.get(result), order
                    )
                else:
                    products.run()
                    values[result] = totals[result] = _added(at_once(instruction, xs), totals.get(result))
            elif passes and row.multiplies_matrices:
                values[result] = products.rowwise(*xs) if result in self.stacked else products.matmul(*xs)
            elif passes and row.permutes:
                values[result] = xs[0].transpose(*instruction.params)
            else:
                products.run()
                y = at_once(instruction, xs)
                values.update(zip(instruction.results, y if type(y) is tuple else (y,), strict=True))

    def _at_once(self, instruction: Instruction, xs: Sequence[Any]) -> Any:
        return on_arrays(self.backend)(instruction.row, xs, instruction.params)


def _added(part: Any, total: Any) -> Any:
    return part if total is None else total + part


def _stacked(shape: tuple[int, ...], steps: int) -> tuple[int, ...]:
    return (steps * shape[0], *shape[1:]) if len(shape) > 1 else (steps, *shape)


def _rows(x: Any, shape: tuple[int, ...]) -> Any:
    """All steps of a value with rows under each other."""
    return x.reshape(len(x) * shape[0], *shape[1:]) if len(shape) > 1 else x


def prologue_of(plan: Plan, backend: Backend, steps: int, wanted: Sequence[bool]) -> Prologue:
    """What is around the loop of a plan: for any number of steps the same, unless a rule names the number of
    rows."""
    known = plan.prologues
    found = known.get(0) or known.get(steps)
    if found is not None:
        return found
    body = plan.body
    arriving = [r is not None for r in plan.step_residuals[: len(body.per_step)]] or [False] * len(
        body.per_step
    )
    arriving += [v in plan.terms for v in plan.joint.fixed[: len(body.program.fixed)]]
    # at a single step of a single row nothing is broadcast
    two, three = (Prologue(body, backend, n, wanted, arriving) for n in (2, 3))
    place, here = (
        (0, two) if two.key() == three.key() else (steps, Prologue(body, backend, steps, wanted, arriving))
    )
    shapes = zip(two.derived.program.shapes, three.derived.program.shapes, strict=True)
    here.part({v for v, (a, b) in enumerate(shapes) if a != b})
    return known.share(place, here)
