"""A lowering: an elementwise function as an expression in atoms, and how exact it is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ...backends.atoms import Counter, Printer, Value

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
        self.expression, self.ulp, self.floats = expression, ulp, floats

    def __call__(self, k: Printer, *operands: Any) -> Value:
        if self.floats:
            operands = (*k.real(*operands[: self.floats]), *operands[self.floats :])
        return self.expression(k, *operands)

    def cost(self, operands: int, params: tuple[Any, ...]) -> int:
        """About how many additions take as long."""
        return _cost(self, operands, params)


@functools.lru_cache(maxsize=4096)
def _cost(lowering: Lowering, operands: int, params: tuple[Any, ...]) -> int:
    k = Counter()
    lowering(k, *(Value(k, "", "f64") for _ in range(operands)), *params)
    return k.cost


def within(ulp: float, floats: int = 1) -> Callable[[Expression], Lowering]:
    """Say how exact an expression is, and how many floats it takes."""
    return lambda expression: Lowering(expression, ulp, floats)
