"""Powers and roots: power, raise_to, sqrt, reciprocal, cbrt, hypot.

xʸ = exp(y · log x) makes an error of the logarithm up to 745 times larger: so that is a pair, of about 68
bits in float64.
"""

from __future__ import annotations

import math
from typing import Any

from ...backends.atoms import Printer, Value
from ...backends.base import Unsupported
from .exponential import exp_of_pair
from .floats import FORMATS, Table, exact_product, exact_sum, fast_sum, polynomial, significand, small_float
from .lowered import within

# (artanh(s) / s − 1 − s²/3) / s⁴ by z = s², as far as it changes artanh(s) / s: 2^-36.8 and 2^-73.5
_ARTANH: Table = {
    "f32": (0.11709818989038467, 0.14273545145988464, 0.20000076293945312),
    "f64": (
        0.059908730392058, 0.05837890733013161, 0.06668132234516942, 0.07692279214554272,
        0.09090909421993915, 0.11111111108894878, 0.1428571428572192, 0.1999999999999999,
    ),
}  # fmt: skip
_THIRD = {
    "f32": (0.3333333432674408, -9.934107481068821e-09),
    "f64": (0.3333333333333333, 1.850371707708594e-17),
}  # fmt: skip
_LOG2 = {"f32": (0.693115234375, 3.1946184945309415e-05), "f64": (0.6931471805592082, 7.371002565167799e-13)}


def _log(k: Printer, x: Value) -> tuple[Value, Value]:
    """log(x) as a pair, for x above 0."""
    m, e = significand(k, x)
    f = m - 1
    d, d_low = exact_sum(k.number(1.0, x.kind), m)
    inverse = 1 / d
    s = f * inverse
    p, p_low = exact_product(k, s, d)
    s_low = (((f - p) - p_low) - s * d_low) * inverse
    # artanh(s) = s + s · u with u = z · (1/3 + z · P(z))
    z, z_low = exact_product(k, s, s)
    z_low = k.fma(s + s, s_low, z_low)
    third, third_low = _THIRD[x.kind]
    c, c_low = fast_sum(k.number(third, x.kind), k.fma(z, polynomial(k, z, z * z, _ARTANH), third_low))
    u, u_low = exact_product(k, z, c)
    u_low = u_low + k.fma(z, c_low, z_low * c)
    w, w_low = exact_product(k, s, u)
    w_low = w_low + k.fma(s, u_low, s_low * u)
    a, a_low = fast_sum(s, w)
    a_low = a_low + (s_low + w_low)
    high, low = _LOG2[x.kind]
    y, y_low = fast_sum(e * high, a + a)
    return y, y_low + k.fma(e, low, a_low + a_low)


@within(4, floats=0)
def power(k: Printer, base: Any, exponent: Any) -> Value:
    """Of integers none: NumPy refuses negative exponents, which code would have to look for."""
    base, exponent = k.joint(base, exponent)
    if base.kind[0] != "f":
        raise Unsupported("a power of integers")
    size = k.abs(base)
    log, log_low = _log(k, size)
    log = k.select(size < math.inf, log, size)
    log = k.select(size == 0, -math.inf, log)
    high, low = exact_product(k, exponent, log)
    low = k.fma(exponent, log_low, low)
    y = exp_of_pair(k, high, low)
    # one where the exponent is 0 or the base 1, whatever the other is; also for −1 and an infinite exponent
    one = (exponent == 0) | (base == 1) | ((size == 1) & (k.abs(exponent) == math.inf))
    y = k.select(one, 1.0, y)
    half = exponent * 0.5
    whole, odd = k.rint(exponent) == exponent, k.rint(half) != half
    y = k.select((base < 0) & ~whole & (size < math.inf), math.nan, y)
    return k.select(whole & odd, k.copysign(y, base), y)


