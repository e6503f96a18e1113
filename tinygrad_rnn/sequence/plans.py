"""The plan of a traced cell, made once for all cells that do the same, and what runs it."""

from __future__ import annotations

from collections.abc import Sequence

from ..backends import Backend
from ..backends.base import Unsupported
from ..caches import recent
from ..errors import TinygradRNNError, TraceError
from .hoist import LoopBody, loop_body
from .kernels import KernelPlan
from .nested import NestPlan
from .normal_form import normal_form
from .options import ScanOptions
from .plan import Plan, make_plan
from .program import Number
from .trace import TracedCell

_plans = recent(512)


def plan_of(traced: TracedCell, needs: tuple[bool, ...], options: ScanOptions, backend: Backend) -> Plan:
    """The plan for a traced cell, made once for all cells that do the same.

    Raises:
        TraceError: there is none; says why.
    """
    live = options.live is not None
    key = traced.form.key, backend.name, needs, live, options.repeats
    plan = _plans.get(key)
    if plan is None:
        plan = _plans.share(key, _planned(traced, needs, live, options.repeats, backend))
    if isinstance(plan, str):
        raise TraceError(plan)
    return plan


def _planned(
    traced: TracedCell, needs: Sequence[bool], live: bool, previous: bool, backend: Backend
) -> Plan | str:
    """A plan, or the reason why there is none: all of it is differentiated and checked here, before a step
    runs."""
    body = loop_body(normal_form(traced.form.program, needs), live, previous)
    try:
        plan = make_plan(body, backend, _body_needs(body, needs) if True in needs else None)
        plan.check()
    except TinygradRNNError as error:
        return f"its derivative cannot be planned: {error}"
    return plan


def _body_needs(body: LoopBody, needs: Sequence[bool]) -> dict[str, list[bool]]:
    """Which of the body's inputs need a residual: those that depend on something asked for. Every state does:
    it carries residuals."""
    program = body.whole
    # numbers do not
    asked = {
        v for v, need in zip((*program.steps, *program.states, *program.fixed), needs, strict=False) if need
    }
    for instruction in (*body.preamble, *body.hoisted):
        if not instruction.stopped and any(
            not isinstance(ref, Number) and ref in asked for ref in instruction.operands
        ):
            asked.update(instruction.results)
    floats = [body.program.dtypes[v].kind == "f" for v in body.program.states]
    masks = [False] * (len(body.program.steps) - len(body.per_step))
    return {
        "steps": [v in asked for v in body.per_step] + masks,
        "states": floats,
        "fixed": [any(v in asked for v in group) for group in body.invariant],
    }


Engine = NestPlan | KernelPlan


def engine_of(plan: Plan, backend: Backend) -> Engine | str:
    """The plan in machine code or in kernels, or the reason why it is interpreted; made once."""
    if plan.engine is None:
        plan.engine = _built(plan, backend)
    return plan.engine


def _built(plan: Plan, backend: Backend) -> Engine | str:
    if backend.name == "numpy" and not backend.runs_machine_code():
        return "llvmlite 0.45 or newer is missing: pip install 'tinygrad_rnn[fast]'"
    try:
        return NestPlan(plan) if backend.runs_machine_code() else KernelPlan(plan, backend)
    except Unsupported as reason:
        plan.advice = reason.advice
        return str(reason)
