"""A lowering: an elementwise function as an expression in atoms, and how exact it is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ...backends.atoms import Counter, Printer, Value
from ...backends.base import Unsupported

Expression = Callable[..., Value]
"""expression(k, *operands, *params) → the result, in the atoms of a printer k."""


class Lowering:
    """How a row is computed in code; it is called as its expression.

    Attributes:
        expression: operands are values of the printer, or Python's numbers.
        ulp: the most that a result is off in units of its last place, in float32 and in float64. ½ is the
            rounded result; a choice, a comparison and a sign are exact. Denormal results count in units of
            the smallest one.
        floats: how many operands it takes as floats, as functions of floats do; the others stay as they are.
    """

    __slots__ = ("expression", "floats", "ulp")

    def __init__(self, expression: Expression, ulp: float, floats: int) -> None:
        self.expression: Expression = expression
        self.ulp: float = ulp
        self.floats: int = floats

    def __call__(self, k: Printer, *operands: Any) -> Value:
        if self.floats:
            operands = (*k.real(*operands[: self.floats]), *operands[self.floats :])
        return self.expression(k, *operands)

    def cost(self, operands: tuple[Any, ...], params: tuple[Any, ...]) -> int | None:
        """About how many additions take as long; None where there is no code for such operands, each a kind
        or a Python number."""
        return _cost(self, operands, params, (*map(type, operands), *map(type, params)))


@functools.lru_cache(maxsize=4096)
def _cost(
    lowering: Lowering, operands: tuple[Any, ...], params: tuple[Any, ...], _types: tuple[type, ...]
) -> int | None:
    """Equal numbers of different types, as 2 and 2.0, are kept apart."""
    k = Counter()
    try:
        lowering(k, *(Value(k, "", x) if isinstance(x, str) else x for x in operands), *params)
    except Unsupported:
        return None
    return k.cost


def within(ulp: float, floats: int = 1) -> Callable[[Expression], Lowering]:
    """Say how exact an expression is, and how many floats it takes."""
    return lambda expression: Lowering(expression, ulp, floats)
