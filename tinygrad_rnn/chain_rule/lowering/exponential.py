"""exp and what is made of it: tanh, sigmoid, exp2, expm1, sinh, cosh, erf.

exp(x) = 2ⁿ · exp(r) with x = n · log(2) + r. Where a result is small, exp(r) − 1 is kept, which has all its
digits.
"""

from __future__ import annotations

import math

from ...backends.atoms import Printer, Value
from .floats import FORMATS, LINEAR, Table, polynomial, power_of_two, times_power_of_two, with_sign
from .lowered import within

_LOG2E = 1.4426950408889634

# (exp(r) − 1 − r) / r² for |r| ≤ log(2) / 2: minimax; the error relative to exp(r) is 2^-28.2 and 2^-57.9
_NEAR: Table = {
    "f32": (
        0.0013818297302350402, 0.008368532173335552, 0.04166829213500023, 0.1666652262210846,
        0.4999999403953552,
    ),
    "f64": (
        2.5007252040550456e-08, 2.7630194358781e-07, 2.7557558367628356e-06, 2.4801493172052907e-05,
        0.00019841269546364056, 0.0013888888943699538, 0.008333333333470168, 0.0416666666665288,
        0.16666666666666466, 0.5000000000000011,
    ),
}  # fmt: skip


def _clamped(k: Printer, x: Value, least: float, most: float) -> Value:
    """x between bounds; NaN stays NaN."""
    x = k.select(x > most, most, x)
    return k.select(x < least, least, x)


def _reduced(k: Printer, x: Value, n: Value) -> Value:
    """x − n · log(2)."""
    high, low = FORMATS[x.kind].log2
    return k.fma(n, -low, k.fma(n, -high, x))


def _near_one(k: Printer, x: Value, rest: Value | None = None) -> tuple[Value, Value]:
    """n as bits, and exp(r) − 1 where x plus a rest is n · log(2) + r, |r| ≤ log(2) / 2."""
    shift = FORMATS[x.kind].shift
    z = k.fma(x, _LOG2E, shift)
    r = _reduced(k, x, z - shift)
    r = r if rest is None else r + rest
    return k.bits(z), _exp_less_one(k, r)


def _exp_less_one(k: Printer, r: Value) -> Value:
    square = r * r
    return k.fma(square, polynomial(k, r, square, _NEAR), r)


_LEAST = {"f32": -104.0, "f64": -746.0}
_MOST = {"f32": 89.0, "f64": 710.0}
"""Where exp is 0 and infinite."""


@within(2)
def exp(k: Printer, x: Value) -> Value:
    bits, p = _near_one(k, _clamped(k, x, _LEAST[x.kind], _MOST[x.kind]))
    return times_power_of_two(k, p, bits)


@within(2)
def exp2(k: Printer, x: Value) -> Value:
    form = FORMATS[x.kind]
    x = _clamped(k, x, -2.0 * form.bias, 2.0 * form.bias)
    z = x + form.shift
    r = (x - (z - form.shift)) * (1 / _LOG2E)
    return times_power_of_two(k, _exp_less_one(k, r), k.bits(z))


@within(4)
def expm1(k: Printer, x: Value) -> Value:
    bits, p = _near_one(k, _clamped(k, x, -40.0, _MOST[x.kind]))
    half = power_of_two(k, bits, x.kind, raised=-1)  # of 2ⁿ, which is infinite before the result is
    y = 2 * k.fma(p, half, half - 0.5)
    return k.select(k.abs(x) < LINEAR, x, y)


# (tanh(x)/x − 1) / x² by x² for |x| ≤ 0.3, relative to tanh(x)/x: 2^-26.3 and 2^-60.4
_TANH: Table = {
    "f32": (-0.050363268703222275, 0.13314801454544067, -0.33333060145378113),
    "f64": (
        0.0005023816334001325, -0.0014416305636022284, 0.003590870561687299, -0.008863170536307889,
        0.021869486572240224, -0.05396825393536101, 0.13333333333306657, -0.3333333333333326,
    ),
}  # fmt: skip


@within(2)
def tanh(k: Printer, x: Value) -> Value:
    # t / (t + 2) with t = exp(2|x|) − 1; n is not 0 where that is taken, and t not small. The sign is given
    # before the quotient is there, which all else waits for
    size = k.abs(x)
    a = k.select(size > 20.0, 20.0, size)
    form, twice = FORMATS[x.kind], a + a
    z = k.fma(a, 2 * _LOG2E, form.shift)
    p = _exp_less_one(k, k.fma(z - form.shift, -math.log(2), twice))
    power = power_of_two(k, k.bits(z), x.kind)
    t = k.fma(p, power, power - 1)
    far = with_sign(k, t, x) / (t + 2)
    square = x * x
    near = x * k.fma(square, polynomial(k, square, square * square, _TANH), 1.0)
    return k.select(size < 0.3, near, far)


@within(2)
def sigmoid(k: Printer, x: Value) -> Value:
    # with e = exp(−|x|) it is 1 / (1 + e) = 1 − e / (1 + e) above 0 and e / (1 + e) = e − e · e / (1 + e)
    # below: so it costs little that 1 + e is rounded
    e, raised, down = _exp_of_negative(k, k.abs(x))
    one_or_e = k.select(k.bits(x) < 0, e, 1.0)
    return k.fma(-e, one_or_e / k.fma(raised, down, 1.0), one_or_e)


