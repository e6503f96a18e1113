"""The coefficients of the lowerings: ``python -m tests.chain_rule.minimax [name ...]`` finds them again.

Each is the polynomial whose largest error on an interval is least (Remez). Its coefficients are rounded to
floats one by one, from the lowest power up, and the rest is fitted again each time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import mpmath as mp

Function = Callable[[Any], Any]


def value_at(coefficients, x):
    """A polynomial's value by Horner's rule, the highest power first."""
    value = mp.mpf(0)
    for a in coefficients:
        value = value * x + a
    return value


def _ratio(function: Function, z: Any) -> Any:
    """f(√z) / √z."""
    return function(mp.sqrt(z)) / mp.sqrt(z)


class Target(NamedTuple):
    """What a polynomial has to be like, and how much an error weighs; where, and by how many coefficients.

    ``last`` and ``degree`` are for 24 and for 53 bits.
    """

    function: Function
    weight: Function
    first: Any
    last: tuple[Any, Any]
    degree: tuple[int, int]


def _exp(weight: Function, first: Any, last: tuple[Any, Any], degree: tuple[int, int]) -> Target:
    return Target(lambda r: (mp.exp(r) - 1 - r) / r**2, weight, first, last, degree)


def _odd(function: Function, last: Any, degree: tuple[int, int], times: int = 1) -> Target:
    """times · (f(x)/x − 1) / x² by x², for the error relative to f(x)/x."""
    wanted = lambda z: times * (_ratio(function, z) - 1) / z  # noqa: E731
    return Target(wanted, lambda z: z / times / _ratio(function, z), 0, (last, last), degree)


_LOG2 = mp.log(2)
_ROOT = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)  # the largest (m − 1) / (m + 1) where m is between √½ and √2

POLYNOMIALS = {
    "exponential._NEAR": _exp(lambda r: r**2 / mp.exp(r), -_LOG2 / 2 - 1e-6, (_LOG2 / 2 + 1e-6,) * 2, (4, 9)),
    "exponential._ABOVE": _exp(lambda r: r**2 / mp.expm1(r), -1e-4, (_LOG2 + 1e-4, _LOG2 + 1e-9), (5, 10)),
    "exponential._TANH": _odd(mp.tanh, mp.mpf(0.3) ** 2, (2, 7)),
    "exponential._ERF": Target(lambda z: _ratio(mp.erf, z) - 1, lambda z: 1 / _ratio(mp.erf, z), 0, (1, 1),
    (6, 11)),
    "exponential._REST": Target(
        lambda u: -mp.log(mp.erfc(1 + u)), lambda u: mp.erfc(1 + u) / mp.erf(1 + u), 0, (3, 5), (6, 18)
    ),
    "logarithmic._ARTANH": _odd(mp.atanh, _ROOT**2, (2, 6), times=2),
    "powers._ARTANH": Target(
        lambda z: (_ratio(mp.atanh, z) - 1 - z / 3) / z**2, lambda z: z**2, 0, (_ROOT**2,) * 2, (2, 7)
    ),
    "trigonometric._SIN": _odd(mp.sin, (mp.pi / 4) ** 2, (2, 5)),
    "trigonometric._COS": Target(
        lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2, lambda z: z**2 / mp.cos(mp.sqrt(z)),
        0, ((mp.pi / 4) ** 2,) * 2, (2, 5),
    ),
    "trigonometric._ARCTAN": _odd(mp.atan, 1, (7, 18)),
    "trigonometric._ARCSIN": _odd(mp.asin, 0.25, (4, 11)),
}  # fmt: skip


def remez(values: Sequence[Any], weights: Sequence[Any], xs: Sequence[Any], degree: int) -> list[Any]:
    """Coefficients from the lowest power: the polynomial whose weighted error at points is least."""
    count, last = degree + 2, len(xs) - 1
    chosen = [round((1 - mp.cos(mp.pi * i / (count - 1))) / 2 * last) for i in range(count)]
    for _ in range(60):
        matrix, right = mp.matrix(count, count), mp.matrix(count, 1)
        for row, i in enumerate(chosen):
            for power in range(degree + 1):
                matrix[row, power] = weights[i] * xs[i] ** power
            matrix[row, degree + 1], right[row] = (-1) ** row, weights[i] * values[i]
        solved = mp.lu_solve(matrix, right)
        coefficients = [solved[power] for power in range(degree + 1)]
        error = [
            w * (v - value_at(coefficients[::-1], x)) for v, w, x in zip(values, weights, xs, strict=True)
        ]
        peaks = alternating(error, count)
        if len(peaks) < count or peaks == chosen:
            break
        chosen = peaks
    return coefficients


def alternating(error: Sequence[Any], count: int) -> list[int]:
    """The places of the largest errors, as many as are asked for, whose signs alternate."""
    peaks: list[int] = []
    for i, e in enumerate(error):
        if not peaks or (e > 0) != (error[peaks[-1]] > 0):
            peaks.append(i)
        elif abs(e) > abs(error[peaks[-1]]):
            peaks[-1] = i
    while len(peaks) > count:
        sizes = [abs(error[i]) for i in peaks]
        least = sizes.index(min(sizes))
        if least in (0, len(peaks) - 1) or len(peaks) == count + 1:
            del peaks[0 if sizes[0] < sizes[-1] else -1]
        else:  # with a neighbour, so that signs alternate still
            least -= sizes[least - 1] < sizes[least + 1]
            del peaks[least : least + 2]
    return peaks


def rounded(value: Any, bits: int) -> Any:
    mantissa, exponent = mp.frexp(value)
    return mp.ldexp(mp.nint(mp.ldexp(mantissa, bits)), exponent - bits)


def fitted(name: str, bits: int) -> tuple[list[float], float]:
    """Coefficients from the highest power, and the binary logarithm of the largest weighted error."""
    function, weight, first, ends, degrees = POLYNOMIALS[name]
    last, highest = (pair[bits == 53] for pair in (ends, degrees))
    count = 60 * (highest + 2)
    xs = [
        (first + last) / 2 - (last - first) / 2 * mp.cos(mp.pi * (i + mp.mpf(0.5)) / count)
        for i in range(count)
    ]
    values, weights = [function(x) for x in xs], [weight(x) for x in xs]
    rest, weight_of_rest, coefficients = values, weights, []
    for degree in range(highest, -1, -1):
        coefficients.append(rounded(remez(rest, weight_of_rest, xs, degree)[0], bits))
        rest = [(value - coefficients[-1]) / x for value, x in zip(rest, xs, strict=True)]
        weight_of_rest = [w * abs(x) for w, x in zip(weight_of_rest, xs, strict=True)]
    errors = [w * (v - value_at(coefficients[::-1], x)) for v, w, x in zip(values, weights, xs, strict=True)]
    return [float(c) for c in reversed(coefficients)], float(mp.log(max(map(abs, errors)), 2))


def main() -> None:
    with mp.workprec(300):
        for name in sys.argv[1:] or POLYNOMIALS:
            for bits in (24, 53):
                coefficients, error = fitted(name, bits)
                print(
                    f"{name} float{32 if bits == 24 else 64}: 2^{error:.1f}\n    "
                    f"{', '.join(map(repr, coefficients))}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
