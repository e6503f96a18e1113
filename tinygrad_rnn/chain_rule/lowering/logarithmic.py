"""log and what is made of it: log2, log10, log1p, softplus, logaddexp, arcsinh, arccosh, arctanh.

log(x) = e · log(2) + log(1 + f) with x = (1 + f) · 2ᵉ and √½ ≤ 1 + f ≤ √2; log(1 + f) = 2 artanh(s) with
s = f / (2 + f).
"""

from __future__ import annotations

import math

from ...backends.atoms import Printer, Value
from .exponential import exp_of_negative
from .floats import FORMATS, Table, exact_sum, polynomial, significand
from .lowered import within

# (2 artanh(s) / s − 2) / s² by z = s², relative to 2 artanh(s) / s: 2^-30.2 and 2^-59.5
_ARTANH: Table = {
    "f32": (0.29870694875717163, 0.3997758626937866, 0.6666677594184875),
    "f64": (
        0.14795361825200382, 0.15314111063006586, 0.181835618815845, 0.22222198622045336,
        0.2857142874188914, 0.3999999999941706, 0.6666666666666734,
    ),
}  # fmt: skip


def _log_near_one(k: Printer, f: Value, rest: Value | float = 0.0) -> Value:
    """log(1 + f) + rest, for a rest that is small beside an error of f.

    As f − (f²/2 − s · (f²/2 + R) − rest) most of it is f, which has no error (Sun's fdlibm).
    """
    s = f / (f + 2)
    z = s * s
    square = 0.5 * f * f
    return f - (square - k.fma(s, k.fma(z, polynomial(k, z, z * z, _ARTANH), square), rest))


def _with_exponent(k: Printer, e: Value, f: Value) -> Value:
    """e · log(2) + log(1 + f)."""
    high, low = FORMATS[f.kind].log2
    return k.fma(e, high, _log_near_one(k, f, e * low))


def _ends(k: Printer, x: Value, y: Value) -> Value:
    """A logarithm of x, which y is between 0 and infinity."""
    y = k.select(x < math.inf, y, x)
    return k.select(x > 0, y, k.select(x == 0, k.number(-math.inf, x.kind), math.nan))


@within(2)
def log(k: Printer, x: Value) -> Value:
    m, e = significand(k, x)
    return _ends(k, x, _with_exponent(k, e, m - 1))


@within(4)
def log2(k: Printer, x: Value) -> Value:
    m, e = significand(k, x)
    return _ends(k, x, k.fma(_log_near_one(k, m - 1), 1 / math.log(2), e))


_LOG10_2 = {
    "f32": (0.301025390625, 4.605038981195214e-06),
    "f64": (0.30102999566361177, 3.694239077158931e-13),
}  # fmt: skip
"""log10(2) in two parts, the first of them so short that a product by any exponent is exact."""


@within(4)
def log10(k: Printer, x: Value) -> Value:
    m, e = significand(k, x)
    high, low = _LOG10_2[x.kind]
    return _ends(k, x, k.fma(e, high, k.fma(_log_near_one(k, m - 1), 1 / math.log(10), e * low)))


@within(4)
def log1p(k: Printer, x: Value) -> Value:
    # what 1 + x lost is added to f again
    whole, lost = exact_sum(k.number(1.0, x.kind), x)
    m, e = significand(k, whole)
    scale = k.floating(k.bits(m) - k.bits(whole) + FORMATS[x.kind].one)  # 2⁻ᵉ, where that is a number
    f = (m - 1) + k.select(x < 2.0 ** (FORMATS[x.kind].fraction + 2), lost * scale, 0.0)
    return k.copysign(_ends(k, whole, _with_exponent(k, e, f)), x)


@within(4)
def softplus(k: Printer, x: Value) -> Value:
    rest = log1p(k, exp_of_negative(k, k.abs(x)))
    return k.select(x > 0, x, 0.0) + rest


@within(4, floats=2)
def logaddexp(k: Printer, a: Value, b: Value) -> Value:
    """The error counts in units of the largest of operands and result, since these may cancel."""
    distance = k.select(a == b, 0.0, k.abs(a - b))  # also where both are infinite
    return k.select(a > b, a, b) + log1p(k, exp_of_negative(k, distance))


# -- inverse hyperbolic --------------------------------------------------------------------------------------


def _log1p_or_log_of_twice(k: Printer, near: Value, x: Value) -> Value:
    """log(1 + near), or log(2x) where x is so large that its square may be infinite."""
    large = x > 2.0 ** (FORMATS[x.kind].fraction // 2 + 5)
    return log1p(k, k.select(large, x - 1, near)) + k.select(large, k.number(math.log(2), x.kind), 0.0)


@within(4)
def arcsinh(k: Printer, x: Value) -> Value:
    a = k.abs(x)
    square = a * a
    near = a + square / (1 + k.sqrt(square + 1))
    return k.copysign(_log1p_or_log_of_twice(k, near, a), x)


@within(4)
def arccosh(k: Printer, x: Value) -> Value:
    t = x - 1
    y = _log1p_or_log_of_twice(k, t + k.sqrt(k.fma(t, t, t + t)), x)
    return k.select(x < 1, math.nan, y)


@within(4)
def arctanh(k: Printer, x: Value) -> Value:
    a = k.abs(x)
    return k.copysign(0.5 * log1p(k, (a + a) / (1 - a)), x)
