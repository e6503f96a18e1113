"""sin, cos, tan and their inverses.

Of x · 2/π the digits behind the point are needed, however large x is. So those bits of 2/π are left out that
only give multiples of 4: the exponent of x tells which (Payne and Hanek 1983). With the others the product is
made without error.
"""

from __future__ import annotations

import functools
import math

from ...backends.atoms import Printer, Value
from .floats import (
    FORMATS,
    LINEAR,
    Table,
    difference,
    exact_product,
    exact_sum,
    fast_sum,
    polynomial,
    with_sign,
)
from .lowered import within

# (sin(r)/r − 1) / r² by z = r² for |r| ≤ π/4, relative to sin(r)/r: 2^-27.9 and 2^-57.9
_SIN: Table = {
    "f32": (-0.00019518291810527444, 0.008332189172506332, -0.16666655242443085),
    "f64": (
        1.5895433172747793e-10, -2.5050734387799045e-08, 2.7557313538508245e-06, -0.0001984126982935852,
        0.00833333333332184, -0.1666666666666663,
    ),
}  # fmt: skip

# (cos(r) − 1 + r²/2) / r⁴ by z = r² for |r| ≤ π/4, relative to cos(r): 2^-33.0 and 2^-63.9
_COS: Table = {
    "f32": (2.4432327336398885e-05, -0.0013887309469282627, 0.04166664555668831),
    "f64": (
        -1.1358748938512607e-11, 2.0875705391693824e-09, -2.755731421701862e-07, 2.480158728900205e-05,
        -0.0013888888888873342, 0.041666666666666595,
    ),
}  # fmt: skip

_HALF_PI = {
    "f32": (1.5707963705062866, -4.371138828673793e-08),
    "f64": (1.5707963267948966, 6.123233995736766e-17),
}  # fmt: skip

_TWO_OVER_PI = int(
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424dd2e0"
    "06492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484e99c7026b45f7e413991d639835339f4"
    "9c845f8bbdf9283b1ff897ffde05980fef2f118b5a0a6d1f6d367ecf27cb09b74f463f669e5fea2d"
    "7527bac7ebe5f17b3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6babf0cfbc209af4361d",
    16,
)
_BITS = 1280
"""The first bits of 2/π behind the point, and how many."""


@functools.cache
def _parts(stride: int, count: int, parts: int) -> list[tuple[float, ...]]:
    """2/π · 2 ** (stride · i) without multiples of 4, as a sum of floats: a table over i for each of them."""
    rows = []
    for i in range(count):
        rest, row = _TWO_OVER_PI % (1 << (_BITS - max(0, stride * i - 2))), []
        for _ in range(parts):
            digits = max(0, rest.bit_length() - 53)
            head = rest >> digits
            row.append(math.ldexp(head, digits - _BITS + stride * i))
            rest -= head << digits
        rows.append(row)
    return [tuple(row[part] for row in rows) for part in range(parts)]


def _quadrant_f32(k: Printer, size: Value) -> tuple[Value, Value, Value]:
    """r as a pair, and the bits of q, where a number of at least 0 is q · π/2 + r.

    In float64, which two floats of 2/π are enough for. They are the same for 24 exponents: not for more, so
    that the product is less than 2⁵¹.
    """
    x, shift = k.convert(size, "f64"), FORMATS["f64"].shift
    heads, tails = _parts(24, 5, 2)
    head, tail = k.number(heads[0], "f64"), k.number(tails[0], "f64")
    for i in range(1, 5):
        beyond, scale = x >= 2.0 ** (23 + 24 * i), 2.0 ** (-24 * i)
        head, tail = k.select(beyond, heads[i] * scale, head), k.select(beyond, tails[i] * scale, tail)
    p, low = exact_product(k, x, head)
    z = p + shift
    r = ((p - (z - shift)) + k.fma(x, tail, low)) * _HALF_PI["f64"][0]
    near = k.convert(r, "f32")
    return near, k.convert(r - k.convert(near, "f64"), "f32"), k.convert(k.bits(z), "i32")


