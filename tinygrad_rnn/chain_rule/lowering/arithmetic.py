"""What needs no series: sums, products, choices, comparisons, logic, roundings, casts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...backends.atoms import Printer, Value, kind_of
from .floats import FORMATS, difference
from .lowered import Expression, Lowering, within

exact: Callable[[Expression], Lowering] = within(0.5, floats=0)
"""The result is the rounded one, or not rounded at all."""


add: Lowering = exact(lambda k, a, b: k.binary("add", a, b))
subtract: Lowering = exact(lambda k, a, b: k.binary("sub", a, b))
multiply: Lowering = exact(lambda k, a, b: k.binary("mul", a, b))
negative: Lowering = exact(lambda k, x: -x)
absolute: Lowering = exact(lambda k, x: k.abs(x))


def _comparison(name: str) -> Lowering:
    return exact(lambda k, a, b: k.compare(name, a, b))


equal: Lowering = _comparison("eq")
not_equal: Lowering = _comparison("ne")
less: Lowering = _comparison("lt")
less_equal: Lowering = _comparison("le")
greater: Lowering = _comparison("gt")
greater_equal: Lowering = _comparison("ge")
logical_and: Lowering = exact(lambda k, a, b: k.truth(a) & k.truth(b))
logical_or: Lowering = exact(lambda k, a, b: k.truth(a) | k.truth(b))
logical_xor: Lowering = exact(lambda k, a, b: k.truth(a) ^ k.truth(b))
logical_not: Lowering = exact(lambda k, x: ~k.truth(x))
isnan: Lowering = within(0.5)(lambda k, x: x != x)
isinf: Lowering = within(0.5)(lambda k, x: k.abs(x) == math.inf)
isfinite: Lowering = within(0.5)(lambda k, x: k.abs(x) < math.inf)

where: Lowering = exact(lambda k, condition, a, b: k.select(k.truth(condition), a, b))
astype: Lowering = exact(lambda k, x, dtype: k.as_kind(x, kind_of(dtype)))


def _rounding(function: Callable[[Printer, Value], Value]) -> Lowering:
    """Of integers themselves."""
    return exact(lambda k, x: function(k, x) if x.kind[0] == "f" else x)


floor: Lowering = _rounding(lambda k, x: k.floor(x))
ceil: Lowering = _rounding(lambda k, x: k.ceil(x))
rint: Lowering = _rounding(lambda k, x: k.rint(x))
trunc: Lowering = _rounding(lambda k, x: k.trunc(x))


@exact
def relu(k: Printer, x: Value) -> Value:
    return k.select(x <= 0, 0, x)


@exact
def sign(k: Printer, x: Value) -> Value:
    return k.select(x > 0, 1, k.select(x < 0, -1, x + 0))  # 0 where it is −0, NaN where it is NaN


@exact
def maximum(k: Printer, a: Any, b: Any) -> Value:
    """The first where it is NaN; the second where both are equal, as NumPy's is where one is −0."""
    a, b = k.joint(a, b)
    return k.select(a != a, a, k.select(a > b, a, b))


@exact
def minimum(k: Printer, a: Any, b: Any) -> Value:
    a, b = k.joint(a, b)
    return k.select(a != a, a, k.select(a < b, a, b))


@exact
def clip(k: Printer, x: Value, low: float | None, high: float | None) -> Value:
    for bound, beyond in ((low, "le"), (high, "ge")):
        if bound is not None:  # a bound that is NaN makes all NaN
            x = k.select(k.compare(beyond, x, bound), bound, x) if bound == bound else k.number(bound, x.kind)
    return x


