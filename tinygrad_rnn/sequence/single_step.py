"""A scan of one step without residuals: an ordinary call as fast as a stepper's, by code that is bound to the
weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..backends.base import Unsupported
from ..caches import recent
from ..errors import IndexRangeError, TraceError
from ..reading.attributes import Attributes
from ..tape import Node, thread
from .bound_step import BoundStep
from .budget import ALL
from .explained import note_plan
from .trace import Cell, TracedCell

_steps = recent(32)
"""By traces' identities, steps that are bound to their weights and memory, with the trace; in use by one
thread at a time."""

_calls = recent(64)
"""By cells' identities and shapes of their input, the call that such a step answered last."""

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
        made, backend = Node.result_type, step.backend
        ys = [made(y[None], backend) for y in step.outputs([x._data[0, ...] for x in inputs])]
        last = [made(s, backend) for s in step.states()]
    except IndexRangeError:
        return None
    finally:
        _steps.put(id(traced), (traced, step))
    note_plan(cell, step.plan, step.plan.engine, step.backend.name, 1, ALL)
    return ys, last


@dataclass(frozen=True)
class _Call:
    """A call of a cell of ours, and what has to be the same for the next one to be answered alike.

    Attributes:
        cell: all that the cell reads.
        weights: the names of what its program uses of that.
        traced: how a step of it runs.
        nest: what the state is nested in: itself a tensor, or a tuple of tensors.
        kinds: shapes, dtypes and backends of the input and of the tensors of the state.
    """

    cell: Attributes
    weights: list[str]
    traced: TracedCell
    nest: type
    kinds: list[Any]

    def fits(self, cell: Any, state: Any, operands: Sequence[Any]) -> bool:
        """Whether another call is like it."""
        if type(state) is not self.nest or len(operands) != len(self.kinds):
            return False
        for x, kind in zip(operands, self.kinds, strict=True):
            if type(x) is not Node.result_type or (x._data.shape, x._data.dtype, x._backend) != kind:
                return False
        return self.cell.hold(cell)


def note_call(
    cell: Cell, traced: TracedCell, state: Any, operands: Sequence[Any], outside: list[Any]
) -> None:
    """Remember a call that :func:`single_step` has answered, if a look at the cell's attributes tells that
    nothing has changed: then :func:`repeated_step` answers the next one.

    Args:
        operands: the input, and the tensors of the state.
        outside: the weights.
    """
    nest = type(state)
    plain = traced.y is None and traced.reading.settled and not (traced.asked or traced.looked)
    if not plain or nest not in (Node.result_type, tuple) or len(operands) != 1 + len(_leaves(state)):
        return
    read = Attributes(cell)
    weights = read.names_of(outside)
    if read.complete and weights is not None:
        kinds = [(x._data.shape, x._data.dtype, x._backend) for x in operands]
        _calls.put((id(cell), kinds[0][0]), _Call(read, weights, traced, nest, kinds))


def _leaves(state: Any) -> Sequence[Any]:
    """Of a state that is a tensor, or a tuple of tensors."""
    return state if type(state) is tuple else (state,)


def repeated_step(cell: Any, x: Any, state: Any) -> tuple[Any, Any] | None:
    """Output and last state of a scan of one step without residuals that is like one before; None where there
    was none, or anything has changed."""
    if type(x) is not Node.result_type or thread.tracing is not None or thread.observer is not None:
        return None
    call = _calls.get((id(cell), x._data.shape))
    states = _leaves(state)
    if call is None or not call.fits(cell, state, (x, *states)):
        return None
    held = vars(cell)
    done = single_step(cell, call.traced, [x], states, [held[name] for name in call.weights])
    if done is None:
        return None
    (y,), last = done
    return y, last[0] if states is not state else tuple(last)
