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


def pays(backend: Backend, dtype: Any, sets: Sequence[Sequence[Any]]) -> bool:
    """Whether a loop is worth it for the arrays of some parameters, and can read them: each parameter itself,
    its residual and averages."""
    if sum([arrays[0].size for arrays in sets]) < LOOP_MIN_ELEMENTS or not backend.runs_machine_code():
        return False
    return all(x.flags.c_contiguous and x.dtype == dtype for arrays in sets for x in arrays)


def update_loop(
    formula: Formula, key: Any, backend: Backend, dtype: Any, arrays: int, numbers: int
) -> ElementwiseLoop | None:
    """The loop of a formula that takes so many arrays and numbers; None where there can be none.

    Args:
        key: what decides over its form.
    """
    loop = loops.get(key)
    if loop is None:
        from ..sequence.elementwise import ElementwiseLoop  # only those who have much to do need a compiler

        try:
            loop = ElementwiseLoop(formula, arrays, numbers, dtype, backend)
        except (TraceError, Unsupported) as reason:
            loop = str(reason)
        loops.put(key, loop)
    return None if isinstance(loop, str) else loop
