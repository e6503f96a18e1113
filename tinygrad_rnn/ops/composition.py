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
from .operands import Tensor, as_tensor, as_tensors, binary, joint_shape, unary
from .shapes import broadcast_to, reshape, squeeze

exp = unary(c.EXP)
exp2 = unary(c.EXP2)
expm1 = unary(c.EXPM1)
log = unary(c.LOG)
log2 = unary(c.LOG2)
log10 = unary(c.LOG10)
log1p = unary(c.LOG1P)
sqrt = unary(c.SQRT)
cbrt = unary(c.CBRT)
tanh = unary(c.TANH)
sigmoid = unary(c.SIGMOID)
softplus = unary(c.SOFTPLUS)
relu = unary(c.RELU)
abs = absolute = unary(c.ABS)
erf = unary(c.ERF)
sin = unary(c.SIN)
cos = unary(c.COS)
tan = unary(c.TAN)
arcsin = asin = unary(c.ARCSIN)
arccos = acos = unary(c.ARCCOS)
arctan = atan = unary(c.ARCTAN)
sinh = unary(c.SINH)
cosh = unary(c.COSH)
arcsinh = asinh = unary(c.ARCSINH)
arccosh = acosh = unary(c.ARCCOSH)
arctanh = atanh = unary(c.ARCTANH)
arctan2 = atan2 = binary(c.ARCTAN2)
hypot = binary(c.HYPOT)
logaddexp = binary(c.LOGADDEXP)
mod = binary(c.MOD)
mod.__doc__ = """The remainder with the sign of x2, as x1 % x2.

Exact, as NumPy's. A kernel's is exact for floats where the quotient lies below 2⁴⁸ in float32 and 2¹⁰⁶ in
float64, and NaN beyond; and for integers that float64 has."""
fmod = binary(c.FMOD)
fmod.__doc__ = """The remainder with the sign of x1; as exact as :func:`mod`."""


def reciprocal(x: Any) -> Any:
    """1 / x. Whole numbers become floats first: a reciprocal of ints would be cut to 0."""
    if isinstance(x, Node):
        return apply(c.RECIPROCAL, (x if x._data.dtype.kind == "f" else astype(x, numpy.float64),))
    if type(x) in PYTHON_NUMBERS:
        return 1 / x if x else math.copysign(math.inf, x)
    return reciprocal(as_tensor(x))


def divide(x1: Any, x2: Any) -> Tensor:
    """x1 / x2: weighting by a reciprocal, which is taken in the dtype that NumPy's quotient has."""
    dtype = x2._data.dtype if isinstance(x2, Node) else None
    alike = type(x1) in PYTHON_NUMBERS or (isinstance(x1, Node) and x1._data.dtype is dtype)
    if not (alike and dtype is not None and dtype.kind == "f") and type(x2) not in PYTHON_NUMBERS:
        if type(x1) in PYTHON_NUMBERS:
            x2 = as_tensor(x2)
        else:
            x1, x2 = as_tensors(x1, x2)
        joint = numpy.result_type(x1._data.dtype if isinstance(x1, Node) else x1, x2._data.dtype)
        x2 = astype(x2, joint if joint.kind == "f" else numpy.float64)
    return apply(w.MULTIPLY, (x1, reciprocal(x2)))


def power(x1: Any, x2: Any) -> Tensor:
    """x1 to the power x2, elementwise. A Python number as exponent has a row of its own, without the
    logarithm."""
    if type(x2) in (int, float, bool):
        return apply(c.RAISE_TO, (x1,), (x2,))
    # the rule looks at the base: it must be an array
    if type(x1) in (int, float, bool) and isinstance(x2, Node):
        try:
            x1 = Node.result_type(
                x2._backend.full((), x1, numpy.result_type(x2._data.dtype, x1)), x2._backend
            )
        except OverflowError as error:
            raise DtypeError(f"power: x1: {error}; convert it to a float") from error
    return apply(c.POWER, (x1, x2))


pow = power


def raise_to(x: Any, exponent: float) -> Tensor:
    """x to a fixed power."""
    return apply(c.RAISE_TO, (x,), (exponent,))


def solve(a: Any, b: Any) -> Tensor:
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


def det(a: Any) -> Tensor:
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
