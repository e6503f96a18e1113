"""What became of a cell, in words."""

from __future__ import annotations

import contextlib
import weakref
from typing import Any

from .plan import Plan
from .program import Number, Program

_last: weakref.WeakKeyDictionary[Any, tuple[weakref.ref[Plan], Any] | str] = weakref.WeakKeyDictionary()
"""For each cell how it ran last: its plan and engine, kept alive by others, or the reason why it was not compiled."""


def note_plan(cell: Any, plan: Plan, engine: Any) -> None:
    """Remember how a cell runs."""
    with contextlib.suppress(TypeError):
        _last[cell] = weakref.ref(plan), engine


def note_refusal(cell: Any, reason: str) -> None:
    """Remember why a cell runs step by step."""
    with contextlib.suppress(TypeError):
        _last[cell] = reason


def explain(cell: Any) -> str:
    """How ``scan`` last ran a cell: what was hoisted, products, kernels, what is kept in how many bytes; or why it was not compiled."""
    name = getattr(cell, "__name__", type(cell).__name__)
    try:
        how = _last.get(cell)
    except TypeError:
        return f"{name}: cannot be remembered: it has no hash or cannot be referred to weakly"
    if how is None:
        return f"{name}: not run yet"
    if isinstance(how, str):
        return f"{name}: runs step by step, not compiled: {how}"
    plan, engine = how[0](), how[1]
    if plan is None:
        return f"{name}: what it was compiled to was dropped since, for other cells"
    engine = plan.engine if engine is None else engine
    lines = [f"{name}: compiled" + (f", interpreted: {engine}" if isinstance(engine, str) else "")]
    whole = plan.core.whole
    lines += [f"  once       {_described(whole, i)}" for i in plan.core.once]
    lines += [f"  all steps  {_described(whole, i)}" for i in plan.core.hoisted]
    for group in plan.core.constants:
        if len(group) > 1:
            lines.append(f"  merged     {len(group)} matrices side by side into one product")
    if isinstance(engine, str):
        lines.append(f"  each step  {len(plan.forward)} calls forward, {len(plan.backward)} backward")
    else:
        lines += engine.described()
    sunk = sum(sink.kind == "product" for sinks in plan.sinks.values() for sink in sinks)
    if plan.sinks:
        lines.append(f"  after      {sunk} weight gradient{'s' * (sunk != 1)} as one product over all steps")
    return "\n".join(lines)


def _described(program: Program, instruction: Any) -> str:
    shapes = [program.shapes[r] for r in instruction.operands if not isinstance(r, Number)]
    return f"{instruction.row.name} {' '.join(map(str, shapes))} -> {program.shapes[instruction.results[0]]}"
