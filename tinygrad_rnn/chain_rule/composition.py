"""Case 1, composition:  y = f(x)   ⇒   dx = dy · f′(x).

The residual is multiplied by the local slope; so it changes, and a chain of slopes below 1 makes it vanish. A
row is (name, lowering, slope per operand); its ``forward`` is the namespace's function of that name, or said
where there is none. Slopes are written with y where that is cheaper than with x: sigmoid and tanh are rows,
not derived, because their slopes y(1 − y) and 1 − y² come from the output for three multiplications.

At kinks: relu′(0) = 0, abs′(0) = 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .lowering import arithmetic, exponential, logarithmic, powers, trigonometric
from .lowering.lowered import Lowering
from .registry import rows
from .row import Row

Slope = Callable[..., Any]


def composition(
    name: str,
    lowering: Lowering,
    *slopes: Slope,
    forward: Callable[..., Any] | None = None,
    symbol: str = "",
    masks: bool = False,
    **traits: Any,
) -> Row:
    """File an elementwise function.

    Args:
        lowering: how it is computed in code.
        slopes: slope(np, y, *xs, *params), one for each operand.
        forward: forward(np, *xs, *params), where the namespace has no function of that name.
        traits: what else a :class:`Row` says.
    """

    def call(np: Any, *args: Any) -> Any:
        return getattr(np, name)(*args)

    def pull(np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
        return [
            g * slope(np, y, *xs, *params) if needed else None
            for slope, needed in zip(slopes, needs, strict=True)
        ]

    def pull_one(np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
        return (g * slopes[0](np, y, *xs, *params),)

    def pull_masked(np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
        slope = slopes[0](np, y, *xs, *params)
        return (np.where(slope == 0, 0, g * slope),)  # also where g is infinite

    def push(np: Any, tangents: Any, y: Any, xs: Any, params: Any) -> Any:
        if masks:
            return pull_masked(np, tangents[0], y, xs, params, ())[0]
        terms = [
            t * slope(np, y, *xs, *params) for t, slope in zip(tangents, slopes, strict=True) if t is not None
        ]
        return terms[0] if len(terms) == 1 else terms[0] + terms[1]

    return rows.add(
        Row(
            name,
            "composition",
            symbol or name,
            forward or call,
            pull_masked if masks else pull_one if len(slopes) == 1 else pull,
            push,
            slopes,
            lowering=lowering,
            masks=masks,
            named=forward is None,
            **traits,
        )
    )


def matrix_composition(
    name: str, formula: str, says: str, pull: Slope, push: Slope, outline: Slope | None = None
) -> Row:
    """File one of the rare compositions whose slope is not diagonal: a function of whole matrices."""

    def call(np: Any, *args: Any) -> Any:
        return getattr(np, name)(*args)

    return rows.add(
        Row(name, "composition", name, call, pull, push, outline=outline, formula=formula, says=says)
    )


EXP = composition("exp", exponential.exp, lambda np, y, x: y)
EXP2 = composition("exp2", exponential.exp2, lambda np, y, x: y * math.log(2))
EXPM1 = composition("expm1", exponential.expm1, lambda np, y, x: y + 1)
LOG = composition("log", logarithmic.log, lambda np, y, x: np.reciprocal(x))
LOG2 = composition("log2", logarithmic.log2, lambda np, y, x: np.reciprocal(x * math.log(2)))
LOG10 = composition("log10", logarithmic.log10, lambda np, y, x: np.reciprocal(x * math.log(10)))
LOG1P = composition("log1p", logarithmic.log1p, lambda np, y, x: np.reciprocal(1 + x))
SQRT = composition("sqrt", powers.sqrt, lambda np, y, x: np.reciprocal(2 * y), symbol="√")
CBRT = composition("cbrt", powers.cbrt, lambda np, y, x: np.reciprocal(3 * y * y), symbol="∛")
RECIPROCAL = composition(
    "reciprocal", powers.reciprocal, lambda np, y, x: -(y * y), symbol="1/x", formula="1/x"
)

TANH = composition("tanh", exponential.tanh, lambda np, y, x: 1 - y * y, flattens=True)
SIGMOID = composition("sigmoid", exponential.sigmoid, lambda np, y, x: y * (1 - y), symbol="σ", flattens=True)
SOFTPLUS = composition(
    "softplus", logarithmic.softplus, lambda np, y, x: np.sigmoid(x), forward=lambda np, x: np.logaddexp(x, 0)
)
RELU = composition(
    "relu",
    arithmetic.relu,
    lambda np, y, x: np.astype(x > 0, x.dtype),
    forward=lambda np, x: np.maximum(x, 0),
    masks=True,
    flattens=True,
)
ABS = composition("abs", arithmetic.absolute, lambda np, y, x: np.sign(x), symbol="|x|", formula="|x|")
ERF = composition(
    "erf", exponential.erf, lambda np, y, x: 2 / math.sqrt(math.pi) * np.exp(-(x * x)), flattens=True
)

SIN = composition("sin", trigonometric.sin, lambda np, y, x: np.cos(x))
COS = composition("cos", trigonometric.cos, lambda np, y, x: -np.sin(x))
TAN = composition("tan", trigonometric.tan, lambda np, y, x: 1 + y * y)
ARCSIN = composition(
    "arcsin", trigonometric.arcsin, lambda np, y, x: np.reciprocal(np.sqrt((1 - x) * (1 + x)))
)
ARCCOS = composition(
    "arccos", trigonometric.arccos, lambda np, y, x: -np.reciprocal(np.sqrt((1 - x) * (1 + x)))
)
ARCTAN = composition("arctan", trigonometric.arctan, lambda np, y, x: np.reciprocal(1 + x * x))
SINH = composition("sinh", exponential.sinh, lambda np, y, x: np.cosh(x))
COSH = composition("cosh", exponential.cosh, lambda np, y, x: np.sinh(x))
ARCSINH = composition("arcsinh", logarithmic.arcsinh, lambda np, y, x: np.reciprocal(np.sqrt(1 + x * x)))
ARCCOSH = composition(
    "arccosh", logarithmic.arccosh, lambda np, y, x: np.reciprocal(np.sqrt((x - 1) * (x + 1)))
)
ARCTANH = composition("arctanh", logarithmic.arctanh, lambda np, y, x: np.reciprocal((1 - x) * (1 + x)))


def _power_slope_base(np: Any, y: Any, base: Any, exponent: Any) -> Any:
    # exponent · base^(exponent − 1), and 0 where the exponent is 0, also at base 0
    flat = exponent == 0
    return np.where(flat, 0, exponent * np.power(np.where(flat, 1, base), exponent - 1))


def _power_slope_exponent(np: Any, y: Any, base: Any, exponent: Any) -> Any:
    # y · log(base), and 0 at base 0, where y stays 0
    zero = base == 0
    return y * np.log(np.where(zero, 1, base))


def _raise_to_slope(np: Any, y: Any, x: Any, exponent: float) -> Any:
    if exponent == 2:
        return 2 * x
    return x * 0 if exponent == 0 else exponent * np.raise_to(x, exponent - 1)


def _wholes_towards_zero(np: Any, y: Any, a: Any, b: Any) -> Any:
    # how many b were taken off, from what is left: a quotient that is rounded first may be one more
    return np.rint((y - a) * np.reciprocal(np.astype(b, y.dtype)))


# between its jumps a remainder is a − n b with a whole n that stays
MOD = composition(
    "mod",
    arithmetic.mod,
    lambda np, y, a, b: 1,
    lambda np, y, a, b: -np.astype(np.floor_divide(a, b), y.dtype),
    symbol="mod",
    says="da = dy; db = −dy · ⌊a / b⌋",
)
FMOD = composition(
    "fmod",
    arithmetic.fmod,
    lambda np, y, a, b: 1,
    _wholes_towards_zero,
    says="da = dy; db = −dy · trunc(a / b)",
)

POWER = composition(
    "power",
    powers.power,
    _power_slope_base,
    _power_slope_exponent,
    symbol="xʸ",
    says="da = dy · b · aᵇ⁻¹; db = dy · y · log(a)",
)
RAISE_TO = composition(
    "raise_to", powers.raise_to, _raise_to_slope, symbol="xⁿ", formula="xⁿ", says="dx = dy · n · xⁿ⁻¹"
)

ARCTAN2 = composition(
    "arctan2",
    trigonometric.arctan2,
    lambda np, y, a, b: b * np.reciprocal(a * a + b * b),
    lambda np, y, a, b: -a * np.reciprocal(a * a + b * b),
)
HYPOT = composition(
    "hypot",
    powers.hypot,  # at 0 all its derivatives are 0, as those of norms
    lambda np, y, a, b: np.where(y == 0, 0, a) * np.reciprocal(np.where(y == 0, 1, y)),
    lambda np, y, a, b: np.where(y == 0, 0, b) * np.reciprocal(np.where(y == 0, 1, y)),
)
LOGADDEXP = composition(
    "logaddexp",
    logarithmic.logaddexp,  # where y equals an operand the slope is 1, also at −inf
    lambda np, y, a, b: np.exp(np.where(a == y, 0, a - y)),
    lambda np, y, a, b: np.exp(np.where(b == y, 0, b - y)),
)


def _solve_pull(np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
    # A y = b:  db = A⁻ᵀ dy,  dA = −db yᵀ
    (a, _b) = xs
    db = np.solve(np.swapaxes(a, -1, -2), g)
    return (-np.matmul(db, np.swapaxes(y, -1, -2)) if needs[0] else None, db)


def _solve_push(np: Any, tangents: Any, y: Any, xs: Any, params: Any) -> Any:
    # A ẏ = ḃ − Ȧ y
    ta, tb = tangents
    if ta is None:
        return np.solve(xs[0], tb)
    return np.solve(xs[0], -np.matmul(ta, y) if tb is None else tb - np.matmul(ta, y))


def _cofactors(np: Any, y: Any, a: Any) -> Any:
    # Jacobi: ∂ det(A) / ∂A = det(A) · A⁻ᵀ
    return np.reshape(y, (*y.shape, 1, 1)) * np.solve(np.swapaxes(a, -1, -2), np.identity_like(a))


def _det_pull(np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
    return (np.reshape(g, (*g.shape, 1, 1)) * _cofactors(np, y, xs[0]),)


def _det_push(np: Any, tangents: Any, y: Any, xs: Any, params: Any) -> Any:
    return np.sum(tangents[0] * _cofactors(np, y, xs[0]), axis=(-2, -1))


def _solve_outline(np: Any, a: Any, b: Any) -> Any:
    """What a solution looks like, also of singular matrices."""
    return np.full_like(np.matmul(a, b), math.nan)


SOLVE = matrix_composition(
    "solve", "solve(A, b)", "db = A⁻ᵀ dy, dA = −db yᵀ", _solve_pull, _solve_push, _solve_outline
)
DET = matrix_composition("det", "det(A)", "dA = dy · y · A⁻ᵀ", _det_pull, _det_push)
