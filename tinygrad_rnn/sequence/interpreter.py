"""Run a plan with an array module: the loop calls rows on arrays, with nothing recorded.

This is the plan's run where there is no code generator, and for cells that one cannot express.
"""

from __future__ import annotations

from typing import Any

from ..backends import Array, Backend
from .gradient_terms import GradientTerm, over_steps
from .plan import Plan
from .program import Program, on_arrays


class InterpretedRun:
    """One scan by interpretation.

    Args:
        streams: (T, …) for each of the body's steps.
        fixed: for each of the body's fixed inputs.
        order: the steps in the order of running.
        length: how many steps the whole scan has that these are some of.
    """

    def __init__(
        self,
        plan: Plan,
        backend: Backend,
        streams: list[Array],
        fixed: list[Array],
        order: range,
        length: int,
    ) -> None:
        self.plan = plan
        self.backend = backend
        self.streams = streams
        self.order = order
        joint: Program = plan.joint
        self.base: dict[int, Array] = dict(zip(joint.fixed, [*fixed, *plan.constants], strict=True))
        self.kept: list[dict[int, Array]] = []
        self.keeping: bool = plan.differentiated

    def forward(self, states: list[Array], products: Any) -> tuple[list[Array], list[Array]]:
        """The outputs, (T, …) each, and the last states.

        Args:
            products: in which what is read may be pending.
        """
        products.run()
        joint, apply = self.plan.joint, on_arrays(self.backend)
        outputs: list[list[Array]] = [[] for _ in joint.outputs]
        self.kept = [{}] * len(self.order)
        with self.backend.quiet():
            for t in self.order:
                values = dict(self.base)
                values.update(zip(joint.steps, [stream[t] for stream in self.streams], strict=True))
                values.update(zip(joint.states, states, strict=True))
                joint.run(values, apply, self.plan.forward)
                states = [values[v] for v in joint.carried]
                for ys, v in zip(outputs, joint.outputs, strict=True):
                    ys.append(values[v])
                if self.keeping:
                    self.kept[t] = {v: values[v] for v in self.plan.kept}
        backwards = self.order.step < 0
        return [self.backend.stack(ys[::-1] if backwards else ys, 0) for ys in outputs], [
            self.backend.asarray(s) for s in states
        ]

    def backward(
        self, outputs: list[Any], states: list[Any], totals: dict[Any, Array], products: Any
    ) -> tuple[list[Any], list[Any]]:
        """From the residuals of outputs and last states (None where nothing arrived) to those of streams and
        first states.

        Args:
            totals: what fixed values get, added up over the steps so far; grows.
            products: takes some of it, to be computed with other products.
        """
        plan, joint, apply = self.plan, self.plan.joint, on_arrays(self.backend)
        carried = list(states)
        steps: list[list[Any]] = [[None] * len(self.order) for _ in joint.steps]
        gathered: dict[GradientTerm, list[Any]] = {term: [] for term in plan.all_terms}
        for t in reversed(self.order):
            values = self.base | self.kept[t]
            for v, stream in zip(plan.output_residuals, outputs, strict=True):
                if v is not None:
                    values[v] = self._zeros(v) if stream is None else stream[t]
            for v, residual in zip(plan.carried_residuals, carried, strict=True):
                if v is not None:
                    values[v] = self._zeros(v) if residual is None else residual
            joint.run(values, apply, plan.backward)
            carried = [None if r is None else values[r] for r in plan.state_residuals]
            for residuals, r in zip(steps, plan.step_residuals, strict=True):
                residuals[t] = None if r is None else values[r]
            for term, parts in gathered.items():
                parts.append(tuple(values[v] for v in term.values))
        streams = [
            None if r is None else self.backend.stack(parts, 0)
            for r, parts in zip(plan.step_residuals, steps, strict=True)
        ]
        for term, parts in gathered.items():
            totals[term] = self._summed(term, parts, totals.get(term), products)
        return streams, carried

    def _zeros(self, value: int) -> Array:
        return self.backend.zeros(self.plan.joint.shapes[value], self.plan.joint.dtypes[value])

    def _summed(self, term: GradientTerm, parts: list[tuple[Array, ...]], total: Any, products: Any) -> Array:
        """Σₜ over the gathered parts, added to a total: one GEMM over all steps for a product."""
        backend = self.backend
        if term.gathered:
            left, right = (backend.stack([part[i] for part in parts], 0) for i in (0, 1))
            return over_steps(products, term, left, right, total, 1)
        part = backend.stack([part[0] for part in parts], 0).sum(0)
        return part if total is None else total + part
