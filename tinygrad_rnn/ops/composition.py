"""Case 1, composition: functions of one element, powers, and what has a matrix for a slope.

Division is here too: weighting by a reciprocal.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from ..chain_rule import composition as c
from ..chain_rule import weighting as w
from ..errors import DtypeError, ShapeError
from ..tape import PYTHON_NUMBERS, Node, apply
from .addition import as_float, astype
from .operands import ArrayLike, Binary, Tensor, Unary, as_tensor, as_tensors, binary, joint_shape, unary
from .shapes import broadcast_to, reshape, squeeze

exp: Unary = unary(c.EXP, "e to the power x", "1.0", "2.718")
exp2: Unary = unary(c.EXP2, "2 to the power x", "3.0", "8.000")
expm1: Unary = unary(c.EXPM1, "exp(x) − 1, exact also near 0", "1.0", "1.718")
log: Unary = unary(c.LOG, "The natural logarithm", "10.0", "2.303")
log2: Unary = unary(c.LOG2, "The logarithm to the base 2", "8.0", "3.000")
log10: Unary = unary(c.LOG10, "The logarithm to the base 10", "100.0", "2.000")
log1p: Unary = unary(c.LOG1P, "log(1 + x), exact also near 0", "1.0", "0.693")
sqrt: Unary = unary(c.SQRT, "The square root", "9.0", "3.000")
cbrt: Unary = unary(c.CBRT, "The cube root", "8.0", "2.000")
tanh: Unary = unary(c.TANH, "The hyperbolic tangent, between −1 and 1", "1.0", "0.762")
sigmoid: Unary = unary(c.SIGMOID, "1 / (1 + exp(−x)), between 0 and 1", "1.0", "0.731")
softplus: Unary = unary(c.SOFTPLUS, "log(1 + exp(x)), a smooth relu", "1.0", "1.313")
relu: Unary = unary(c.RELU, "x where it is above 0, else 0", "[-1.0, 2.0]", "[0., 2.]")
abs: Unary = unary(c.ABS, "The distance from 0", "-2.0", "2.000")
absolute: Unary = abs
erf: Unary = unary(
    c.ERF, "The error function, 2/√π times the integral of exp(−t²) from 0 to x", "1.0", "0.843"
)
sin: Unary = unary(c.SIN, "The sine", "1.0", "0.841")
cos: Unary = unary(c.COS, "The cosine", "1.0", "0.540")
tan: Unary = unary(c.TAN, "The tangent", "1.0", "1.557")
arcsin: Unary = unary(c.ARCSIN, "The angle from −π/2 to π/2 with this sine", "1.0", "1.571")
asin: Unary = arcsin
arccos: Unary = unary(c.ARCCOS, "The angle from 0 to π with this cosine", "0.0", "1.571")
acos: Unary = arccos
arctan: Unary = unary(c.ARCTAN, "The angle from −π/2 to π/2 with this tangent", "1.0", "0.785")
atan: Unary = arctan
sinh: Unary = unary(c.SINH, "The hyperbolic sine", "1.0", "1.175")
cosh: Unary = unary(c.COSH, "The hyperbolic cosine", "1.0", "1.543")
arcsinh: Unary = unary(c.ARCSINH, "The inverse of sinh", "1.0", "0.881")
asinh: Unary = arcsinh
arccosh: Unary = unary(c.ARCCOSH, "The inverse of cosh, from 1 on", "2.0", "1.317")
acosh: Unary = arccosh
arctanh: Unary = unary(c.ARCTANH, "The inverse of tanh, between −1 and 1", "0.5", "0.549")
atanh: Unary = arctanh
arctan2: Binary = binary(c.ARCTAN2, "The angle of the point (x2, x1), from −π to π", "1.0, -1.0", "2.356")
atan2: Binary = arctan2
hypot: Binary = binary(c.HYPOT, "√(x1² + x2²); at 0 its slopes are 0", "3.0, 4.0", "5.000")
logaddexp: Binary = binary(c.LOGADDEXP, "log(exp(x1) + exp(x2)), of any sizes", "0.0, 0.0", "0.693")
mod: Binary = binary(
    c.MOD,
    "The remainder with the sign of x2, as x1 % x2",
    "[7.0, -7.0], 3.0",
    "[1., 2.]",
    more="Exact, as NumPy's. A kernel's is exact for floats where the quotient lies below 2⁴⁸ in float32 and "
    "2¹⁰⁶ in float64, and NaN beyond; and for integers that float64 has.",
)
fmod: Binary = binary(
    c.FMOD,
    "The remainder with the sign of x1",
    "[7.0, -7.0], 3.0",
    "[ 1., -1.]",
    more="As exact as :func:`mod`.",
)


def reciprocal(x: ArrayLike) -> Tensor:
    """1 / x. Integers become floats first: a reciprocal of ints would be cut to 0.

    >>> tg.reciprocal([2.0, 4.0])
    tensor([0.5 , 0.25], dtype=float32)
    """
    return apply(c.RECIPROCAL, (as_float(x),))


def divide(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """x1 / x2: weighting by a reciprocal, which is taken in the dtype that NumPy's quotient has.

    >>> tg.divide([1.0, 2.0], 4.0)
    tensor([0.25, 0.5 ], dtype=float32)
    """
    if type(x2) in PYTHON_NUMBERS:
        return apply(w.MULTIPLY, (x1, _reciprocal_of_number(x2)))
    dtype = x2._data.dtype if isinstance(x2, Node) else None
    alike = type(x1) in PYTHON_NUMBERS or (isinstance(x1, Node) and x1._data.dtype is dtype)
    if not (alike and dtype is not None and dtype.kind == "f"):
        if type(x1) in PYTHON_NUMBERS:
            x2 = as_tensor(x2)
        else:
            x1, x2 = as_tensors(x1, x2)
        ours: Any = x1._data.dtype if isinstance(x1, Node) else x1
        joint = numpy.result_type(ours, x2._data.dtype)
        x2 = astype(x2, joint if joint.kind == "f" else numpy.float64)
    return apply(w.MULTIPLY, (x1, reciprocal(x2)))


def _reciprocal_of_number(x: Any) -> float:
    return 1 / x if x else math.copysign(math.inf, x)


def power(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """x1 to the power x2, elementwise. A Python number as exponent has a row of its own, without the
    logarithm.

    >>> tg.power([1.0, 2.0, 3.0], 2)
    tensor([1., 4., 9.], dtype=float32)
    """
    if type(x2) in PYTHON_NUMBERS:
        return apply(c.RAISE_TO, (x1,), (x2,))
    # the rule looks at the base: it must be an array
    if isinstance(x1, (int, float)) and type(x1) in PYTHON_NUMBERS and isinstance(x2, Node):
        try:
            x1 = Node.result_type(
                x2._backend.full((), x1, numpy.result_type(x2._data.dtype, x1)), x2._backend
            )
        except OverflowError as error:
            raise DtypeError(f"power: x1: {error}; convert it to a float") from error
    return apply(c.POWER, (x1, x2))


pow = power


def raise_to(x: ArrayLike, exponent: float) -> Tensor:
    """x to a fixed power."""
    return apply(c.RAISE_TO, (x,), (exponent,))


def solve(a: ArrayLike, b: ArrayLike) -> Tensor:
    """The x of a @ x = b, as ``numpy.linalg.solve``: b is a vector if it has one axis, else matrices.

    >>> tg.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [1.0, 1.0])
    tensor([0.5 , 0.25], dtype=float32)

    Raises:
        LinearAlgebraError: a matrix of ``a`` is singular.
    """
    a, b = as_float(a), as_float(b)
    if a.ndim < 2 or b.ndim == 0 or a.shape[-1] != a.shape[-2]:
        raise ShapeError(
            f"solve: needs square matrices and vectors or matrices, got shapes {a.shape} and {b.shape}"
        )
    columns = reshape(b, (*b.shape, 1)) if b.ndim == 1 else b
    stack = joint_shape("solve", a.shape[:-2], columns.shape[:-2])  # devices do not broadcast here
    y = apply(
        c.SOLVE,
        [x if x.shape[:-2] == stack else broadcast_to(x, (*stack, *x.shape[-2:])) for x in (a, columns)],
    )
    return squeeze(y, -1) if b.ndim == 1 else y


def det(a: ArrayLike) -> Tensor:
    """The determinant of each matrix of a stack; its derivative needs the inverse.

    >>> tg.linalg.det([[2.0, 0.0], [1.0, 4.0]])
    tensor(8., dtype=float32)

    Raises:
        LinearAlgebraError: a derivative is asked for at a singular matrix.
    """
    return apply(c.DET, (as_float(a),))


# fmt: off
__all__ = [
    "abs", "absolute", "acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2",
    "arctanh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "divide", "erf", "exp",
    "exp2", "expm1", "fmod", "hypot", "log", "log1p", "log2", "log10", "logaddexp", "mod", "pow", "power",
    "reciprocal", "relu", "sigmoid", "sin", "sinh", "softplus", "sqrt", "tan", "tanh",
]