def _quadrant_f64(k: Printer, size: Value) -> tuple[Value, Value, Value]:
    """r as a pair, and the bits of q.

    By four floats of 2/π, the same for 32 exponents. The largest products are cut to what they are beside
    multiples of 4, and all are added without error.
    """
    form = FORMATS["f64"]
    exponent = (k.bits(size) >> form.fraction) - (form.bias + form.fraction)
    index = k.select(exponent < 0, 0, exponent) >> 5
    first, second, third, fourth = (k.lookup(table, index, "f64") for table in _parts(32, 31, 4))
    x = k.floating(k.bits(size) - (index << (5 + form.fraction)))
    (a, a_low), (b, b_low), (c, c_low) = (exact_product(k, x, part) for part in (first, second, third))
    g, g_low = exact_sum(a_low, b)
    s, s_low = exact_sum(_modulo_4(k, a), _modulo_4(k, g))
    z = s + form.shift
    f, f_low = fast_sum(s - (z - form.shift), s_low)
    # the rest is below 2⁻¹⁸; where it takes away nearly all of f, its own last digits count
    t, t_low = exact_sum(b_low, c)
    u, u_low = exact_sum(g_low, t)
    f, f_end = exact_sum(f, u)
    f, f_low = fast_sum(f, (t_low + u_low) + (f_end + f_low) + k.fma(x, fourth, c_low))
    high, low = _HALF_PI["f64"]
    r, r_low = exact_product(k, f, k.number(high, "f64"))
    r_low = r_low + k.fma(f, low, f_low * high)
    tiny = size < LINEAR
    # NaN where it is infinite
    return k.select(tiny, size, r), k.select(tiny, 0.0, r_low) + (size - size), k.bits(z)


def _modulo_4(k: Printer, x: Value) -> Value:
    return k.fma(k.rint(x * 0.25), -4.0, x)


Pair = tuple[Value, Value]


def _waves(k: Printer, x: Value) -> tuple[Pair, Pair, Value]:
    """sin(r) and cos(r) as pairs, and the bits of q, where |x| = q · π/2 + r."""
    quadrant_of = _quadrant_f32 if x.kind == "f32" else _quadrant_f64
    r, low, quadrant = quadrant_of(k, k.abs(x))
    z = r * r
    square = z * z
    cubic, quartic = r * z * polynomial(k, z, square, _SIN), square * polynomial(k, z, square, _COS)
    half = 0.5 * z
    near = 1 - half
    lost = 1 - near - half
    return (r, cubic + low), (near, lost + k.fma(-r, low, quartic)), quadrant


def _turned(k: Printer, y: Value, quadrant: Value) -> Value:
    """y, or −y in the third and fourth quadrant."""
    return k.floating(k.bits(y) ^ (quadrant >> 1 << (31 if y.kind == "f32" else 63)))


def _is_odd(quadrant: Value) -> Value:
    return (quadrant & 1) != 0


@within(2)
def sin(k: Printer, x: Value) -> Value:
    (s, s_low), (c, c_low), quadrant = _waves(k, x)
    y = _turned(k, k.select(_is_odd(quadrant), c + c_low, s + s_low), quadrant)
    return with_sign(k, y, x)


@within(2)
def cos(k: Printer, x: Value) -> Value:
    (s, s_low), (c, c_low), quadrant = _waves(k, x)
    return _turned(k, k.select(_is_odd(quadrant), s + s_low, c + c_low), quadrant + 1)


@within(2)
def tan(k: Printer, x: Value) -> Value:
    # a quotient of pairs: of the first parts, and then what that leaves of both
    sine, cosine, quadrant = _waves(k, x)
    (s, s_low), (c, c_low) = fast_sum(*sine), fast_sum(*cosine)
    odd = _is_odd(quadrant)
    a, a_low = k.select(odd, c, s), k.select(odd, c_low, s_low)
    b, b_low = k.select(odd, -s, c), k.select(odd, -s_low, c_low)
    inverse = 1 / b
    y = a * inverse
    rest = difference(k, a, y, b) + k.fma(-y, b_low, a_low)
    return with_sign(k, k.fma(rest, inverse, y), x)


