"""The update of many numbers as one loop of machine code, written from the method's own formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import chain_rule
from ..backends import Backend, base
from ..backends.formula import Loop
from ..backends.native import compiler, emit
from ..caches import Recent, recent

LOOP_MIN_ELEMENTS = 1 << 13
"""Elements from which an update in machine code pays."""

_LOWERINGS = {name: row.lowering for name, row in chain_rule.rows.items()}


loops: Recent[Any, Loop | str] = recent(64)
"""Updates in machine code, by what decides over their form, or why there is none."""


def update_loop(
    formula: Callable[..., Any], key: Any, backend: Backend, dtype: Any, numbers: int, rows: Sequence[Sequence[Any]]
) -> Loop | None:
    """The loop for the arrays of some parameters; None where it is not worth it or cannot be.

    Args:
        formula: formula(np, arrays, numbers) → the new parameter; it changes the other arrays in place.
        key: what decides over the loop's form.
        numbers: how many of them the formula takes.
        rows: for each parameter itself, its residual and its buffers.
    """
    if backend.name != "numpy" or sum(row[0].size for row in rows) < LOOP_MIN_ELEMENTS or not compiler.available():
        return None
    if dtype not in emit.FLOATS or not all(x.flags.c_contiguous and x.dtype == dtype for row in rows for x in row):
        return None
    loop = loops.get(key)
    if loop is None:
        try:
            loop = Loop(formula, len(rows[0]), numbers, dtype, _LOWERINGS)
        except base.Unsupported as reason:  # a buffer is missing: the state dict had none
            loop = str(reason)
        loops.put(key, loop)
    return None if isinstance(loop, str) else loop