@within(4, floats=0)
def raise_to(k: Printer, x: Value, exponent: float) -> Value:
    """x to a fixed power: products and roots where few will do; of integers to a whole one always products.

    As in NumPy, ½ is the root itself, NaN of −∞ and −0 of −0; other halves take these for ∞ and 0.
    """
    if x.kind[0] != "f" and isinstance(exponent, int) and exponent >= 0:
        return _whole_power(k, x, exponent)
    (x,) = k.real(x)
    if exponent == 0:
        return k.number(1.0, x.kind)
    if exponent == 1:
        return x
    if exponent in (2, 3, 4):
        square = x * x
        return square if exponent == 2 else square * (x if exponent == 3 else square)
    if exponent == 0.5:
        return k.sqrt(x)
    if exponent in (-1, -2):
        inverse = 1 / x
        return inverse if exponent == -1 else inverse * inverse
    if exponent not in (-1.5, -0.5, 1.5, 2.5):
        return power(k, x, float(exponent))
    a = k.select(x == -math.inf, math.inf, x) + 0.0
    root = k.sqrt(a)
    if exponent > 0:
        return a * root if exponent == 1.5 else a * a * root
    inverse = 1 / root
    return inverse if exponent == -0.5 else inverse / a


def _whole_power(k: Printer, x: Value, exponent: int) -> Value:
    """By squares, one for each binary digit of the exponent."""
    y = k.number(1, x.kind)
    while exponent:
        if exponent & 1:
            y = y * x
        x, exponent = x * x, exponent >> 1
    return y


@within(0.5)
def sqrt(k: Printer, x: Value) -> Value:
    return k.sqrt(x)


@within(0.5)
def reciprocal(k: Printer, x: Value) -> Value:
    return 1 / x


@within(4)
def cbrt(k: Printer, x: Value) -> Value:
    # z = 1/∛a, at first by a third of the bits of a, turned round; then by steps that cube its error
    form, places = FORMATS[x.kind], _UPPER[x.kind]
    raised = form.fraction // 3 + 1
    size = k.abs(x)
    tiny = size < form.normal
    a = k.select(tiny, size * 8.0**raised, size)
    first = k.fma(small_float(k, k.bits(a) >> places, x.kind), -1 / 3, _TURNED[x.kind])
    z = k.floating(k.bits(first + 2.0**form.fraction) << places)
    for _ in range(2 if x.kind == "f32" else 3):
        error = 1 - a * z * z * z
        z = k.fma(z * error, k.fma(error, 2 / 9, 1 / 3), z)
    square = z * z
    y = a * square
    rest = k.fma(0.5 * y * y, -y, 0.5 * a)  # halved, since y³ may be infinite where a is not
    y = k.fma(rest, square * (2 / 3), y)
    y = k.select(tiny, y * 2.0**-raised, y)
    return k.select((size > 0) & (size < math.inf), k.copysign(y, x), x)


_UPPER = {"f32": 9, "f64": 32}
"""Bits of a float that a first guess does not need."""

_TURNED = {"f32": 2773243.0, "f64": 1430186360.0}
"""4/3 of the bits of 1, less what makes errors even: the guess is 3.4 % off at most."""


@within(4, floats=2)
def hypot(k: Printer, a: Value, b: Value) -> Value:
    a, b = k.abs(a), k.abs(b)
    larger = a > b
    large, small = k.select(larger, a, b), k.select(larger, b, a)
    # powers of two keep squares from becoming infinite or denormal
    (low, up), (high, down), one = *_SCALES[a.kind], k.number(1.0, a.kind)
    below, above = large < low, large > high
    scale = k.select(above, down, k.select(below, up, one))
    back = k.select(above, 1 / down, k.select(below, 1 / up, one))
    large, small = large * scale, small * scale
    y = k.sqrt(k.fma(large, large, small * small)) * back
    return k.select((a == math.inf) | (b == math.inf), math.inf, y)


_SCALES = {
    "f32": ((2.0**-40, 2.0**86), (2.0**60, 2.0**-70)),
    "f64": ((2.0**-400, 2.0**570), (2.0**500, 2.0**-600)),
}
"""(below this, times this), (above this, times this)."""