def _exp_of_negative(k: Printer, size: Value) -> tuple[Value, Value, float]:
    """exp(−x) for x ≥ 0, as the product of a normal number and a power of two."""
    x = -size
    bits, p = _near_one(k, k.select(x < _LEAST[x.kind], _LEAST[x.kind], x))
    places = FORMATS[x.kind].bias // 2
    factor = power_of_two(k, bits, x.kind, places)
    raised = k.fma(p, factor, factor)
    return raised * 2.0**-places, raised, 2.0**-places


def exp_of_negative(k: Printer, size: Value) -> Value:
    """exp(−x) for x ≥ 0."""
    return _exp_of_negative(k, size)[0]


def exp_of_pair(k: Printer, high: Value, low: Value) -> Value:
    """exp(high + low); where the first is infinite the second may be anything."""
    x = _clamped(k, high, _LEAST[high.kind], _MOST[high.kind])
    bits, p = _near_one(k, x, k.select(x == high, low, 0.0))
    return times_power_of_two(k, p, bits)


# -- hyperbolic ----------------------------------------------------------------------------------------------

# (exp(r) − 1 − r) / r² for 0 ≤ r ≤ log(2), relative to exp(r) − 1: 2^-31.5 and 2^-61.0
_ABOVE: Table = {
    "f32": (
        0.0002689356333576143, 0.0013191113248467445, 0.008366351947188377, 0.04165886715054512,
        0.16666750609874725, 0.4999999701976776,
    ),
    "f64": (
        2.9012059084815726e-09, 2.3457018196902522e-08, 2.773170466267929e-07, 2.754538924107637e-06,
        2.4802121764280625e-05, 0.00019841253986482653, 0.0013888889195969117, 0.008333333329604748,
        0.04166666666692891, 0.1666666666666575, 0.5000000000000001,
    ),
}  # fmt: skip

_LARGEST = {"f32": 128.4, "f64": 1024.4}
"""What n is rounded from where sinh and cosh are infinite: with the r that is left they come out so."""


def _half(k: Printer, size: Value) -> tuple[Value, Value]:
    """(p, h) with exp(x) = 2h · (1 + p) for x ≥ 0, where exp may be infinite before half of it is.

    r and p are not below 0 here, so what 2ⁿ and what r give to exp(x) − 1 do not cancel.
    """
    shift, most = FORMATS[size.kind].shift, _LARGEST[size.kind]
    end = (most + 1) / _LOG2E
    x = k.select(size > end, end, size)
    v = k.fma(x, _LOG2E, -0.5)
    z = k.select(v > most, most, v) + shift
    r = _reduced(k, x, z - shift)
    square = r * r
    p = k.fma(square, polynomial(k, r, square, _ABOVE), r)
    return p, power_of_two(k, k.bits(z), size.kind, raised=-1)


@within(4)
def sinh(k: Printer, x: Value) -> Value:
    size = k.abs(x)
    p, half = _half(k, size)
    t = k.fma(p, half, half - 0.5)  # (exp − 1) / 2
    y = k.select(t < math.inf, t + t / k.fma(t, 2.0, 1.0), t)
    return k.copysign(k.select(size < LINEAR, size, y), x)


@within(4)
def cosh(k: Printer, x: Value) -> Value:
    p, half = _half(k, k.abs(x))
    e = k.fma(p, half, half)
    return e + 0.25 / e


# -- erf -----------------------------------------------------------------------------------------------------

# erf(x) / x − 1 by z = x² for z ≤ 1, relative to erf(x) / x: 2^-29.4 and 2^-56.0
_ERF: Table = {
    "f32": (
        7.806903886375949e-05, -0.0007997853099368513, 0.005187162198126316, -0.026853347197175026,
        0.11283578723669052, -0.3761262595653534, 0.12837916612625122,
    ),
    "f64": (
        -7.606770971872826e-10, 1.361620101811913e-08, -1.618388996397508e-07, 1.6444139190632442e-06,
        -1.492446486559993e-05, 0.00012055280463883899, -0.0008548325484153999, 0.005223977596723242,
        -0.026866170641958172, 0.11283791670936948, -0.37612638903183343, 0.12837916709551256,
    ),
}  # fmt: skip

# −log(1 − erf(1 + u)) for 0 ≤ u ≤ 3 and 0 ≤ u ≤ 5, as far as it changes erf: 2^-26.7 and 2^-58.7
_REST: Table = {
    "f32": (
        -0.00010042451322078705, 0.0015036399709060788, -0.009467232041060925, 0.041264887899160385,
        0.8431723713874817, 2.638962745666504, 1.8496055603027344,
    ),
    "f64": (
        -1.2452071541934712e-12, 3.371454926634914e-11, -4.208299648815711e-10, 3.2015973845595077e-09,
        -1.635865066841955e-08, 5.641987631194038e-08, -1.072121335870251e-07, -1.270891774559122e-07,
        2.0405444728055048e-06, -9.59144978061551e-06, 2.714740178725663e-05, -2.627215182431032e-05,
        -0.00023732447025974485, 0.001977903041925442, -0.010033825447832946, 0.04156109804860526,
        0.8431072563583506, 2.6389675142347944, 1.8496055099332482,
    ),
}  # fmt: skip
_ROUNDS_TO_ONE = {"f32": 4.0, "f64": 6.0}


@within(4)
def erf(k: Printer, x: Value) -> Value:
    size, end = k.abs(x), _ROUNDS_TO_ONE[x.kind]
    a = k.select(size > end, end, size)
    square = a * a
    near = k.fma(a, polynomial(k, square, square * square, _ERF), a)
    u = a - 1
    far = 1 - exp_of_negative(k, polynomial(k, u, u * u, _REST))
    return k.copysign(k.select(a < 1, near, far), x)
