"""No case at all: functions that move only in jumps, so no residual passes. Comparisons, signs, roundings,
positions.

They are not in the registry of rules. They have rows so that a traced cell can hold them, and ``where`` and
masks can choose by them.
"""

from __future__ import annotations

from typing import Any

from .lowering import arithmetic
from .lowering.lowered import Lowering
from .routing import Checked, Loops, Reduced, without_axes
from .row import Row


def _nothing(*_: Any) -> Any:
    raise AssertionError("a choice has no derivative")


def _choice(name: str, lowering: Lowering | None = None, loops: Loops | None = None) -> Row:
    def call(np: Any, *args: Any) -> Any:
        return getattr(np, name)(*args)

    return Row(name, "choice", name, call, _nothing, _nothing, lowering=lowering, loops=loops)


_ELEMENTWISE = (
    "equal not_equal less less_equal greater greater_equal logical_and logical_or logical_xor logical_not "
    "isnan isinf isfinite "
    "sign floor ceil floor_divide rint trunc"
)
_REDUCTIONS = "argmax argmin all any"
_CALLED = "argsort searchsorted"

choices: dict[str, Row] = {
    **{name: _choice(name, getattr(arithmetic, name)) for name in _ELEMENTWISE.split()},
    **{name: _choice(name, loops=Reduced(name, without_axes)) for name in _REDUCTIONS.split()},
    **{name: _choice(name) for name in _CALLED.split()},
}

WITHIN = Row(
    "within",
    "choice",
    "within",
    lambda np, x, *params: np.within(x, *params),
    _nothing,
    _nothing,
    outline=lambda np, x, *params: x,
    loops=Checked(),
)
"""Whole numbers themselves, where each lies in a range; so that a traced cell checks the numbers that it will
meet."""
