"""A scan of one step without residuals: an ordinary call as fast as a stepper's, by code that is bound to the
weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..backends.base import Unsupported
from ..caches import recent
from ..errors import IndexRangeError, TraceError
from ..tape import Node
from .bound_step import BoundStep
from .budget import ALL
from .explained import note_plan
from .trace import Cell, TracedCell

_steps = recent(32)
"""By traces' identities, steps that are bound to their weights and memory, with the trace; in use by one
thread at a time."""

_lost: list[Any] = []
"""References to weights that are no more, of which a bound step holds copies. Appending to it cannot be
interrupted, as a function of ours could."""


def single_step(
    cell: Cell, traced: TracedCell, inputs: Sequence[Any], states: Sequence[Any], outside: Sequence[Any]
) -> tuple[list[Any], list[Any]] | None:
    """Outputs and last states of a scan of one step without residuals; None where it is no machine code, or a
    number is out of range."""
    if _lost:
        _lost.clear()
        for other, old in _steps.values():
            if old is not None and not old.lives():
                _steps.drop(id(other))
    known, step = _steps.take(id(traced)) or (None, None)
    if known is not traced or (step is not None and not step.holds(outside)):
        try:
            first = [Node.result_type(x._data[0, ...], x._backend) for x in inputs]
            step = BoundStep(traced, first, states, outside, _lost.append)
        except (Unsupported, TraceError):
            step = None
    try:
        if step is None:
            return None
        step.put([s._data for s in states])
        ys = [
            Node.result_type(y[None], step.backend) for y in step.outputs([x._data[0, ...] for x in inputs])
        ]
        last = [Node.result_type(s, step.backend) for s in step.states()]
    except IndexRangeError:
        return None
    finally:
        _steps.put(id(traced), (traced, step))
    note_plan(cell, step.plan, step.plan.engine, step.backend.name, 1, ALL)
    return ys, last
