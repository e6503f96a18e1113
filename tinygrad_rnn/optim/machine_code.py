"""Whether the update of many numbers is one loop of machine code, and which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..backends import Backend
from ..backends.base import Unsupported
from ..caches import Recent, recent
from ..errors import TraceError

if TYPE_CHECKING:
    from ..sequence.elementwise import ElementwiseLoop, Formula

LOOP_MIN_ELEMENTS = 1 << 13
"""Elements from which an update in machine code pays."""

loops: Recent[Any, ElementwiseLoop | str] = recent(64)
"""Updates in machine code, by what decides over their form, or why there is none."""


def update_loop(
    formula: Formula, key: Any, backend: Backend, dtype: Any, numbers: int, sets: Sequence[Sequence[Any]]
) -> ElementwiseLoop | None:
    """The loop for the arrays of some parameters; None where it is not worth it or cannot be.

    Args:
        key: what decides over the loop's form.
        numbers: how many of them the formula takes.
        sets: for each parameter itself, its residual and its averages.
    """
    if sum([arrays[0].size for arrays in sets]) < LOOP_MIN_ELEMENTS or not backend.runs_machine_code():
        return None
    if not all(x.flags.c_contiguous and x.dtype == dtype for arrays in sets for x in arrays):
        return None
    loop = loops.get(key)
    if loop is None:
        from ..sequence.elementwise import ElementwiseLoop  # only those who have much to do need a compiler

        try:
            loop = ElementwiseLoop(formula, len(sets[0]), numbers, dtype, backend)
        except (TraceError, Unsupported) as reason:
            loop = str(reason)
        loops.put(key, loop)
    return None if isinstance(loop, str) else loop
