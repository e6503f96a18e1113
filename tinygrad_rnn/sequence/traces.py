"""The traces of cells, each made once for the kinds of its operands, and used as long as they hold."""

from __future__ import annotations

import contextlib
import types
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .. import backends, tree
from ..caches import Recent, recent
from ..errors import TraceError
from ..tape import host, thread
from .trace import Attempt, Cell, Reading, TracedCell, trace_cell

_KINDS_OF_OPERANDS = 64
"""For so many of them the traces of a cell are kept."""

_traces = recent(512)
"""By weak references to cells."""

_gone: list[Any] = []
"""References to cells that are no more. Appending to it cannot be interrupted, as a function of ours
could."""

_shared = recent(256)
"""By their code, traces of functions that hold nothing but tensors and numbers: a function that is made anew
in each call has one, too."""


def traced_cell(
    cell: Cell, xs: Any, state: Any, inputs: Sequence[Any], states: Sequence[Any]
) -> tuple[TracedCell, list[Any]]:
    """The trace of a cell, the one made before, if nothing that the cell reads has changed since; and the
    tensors beside its arguments.

    Raises:
        TraceError: there is none; says why.
    """
    kind: Any = type(cell)
    signature = (
        thread.recording,
        host.default_dtype,
        backends.current(),
        kind.__call__,  # which somebody may put into a class of ours, whose code is not read
        tree.structure(xs),
        tree.structure(state),
        tuple([(x._data.shape[1:], x._data.dtype, x.requires_grad, x._backend) for x in inputs]),
        tuple([(x._data.shape, x._data.dtype) for x in states]),
    )
    known = known_of(cell)
    function = cell.__func__ if type(cell) is types.MethodType else cell
    code = function.__code__ if type(function) is types.FunctionType else None
    same_code = None if code is None else _shared.get(code)
    last, alike = known.get(signature), None if same_code is None else same_code.get(signature)
    for before in (last,) if alike is None or alike is last else (last, alike):
        outside = None if before is None else before.bound(cell, states)
        if outside is not None and isinstance(before, TracedCell):  # a refusal has none
            return before, outside
    attempt = Attempt(frozenset() if last is None else last.reading.names)
    try:
        traced = trace_cell(cell, xs, state, thread.recording, attempt)
    except TraceError as error:
        if attempt.reading is not None:
            known.put(signature, _Refusal(error.reason, error.advice, attempt.reading))
        raise
    outside, traced.trace.outside = traced.trace.outside, []  # which would live as long as the trace is known
    kept = known.put(signature, traced)
    if code is not None and not traced.reading.contents:
        (_shared.get(code) or _shared.share(code, Recent(_KINDS_OF_OPERANDS))).put(signature, kept)
    return traced, outside


def known_of(cell: Cell) -> Recent[Any, Any]:
    """What is known of a cell, its traces first of all, by the kinds of its operands."""
    if _gone:
        with contextlib.suppress(IndexError):  # another thread was sooner
            while True:
                _traces.drop(_gone.pop())
    try:
        known = _traces.get(weakref.ref(cell))
        return (
            _traces.share(weakref.ref(cell, _gone.append), Recent(_KINDS_OF_OPERANDS))
            if known is None
            else known
        )
    except TypeError:  # a callable that cannot be referred to weakly, or has no hash
        return Recent(1)


@dataclass(frozen=True)
class _Refusal:
    """A cell that cannot be compiled: for that reason, as long as it reads what it read."""

    reason: str
    advice: str
    reading: Reading

    def bound(self, cell: Cell, states: Sequence[Any]) -> None:
        if self.reading.again(cell) is not None:
            raise TraceError(self.reason, self.advice)
