"""Floats as they are: exponents, powers of two, polynomials, and sums and products without error.

A pair (h, l) is the number h + l, where l is what did not fit into h.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...backends.atoms import Printer, Value

Table = Mapping[str, Sequence[float]]
"""Coefficients by kind, from the highest power down."""


class Format:
    """How a kind of floats is made.

    Attributes:
        fraction: bits of it that are digits, behind the one that is not stored.
        bias: what is added to exponents.
        log2: log(2) in two parts, the first of them so short that a product by any exponent is exact.
        one: the bits of 1.
        normal: the smallest number with all its digits.
        shift: a number to which others are added to be rounded to integers: these are its last bits then.
    """

    __slots__ = ("bias", "fraction", "log2", "normal", "one", "shift")

    def __init__(self, fraction: int, bias: int, log2: tuple[float, float]) -> None:
        self.fraction: int = fraction
        self.bias: int = bias
        self.log2: tuple[float, float] = log2
        self.one: int = bias << fraction
        self.normal: float = 2.0 ** (1 - bias)
        self.shift: float = 1.5 * 2.0**fraction


FORMATS = {
    "f32": Format(23, 127, (0.693359375, -2.1219444005469057e-4)),
    "f64": Format(52, 1023, (0.693145751953125, 1.4286068203094173e-6)),
}

LINEAR = 2.0**-60
"""Below, the first term of a series is the result, and what else it is made of may be denormal."""


def polynomial(k: Printer, x: Value, square: Value, coefficients: Table) -> Value:
    """By Horner's rule in x², on pairs of terms: as many operations as in x, but half of them wait for each
    other."""
    terms = list(coefficients[x.kind])
    y = k.number(terms.pop(0), x.kind) if len(terms) % 2 else k.fma(x, terms.pop(0), terms.pop(0))
    while terms:
        y = k.fma(y, square, k.fma(x, terms.pop(0), terms.pop(0)))
    return y


def with_sign(k: Printer, y: Value, x: Value) -> Value:
    """y, or −y where x is below 0 or −0."""
    return k.floating(k.bits(y) ^ (k.bits(x) & k.bits(k.number(-0.0, x.kind))))


# -- exponents -----------------------------------------------------------------------------------------------


def power_of_two(k: Printer, exponent: Value, kind: str, raised: int = 0) -> Value:
    """2 ** (exponent + raised), from the last bits of an integer; it has to be a normal number."""
    form = FORMATS[kind]
    return k.floating((exponent << form.fraction) + (form.one + (raised << form.fraction)))


def times_power_of_two(k: Printer, p: Value, exponent: Value) -> Value:
    """(1 + p) · 2 ** exponent for a small p, be the result infinite or denormal: by two factors."""
    form = FORMATS[p.kind]
    half = k.lshr(exponent, 1) << form.fraction
    rest = (exponent << form.fraction) - half
    factor = k.floating(half + form.one)
    return k.fma(p, factor, factor) * k.floating(rest + form.one)


def small_float(k: Printer, integer: Value, kind: str) -> Value:
    """A small integer as a float; processors have no instruction for it where there are 64 bits."""
    shift = FORMATS[kind].shift
    return k.floating(integer + k.bits(k.number(shift, kind))) - shift


def significand(k: Printer, x: Value) -> tuple[Value, Value]:
    """(m, e) of a number x = m · 2 ** e above 0, with m between √½ and √2."""
    form = FORMATS[x.kind]
    raised = form.fraction + 1
    tiny = x < form.normal
    bits = k.bits(k.select(tiny, x * 2.0**raised, x))
    exponent = (bits - _ROOT[x.kind]) >> form.fraction
    e = small_float(k, exponent, x.kind)
    return k.floating(bits - (exponent << form.fraction)), k.select(tiny, e - float(raised), e)


_ROOT = {"f32": 0x3F3504F3, "f64": 0x3FE6A09E667F3BCD}
"""The bits of √½."""

# -- sums and products without error -------------------------------------------------------------------------


def fast_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """a + b as a pair, where a is the larger, or 0."""
    h = a + b
    return h, b - (h - a)


def exact_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """a + b as a pair."""
    h = a + b
    part = h - a
    return h, (a - (h - part)) + (b - part)


def exact_product(k: Printer, a: Value, b: Value) -> tuple[Value, Value]:
    """a · b as a pair."""
    h = a * b
    if k.fused:
        return h, k.fma(a, b, -h)
    (ah, al), (bh, bl) = _halves(k, a), _halves(k, b)
    return h, ((ah * bh - h) + ah * bl + al * bh) + al * bl


def difference(k: Printer, c: Value, a: Value, b: Value) -> Value:
    """c − a · b, where that is a number that needs no rounding."""
    if k.fused:
        return k.fma(-a, b, c)
    h, low = exact_product(k, a, b)
    return c - h - low


def _halves(k: Printer, a: Value) -> tuple[Value, Value]:
    """A number as the sum of two with half of its digits."""
    lost = FORMATS[a.kind].fraction // 2 + 1
    high = k.floating((k.bits(a) + (1 << (lost - 1))) & (-1 << lost))
    return high, a - high
