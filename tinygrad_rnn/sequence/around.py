"""What a plan takes out of the loop: what is computed before it, for all steps at once, and how residuals go back through that after it.

Both are differentiated once, by the same rows as the step, into two straight lines of calls; a run records nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import ops
from ..backends import Array, Backend
from ..tape import apply, choose, recording
from .plan import Core, Plan, derive, dummy
from .program import gathering, placeholder, tracing


class Around:
    """Before and after the loop, for a number of steps; its inputs are the steps' inputs and the tensors from outside.

    The steps lie under each other, (T · B, n), since what is hoisted works on rows.

    Args:
        wanted: for each input whether its residual is asked for.
        arriving: for each of the loop's streams and constants whether a residual comes out of the loop.
    """

    def __init__(self, core: Core, backend: Backend, steps: int, wanted: Sequence[bool], arriving: Sequence[bool]) -> None:
        self.core, self.backend = core, backend
        whole, loop = core.whole, core.program
        inputs = [*whole.steps, *whole.fixed]
        with tracing(), recording(), backend.quiet():

            def place(program: Any, value: int, stream: bool, want: bool) -> Any:
                shape = _stacked(program.shapes[value], steps) if stream else program.shapes[value]
                return placeholder(dummy(shape, program.dtypes[value], backend), backend, want)

            heads = [place(whole, v, i < len(whole.steps), want) for i, (v, want) in enumerate(zip(inputs, wanted, strict=True))]
            fed = [*((v, True) for v in loop.steps[: len(core.streams)]), *((v, False) for v in loop.fixed)]
            residuals = [place(loop, v, stream, False) if come else None for (v, stream), come in zip(fed, arriving, strict=True)]

            def run() -> list[Any]:
                values = dict(zip(inputs, heads, strict=True))
                whole.run(values, apply, [*core.once, *core.hoisted], choose)
                constants = [values[g[0]] if len(g) == 1 else ops.concatenate([values[v] for v in g], 1) for g in core.constants]
                return [*(values[v] for v in core.streams), *constants]

            self.derived = derive(run, heads, [], [], residuals)
        made = {v for i in self.derived.backward for v in i.results}
        self.kept = {v for i in self.derived.backward for v in i.operands if type(v) is int} - made

    def key(self) -> Any:
        """Equal for numbers of steps that all is the same for."""
        return self.derived.program.key()[4:]  # without shapes and dtypes

    def before(self, arrays: Sequence[Array], products: Any) -> tuple[list[Array], dict[int, Array]]:
        """The streams, (T, B, …), and constants that the loop reads; and what ``after`` needs of it."""
        derived, core = self.derived, self.core
        steps = len(core.whole.steps)
        rows = [_rows(x, core.whole.shapes[v]) for x, v in zip(arrays[:steps], core.whole.steps, strict=True)]
        values: dict[int, Any] = dict(zip(derived.program.steps, [*rows, *arrays[steps:]], strict=True))
        derived.program.run(values, gathering(products, self.backend), derived.forward)
        products.run()
        made = [values[v] for v in derived.results]
        times = len(arrays[0])
        streams = [x.reshape(times, *core.whole.shapes[v]) for x, v in zip(made, core.streams, strict=False)]
        return [*streams, *made[len(streams) :]], {v: values[v] for v in self.kept if v in values}

    def after(self, kept: dict[int, Array], arrived: Sequence[Any], products: Any) -> list[Any]:
        """The residuals of the inputs from those that the loop leaves; None where none is asked for or none arrives.

        Some are promised by ``products`` until those are run.
        """
        derived, core = self.derived, self.core
        given = iter(arrived)
        streams = [next(given) for _ in core.streams]
        times = next((len(g) for g in streams if g is not None), 0)
        rows = [None if g is None else _rows(g, core.whole.shapes[v]) for g, v in zip(streams, core.streams, strict=True)]
        values = kept | dict(zip(derived.program.states, [g for g in (*rows, *given) if g is not None], strict=True))
        with self.backend.quiet():
            derived.program.run(values, gathering(products, self.backend), derived.backward)
        found = [None if r is None else values[r] for r in derived.residuals]
        steps = core.whole.steps
        parts = [None if g is None else g.reshape(times, *core.whole.shapes[v]) for g, v in zip(found, steps, strict=False)]
        return [*parts, *found[len(steps) :]]


def _stacked(shape: tuple[int, ...], steps: int) -> tuple[int, ...]:
    return (steps * shape[0], shape[1]) if len(shape) == 2 else (steps, *shape)


def _rows(x: Array, shape: tuple[int, ...]) -> Array:
    """All steps of a matrix under each other."""
    return x.reshape(len(x) * shape[0], shape[1]) if len(shape) == 2 else x


def around(plan: Plan, backend: Backend, steps: int, wanted: Sequence[bool]) -> Around:
    """What is around the loop of a plan: for any number of steps the same, unless a rule names the number of rows."""
    known = plan.around
    found = known.get(0) or known.get(steps)
    if found is not None:
        return found
    core = plan.core
    arriving = [r is not None for r in plan.step_residuals[: len(core.streams)]] or [False] * len(core.streams)
    arriving += [v in plan.sinks for v in plan.joint.fixed[: len(core.program.fixed)]]
    one, two = (Around(core, backend, n, wanted, arriving) for n in (1, 2))
    if one.key() == two.key():
        known[0] = one
        return one
    known[steps] = Around(core, backend, steps, wanted, arriving)
    return known[steps]
