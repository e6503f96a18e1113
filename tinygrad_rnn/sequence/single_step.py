"""A scan of one step without residuals: an ordinary call as fast as a stepper's, by code that is bound to the
weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..backends.base import Unsupported
from ..caches import recent
from ..errors import IndexRangeError, TraceError
from ..tape import Node, thread
from .bound_step import BoundStep, Weights
from .budget import ALL
from .explained import note_plan
from .trace import Cell, TracedCell

_steps = recent(32)
"""By traces' identities, with the trace, steps that are bound to their weights and memory; or the weights of
the last call, where they were others than those before; None where no step can be bound. In use by one thread
at a time."""

_calls = recent(64)
"""By cells' identities and shapes of their input, the call that such a step answered last."""

_lost: list[Any] = []
"""References to weights that are no more, of which a bound step holds copies. Appending to it cannot be
interrupted, as a function of ours could."""


Results = tuple[list[Any], list[Any]]
"""Outputs and last states."""


def single_step(
    cell: Cell, traced: TracedCell, inputs: Sequence[Any], states: Sequence[Any], outside: Sequence[Any]
) -> Results | None:
    """A scan of one step without residuals.

    None where it is no machine code, a number is out of range, or the weights are others than at the call
    before: they may be computed anew each time, and to bind a step takes as long as many runs of a plan.
    """
    found = _taken(traced)
    if found is None:
        step: BoundStep | Weights | None = _bound(traced, inputs, states, outside)
    elif found[0] is None:
        step = None
    elif not _weights(found[0]).holds(outside):
        step = Weights(outside)
    else:
        step = found[0] if isinstance(found[0], BoundStep) else _bound(traced, inputs, states, outside)
    return _answer(cell, traced, step, inputs, states)


def _weights(step: BoundStep | Weights) -> Weights:
    return step.weights if isinstance(step, BoundStep) else step


def _taken(traced: TracedCell) -> tuple[BoundStep | Weights | None] | None:
    """What is known of a trace, which nobody else gets then; None if it is new."""
    if _lost:
        _lost.clear()
        for other, old in _steps.values():
            if isinstance(old, BoundStep) and not old.weights.lives():
                _steps.put(id(other), (other, old.weights))  # which nothing fits any more
    known, step = _steps.take(id(traced)) or (None, None)
    return (step,) if known is traced else None


def _bound(
    traced: TracedCell, inputs: Sequence[Any], states: Sequence[Any], outside: Sequence[Any]
) -> BoundStep | None:
    try:
        first = [Node.result_type(x._data[0, ...], x._backend) for x in inputs]
        return BoundStep(traced, first, states, outside, _lost.append)
    except (Unsupported, TraceError):
        return None


def _answer(
    cell: Cell,
    traced: TracedCell,
    step: BoundStep | Weights | None,
    inputs: Sequence[Any],
    states: Sequence[Any],
) -> Results | None:
    """What a step makes of its operands, if it is bound; it is known afterwards."""
    try:
        if not isinstance(step, BoundStep):
            return None
        step.put([s._data for s in states])
        made, backend = Node.result_type, step.backend
        ys = [made(y[None], backend) for y in step.outputs([x._data[0, ...] for x in inputs])]
        last = [made(s, backend) for s in step.states()]
    except IndexRangeError:
        return None
    finally:
        _steps.put(id(traced), (traced, step))
    note_plan(cell, step.plan, step.plan.engine, step.backend.name, 1, ALL)
    return ys, last


class _Call(NamedTuple):
    """A call of a cell of ours, and of what kind its operands were.

    Attributes:
        traced: how a step of it runs.
        nest: what the state is nested in: itself a tensor, or a tuple of tensors.
        kinds: shapes, dtypes and backends of the input and of the tensors of the state.
    """

    traced: TracedCell
    nest: type
    kinds: list[Any]

    def fits(self, state: Any, operands: Sequence[Any]) -> bool:
        """Whether the operands of another call are like these."""
        if type(state) is not self.nest or len(operands) != len(self.kinds):
            return False
        for x, kind in zip(operands, self.kinds, strict=True):
            if type(x) is not Node.result_type or (x._data.shape, x._data.dtype, x._backend) != kind:
                return False
        return True


def note_call(cell: Cell, traced: TracedCell, state: Any, operands: Sequence[Any]) -> None:
    """Remember a call that :func:`single_step` has answered, if a look at the cell's attributes tells that
    nothing has changed: then :func:`repeated_step` answers the next one.

    Args:
        operands: the input, and the tensors of the state.
    """
    nest = type(state)
    plain = nest is Node.result_type or (nest is tuple and len(operands) == 1 + len(state))
    if plain and traced.y is None and traced.attributes is not None:
        kinds = [(x._data.shape, x._data.dtype, x._backend) for x in operands]
        _calls.put((id(cell), kinds[0][0]), _Call(traced, nest, kinds))


def repeated_step(cell: Any, x: Any, state: Any) -> tuple[Any, Any] | None:
    """Output and last state of a scan of one step without residuals that is like one before; None where there
    was none, or anything has changed."""
    if type(x) is not Node.result_type or thread.tracing is not None or thread.observer is not None:
        return None
    call = _calls.get((id(cell), x._data.shape))
    states = state if type(state) is tuple else (state,)
    if call is None or not call.fits(state, (x, *states)):
        return None
    known = call.traced.attributes
    weights = None if known is None else known.weights(cell)
    if weights is None or (found := _taken(call.traced)) is None:
        return None
    step = found[0]
    if isinstance(step, BoundStep) and not step.weights.holds(weights):
        _steps.put(id(call.traced), (call.traced, step))  # the whole scan sees to it
        return None
    done = _answer(cell, call.traced, step, [x], states)
    if done is None:
        return None
    (y,), last = done
    return y, tuple(last) if states is state else last[0]
