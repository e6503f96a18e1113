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

exp: Unary = unary(c.EXP)
exp2: Unary = unary(c.EXP2)
expm1: Unary = unary(c.EXPM1)
log: Unary = unary(c.LOG)
log2: Unary = unary(c.LOG2)
log10: Unary = unary(c.LOG10)
log1p: Unary = unary(c.LOG1P)
sqrt: Unary = unary(c.SQRT)
cbrt: Unary = unary(c.CBRT)
tanh: Unary = unary(c.TANH)
sigmoid: Unary = unary(c.SIGMOID)
softplus: Unary = unary(c.SOFTPLUS)
relu: Unary = unary(c.RELU)
abs: Unary = unary(c.ABS)
absolute: Unary = abs
erf: Unary = unary(c.ERF)
sin: Unary = unary(c.SIN)
cos: Unary = unary(c.COS)
tan: Unary = unary(c.TAN)
arcsin: Unary = unary(c.ARCSIN)
asin: Unary = arcsin
arccos: Unary = unary(c.ARCCOS)
acos: Unary = arccos
arctan: Unary = unary(c.ARCTAN)
atan: Unary = arctan
sinh: Unary = unary(c.SINH)
cosh: Unary = unary(c.COSH)
arcsinh: Unary = unary(c.ARCSINH)
asinh: Unary = arcsinh
arccosh: Unary = unary(c.ARCCOSH)
acosh: Unary = arccosh
arctanh: Unary = unary(c.ARCTANH)
atanh: Unary = arctanh
arctan2: Binary = binary(c.ARCTAN2)
atan2: Binary = arctan2
hypot: Binary = binary(c.HYPOT)
logaddexp: Binary = binary(c.LOGADDEXP)
mod: Binary = binary(c.MOD)
mod.__doc__ = """The remainder with the sign of x2, as x1 % x2.

Exact, as NumPy's. A kernel's is exact for floats where the quotient lies below 2⁴⁸ in float32 and 2¹⁰⁶ in
float64, and NaN beyond; and for integers that float64 has."""
fmod: Binary = binary(c.FMOD)
fmod.__doc__ = """The remainder with the sign of x1; as exact as :func:`mod`."""


def reciprocal(x: ArrayLike) -> Tensor:
    """1 / x. Integers become floats first: their reciprocals would be cut to 0."""
    return apply(c.RECIPROCAL, (as_float(x),))


def divide(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """x1 / x2: weighting by a reciprocal, which is taken in the dtype that NumPy's quotient has."""
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
    logarithm."""
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
    """The determinant of each matrix of a stack. Its derivative needs the inverse: LinearAlgebraError at a
    singular matrix."""
    return apply(c.DET, (as_float(a),))


# fmt: off
__all__ = [
    "abs", "absolute", "acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2",
    "arctanh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "divide", "erf", "exp",
    "exp2", "expm1", "fmod", "hypot", "log", "log1p", "log2", "log10", "logaddexp", "mod", "pow", "power",
    "reciprocal", "relu", "sigmoid", "sin", "sinh", "softplus", "sqrt", "tan", "tanh",
]