def _remainder(k: Printer, a: Value, b: Value) -> Value:
    """What is left of a after as many b as go into it, with the sign of a, exactly.

    A quotient is taken off in parts of a float's digits, so that no difference needs rounding; of float32 in
    float64, where no quotient is infinite, and of float64 first by large multiples of b.
    """
    x, y = k.convert(a, "f64"), k.convert(b, "f64")
    rest = x
    for divisor, bits in [(y, 277)] if a.kind == "f32" else _divisors(k, y):
        for _ in range(-(-bits // _DIGITS)):
            rest = difference(k, rest, k.trunc(rest / divisor), divisor)
    rest = k.select(rest * k.copysign(1.0, x) < 0, rest + k.copysign(y, x), rest)
    rest = k.select((k.abs(y) == math.inf) & (k.abs(x) < math.inf), x, rest)
    return k.convert(k.copysign(k.abs(rest), x), a.kind)


_DIGITS = 51
"""Binary digits that a difference takes off at least."""

_FAR = 2.0**550


def _divisors(k: Printer, b: Value) -> list[tuple[Value, int]]:
    """Multiples of b that follow each other, and how many binary digits a quotient by each has at most:
    finite ones."""
    size = k.abs(b)
    second = k.select(size < 2.0**-500, b * _FAR, b)
    first = k.select(size < 2.0**400, second * _FAR, second)
    return [(first, 1025), (second, 551), (b, 551)]


Division = Callable[[Printer, Value, Value], Value]


def _of_both(ulp: float, of_floats: Division, of_integers: Division) -> Lowering:
    """A division of floats, and one of integers."""

    def expression(k: Printer, a: Any, b: Any) -> Value:
        a, b = k.joint(a, b)
        return (of_floats if a.kind[0] == "f" else of_integers)(k, a, b)

    return within(ulp, floats=0)(expression)


def _divided(k: Printer, a: Value, b: Value) -> tuple[Value, Value]:
    """The quotient of integers, towards 0, and what is left, with the sign of a; both 0 at a divisor of 0, as
    NumPy's are. By −1, where a processor would stop at the least integer, it is −a."""
    turned = b == -1
    divisor = k.select(turned | (b == 0), 1, b)
    quotient = k.select(b == 0, 0, k.select(turned, -a, k.binary("quot", a, divisor)))
    return quotient, k.select((b == 0) | turned, 0, a - quotient * divisor)


def _on_the_other_side(rest: Value, b: Value) -> Value:
    return (rest != 0) & ((rest < 0) ^ (b < 0))


def _mod(k: Printer, a: Value, b: Value) -> Value:
    rest = _remainder(k, a, b)
    return k.select(rest == 0, k.copysign(0.0, b), k.select((rest < 0) ^ (b < 0), rest + b, rest))


def _mod_of_integers(k: Printer, a: Value, b: Value) -> Value:
    _, rest = _divided(k, a, b)
    return k.select(_on_the_other_side(rest, b), rest + b, rest)


def _floor_divide_of_integers(k: Printer, a: Value, b: Value) -> Value:
    quotient, rest = _divided(k, a, b)
    return k.select(_on_the_other_side(rest, b), quotient - 1, quotient)


def _floor_divide(k: Printer, a: Value, b: Value) -> Value:
    """NumPy's: (a − remainder) / b, and 1 less where the remainder lies on the other side of 0 than b.

    The remainder is exact where integers have all their digits. Beyond, it is left out: the last digit may
    differ.
    """
    quotient = a / b
    whole = k.trunc(quotient)
    rest = difference(k, a, whole, b)
    rounded_up = rest * k.copysign(1.0, a) < 0
    rest = k.select(rounded_up, rest + k.copysign(b, a), rest)
    rest = k.select(k.abs(b) == math.inf, a, rest)
    rest = k.select(k.abs(quotient) < 2.0 ** (FORMATS[a.kind].fraction + 1), rest, 0.0)
    y = (a - rest) / b
    y = k.select(_on_the_other_side(rest, b), y - 1, y)
    near = k.floor(y)
    near = k.select(y - near > 0.5, near + 1, near)
    y = k.select(y == 0, k.copysign(0.0, quotient), near)
    return k.select(b == 0, quotient, k.select(k.abs(a) == math.inf, math.nan, y))


fmod: Lowering = _of_both(0.5, _remainder, lambda k, a, b: _divided(k, a, b)[1])
mod: Lowering = _of_both(0.5, _mod, _mod_of_integers)
floor_divide: Lowering = _of_both(1, _floor_divide, _floor_divide_of_integers)
