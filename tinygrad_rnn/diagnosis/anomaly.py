"""Anomaly mode: which operation made the first NaN or infinity, and in which line of the user's code.

    with tg.detect_anomaly():
        loss = model(x)
        loss.backward()

Inside of the block each operation remembers the user's line, and its results and residuals are looked at;
outside nothing costs anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..backends import Backend
from ..errors import NonFiniteError
from ..reading.lines import Lines, line_of_entry
from ..reading.words import printable, title_of
from ..tape import Entry, Node, Replay, pull_back, recording, thread
from ..user_code import Line


class detect_anomaly(Lines):
    """A block in which the operation that first makes a NaN or an infinity, forward or backward, raises an
    error that names its line.

    An infinity that an operand had already, as the −inf of a mask, is no anomaly. A NaN always is; if it came
    from outside of the block, the error says so. Operations that are not recorded count too, and scans run
    step by step, so that every result is checked, whether something depends on it or not.

    >>> x = tg.tensor(-1.0, requires_grad=True)
    >>> with tg.detect_anomaly():
    ...     tg.log(x)
    Traceback (most recent call last):
    tinygrad_rnn.errors.NonFiniteError: ...

    Raises:
        NonFiniteError: says the direction, the time step, the operation and the line.
    """

    each_step = True

    def recorded(self, entry: Entry) -> None:
        if thread.tracing:  # what placeholders hold means nothing
            return
        super().recorded(entry)
        if made_here(entry.backend, [*entry.xs, *entry.params], entry.ys):
            if isinstance(entry.row, Replay):
                with recording():
                    entry.row.unfold(entry, entry.inputs)
            raise NonFiniteError(message("forward", entry, line_of_entry(entry)))

    passed = recorded

    def pulled(self, entry: Entry, g: Any, operand: int, part: Any) -> None:
        if thread.tracing:
            return
        arrived = [_array(one) for one in (g if entry.row.several else [g]) if one is not None]
        if made_here(entry.backend, arrived, [_array(part)]):
            if isinstance(entry.row, Replay):
                with recording():
                    results = entry.row.unfold(entry, entry.inputs)
                parts = g if entry.row.several else [g]
                pull_back(
                    [(y, _array(one)) for y, one in zip(results, parts, strict=True) if one is not None]
                )
            raise NonFiniteError(message("backward", entry, line_of_entry(entry), arrived))


def made_here(backend: Backend, before: Sequence[Any], after: Sequence[Any]) -> bool:
    """Whether something is not finite that was finite before, or is NaN."""
    broken = [array for array in after if not _finite(backend, array)]
    if not broken:
        return False
    return all(_finite(backend, x) for x in before) or any(
        backend.any(backend.isnan(array)) for array in broken
    )


def _finite(backend: Backend, x: Any) -> bool:
    """Whether an array or a number is finite; True for what is neither."""
    if isinstance(x, float):
        return math.isfinite(x)
    return getattr(getattr(x, "dtype", None), "kind", "") != "f" or bool(backend.all(backend.isfinite(x)))


def message(direction: str, entry: Entry, line: Line | None, arrived: Sequence[Any] = ()) -> str:
    """``first non-finite value: forward, step 12, exp in line 31 of user.py: y = tg.exp(x)``

    Args:
        direction: forward or backward.
        entry: where it was made, or met.
        line: of the user's code, if it is known.
        arrived: the residuals that came to the entry.
    """
    step = None if entry.scope is None else entry.scope.within("step")
    where = [direction, *([] if step is None else [f"step {step.label}"])]
    name = title_of(entry)
    place = (
        f" {line}" if line is not None else " (its line is known in anomaly mode: with tg.detect_anomaly())"
    )
    return f"first non-finite value: {', '.join(where)}, {name}{place}{_from_outside(entry, arrived)}"


def _from_outside(entry: Entry, arrived: Sequence[Any]) -> str:
    """What is to be said where the NaN was there before."""
    backend = entry.backend
    if any(backend.any(backend.isnan(residual)) for residual in arrived):
        return "; the residual that came in already held NaN"
    for x, array in zip(entry.inputs, entry.xs, strict=True):
        if isinstance(x, Node) and array.dtype.kind == "f" and backend.any(backend.isnan(array)):
            called = f" {printable(x.name)!r}" if x.name else ""
            return f"; its operand{called} already held NaN: that was made before, or is data"
    return ""


def _array(x: Any) -> Any:
    return x._data if isinstance(x, Node) else x
