"""No case at all: functions that move only in jumps, so no residual passes. Comparisons, signs, roundings,
positions.

They are not in the registry of rules. They have rows so that a traced cell can hold them, and ``where`` and
masks can choose by them.
"""

from __future__ import annotations

from typing import Any

from . import batching
from .batching import Batching
from .lowering import arithmetic
from .lowering.lowered import Lowering
from .routing import Checked, Loops, Reduced, without_axes
from .row import Row


def _nothing(*_: Any) -> Any:
    raise AssertionError("a choice has no derivative")


def _choice(
    name: str,
    lowering: Lowering | None = None,
    loops: Loops | None = None,
    batching: Batching | None = None,
) -> Row:
    def call(np: Any, *args: Any) -> Any:
        return getattr(np, name)(*args)

    return Row(
        name, "choice", name, call, _nothing, _nothing, lowering=lowering, loops=loops, batching=batching
    )


_ELEMENTWISE = (
    "equal not_equal less less_equal greater greater_equal logical_and logical_or logical_xor logical_not "
    "isnan isinf isfinite "
    "sign floor ceil floor_divide rint trunc"
)
_REDUCTIONS = {"argmax argmin": batching.first_is_axis, "all any": batching.first_is_axes}

choices: dict[str, Row] = {name: _choice(name, getattr(arithmetic, name)) for name in _ELEMENTWISE.split()}
choices |= {
    name: _choice(name, loops=Reduced(name, without_axes), batching=rule)
    for names, rule in _REDUCTIONS.items()
    for name in names.split()
}
choices["argsort"] = _choice("argsort", batching=batching.first_is_axis)
choices["searchsorted"] = _choice("searchsorted")

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
"""Integers themselves, where each lies in a range; so that a traced cell checks the numbers that it will
meet."""
