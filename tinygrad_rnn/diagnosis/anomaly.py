"""Anomaly mode: which operation made the first NaN or infinity, and in which line of the user's code.

    with tg.detect_anomaly():
        loss = model(x)
        loss.backward()

Inside of the block each operation remembers the user's line, and its results and residuals are looked at; outside nothing costs anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..backends import Backend
from ..errors import NonFiniteError
from ..reading.lines import Lines, line_of_entry
from ..reading.words import symbol_of
from ..tape import Entry, Node, pull_back, recording, thread


class detect_anomaly(Lines):
    """A block in which the operation that first makes a NaN or an infinity, forward or backward, raises an error that names its line.

    An infinity that was there before, as the −inf of a mask, is no anomaly; a NaN always is. A compiled scan is run again step by step when
    something comes out of it that is not finite.

    Raises:
        NonFiniteError: says the direction, the time step, the operation and the line.
    """

    def recorded(self, entry: Entry) -> None:
        if thread.tracing:  # what placeholders hold means nothing
            return
        super().recorded(entry)
        arrays = [x for x in entry.xs if hasattr(x, "dtype")]
        if made_here(entry.backend, arrays, entry.ys):
            if entry.row.unfold is not None:
                with recording():
                    entry.row.unfold(entry, entry.inputs)
            raise NonFiniteError(told("forward", entry))

    def pulled(self, entry: Entry, g: Any, operand: int, part: Any) -> None:
        if thread.tracing:
            return
        arrived = [_array(one) for one in (g if entry.row.several else [g]) if one is not None]
        if made_here(entry.backend, arrived, [_array(part)]):
            if entry.row.unfold is not None:
                with recording():
                    results = entry.row.unfold(entry, entry.inputs)
                parts = g if entry.row.several else [g]
                pull_back([(y, _array(one)) for y, one in zip(results, parts, strict=True) if one is not None])
            raise NonFiniteError(told("backward", entry))


def made_here(backend: Backend, before: Sequence[Any], after: Sequence[Any]) -> bool:
    """Whether something is not finite that was finite before, or is NaN."""
    broken = [array for array in after if array.dtype.kind == "f" and not backend.all(backend.isfinite(array))]
    if not broken:
        return False
    finite = all(array.dtype.kind != "f" or backend.all(backend.isfinite(array)) for array in before)
    return finite or any(backend.any(backend.isnan(array)) for array in broken)


def told(direction: str, entry: Entry) -> str:
    """``first non-finite value: forward, step 12, exp in line 31 of user.py: y = tg.exp(x)``"""
    step = None if entry.scope is None else entry.scope.within("step")
    where = [direction, *([] if step is None else [f"step {step.label}"])]
    name = entry.row.name if symbol_of(entry) == entry.row.name else f"{symbol_of(entry)} ({entry.row.name})"
    place = line_of_entry(entry)
    line = f" {place}" if place is not None else " (its line is known in anomaly mode: with tg.detect_anomaly())"
    return f"first non-finite value: {', '.join(where)}, {name}{line}"


def _array(x: Any) -> Any:
    return x._data if isinstance(x, Node) else x