# -- inverses ------------------------------------------------------------------------------------------------

# (arctan(t)/t − 1) / t² by t² for t ≤ 1, relative to arctan(t)/t: 2^-25.8 and 2^-55.0
_ARCTAN: Table = {
    "f32": (
        0.002919393125921488, -0.016363102942705154, 0.04320463538169861, -0.07551655918359756,
        0.10665768384933472, -0.14211001992225647, 0.19993767142295837, -0.33333152532577515,
    ),
    "f64": (
        -2.0259461259732934e-05, 0.00022303123923301507, -0.0011641114373533155, 0.00385608385508032,
        -0.009184763865348273, 0.016978314512171872, -0.02582708104584127, 0.03406803237340751,
        -0.0409265152419251, 0.04673955784515943, -0.052392352116042464, 0.05877308375719418,
        -0.06665860487684937, 0.07692212949435975, -0.09090901237433248, 0.11111110678897661,
        -0.14285714271341565, 0.19999999999755186, -0.3333333333333186,
    ),
}  # fmt: skip

# (arcsin(t)/t − 1) / t² by t² for t ≤ ½, relative to arcsin(t)/t: 2^-27.6 and 2^-55.9
_ARCSIN: Table = {
    "f32": (
        0.04215829819440842, 0.024184780195355415, 0.04546914994716644, 0.074953094124794,
        0.16666752099990845,
    ),
    "f64": (
        0.031914232249642106, -0.01622706343481009, 0.019530021747157147, 0.006527346593443508,
        0.012169353781702964, 0.013885214348765258, 0.017359706840897056, 0.022371757917301067,
        0.030381959142288955, 0.04464285682820625, 0.07500000000337151, 0.16666666666665408,
    ),
}  # fmt: skip


def _odd(k: Printer, t: Value, square: Value, coefficients: Table) -> Value:
    """t + t³ · P(t²)."""
    return k.fma(t * square, polynomial(k, square, square * square, coefficients), t)


def _from_half_pi(k: Printer, y: Value, halves: int = 1) -> Value:
    """π/2 · halves − y."""
    high, low = _HALF_PI[y.kind]
    return (halves * high - y) + halves * low


@within(4)
def arctan(k: Printer, x: Value) -> Value:
    size = k.abs(x)
    steep = size > 1
    t = k.select(steep, 1.0, size) / k.select(steep, size, 1.0)
    y = _odd(k, t, t * t, _ARCTAN)
    return k.copysign(k.select(steep, _from_half_pi(k, y), y), x)


@within(4, floats=2)
def arctan2(k: Printer, a: Value, b: Value) -> Value:
    height, width = k.abs(a), k.abs(b)
    steep = height > width
    small, large = k.select(steep, width, height), k.select(steep, height, width)
    diagonal = k.select(large == 0, k.number(0.0, a.kind), 1.0)  # also where both are infinite
    t = k.select(small == large, diagonal, small / large)
    y = _odd(k, t, t * t, _ARCTAN)
    y = k.select(steep, _from_half_pi(k, y), y)
    return k.copysign(k.select(k.bits(b) < 0, _from_half_pi(k, y, 2), y), a)


def _arcsin(k: Printer, size: Value) -> tuple[Value, Value]:
    """Whether |x| is above ½; and the arcsin of it, or half of arccos."""
    steep = size > 0.5
    square = k.select(steep, k.fma(size, -0.5, 0.5), size * size)
    return steep, _odd(k, k.select(steep, k.sqrt(square), size), square, _ARCSIN)


@within(4)
def arcsin(k: Printer, x: Value) -> Value:
    steep, y = _arcsin(k, k.abs(x))
    return k.copysign(k.select(steep, _from_half_pi(k, y + y), y), x)


@within(4)
def arccos(k: Printer, x: Value) -> Value:
    steep, y = _arcsin(k, k.abs(x))
    below = x < 0
    far = k.select(below, _from_half_pi(k, y + y, 2), y + y)
    return k.select(steep, far, _from_half_pi(k, k.copysign(y, x)))
