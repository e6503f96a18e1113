"""What a backend gives to the rules.

A rule of ``chain_rule`` is written against a namespace that it calls ``np``. Run unrecorded, that namespace
is a :class:`Backend`: the array module's own functions, bound once, plus the few that array modules lack or
name differently. So no rule knows a device.
"""

from __future__ import annotations

import contextlib
import math
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy

from .products import Products

Array = Any
"""A NumPy or CuPy array."""

ARRAY_FUNCTIONS = [
    "abs",
    "add",
    "all",
    "any",
    "arange",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "argmax",
    "argmin",
    "argsort",
    "asarray",
    "ascontiguousarray",
    "broadcast_to",
    "cbrt",
    "ceil",
    "clip",
    "concatenate",
    "cos",
    "cosh",
    "cumsum",
    "einsum",
    "empty",
    "empty_like",
    "equal",
    "exp",
    "exp2",
    "expm1",
    "eye",
    "flip",
    "floor",
    "floor_divide",
    "fmod",
    "from_dlpack",
    "full",
    "full_like",
    "greater",
    "greater_equal",
    "hypot",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "linspace",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mod",
    "multiply",
    "negative",
    "nonzero",
    "not_equal",
    "ones",
    "ones_like",
    "pad",
    "power",
    "reciprocal",
    "rint",
    "roll",
    "searchsorted",
    "sign",
    "sin",
    "sinh",
    "sort",
    "sqrt",
    "stack",
    "subtract",
    "sum",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "transpose",
    "tril",
    "triu",
    "trunc",
    "where",
    "zeros",
    "zeros_like",
]
"""Every function that the library takes from an array module, by NumPy's name."""

LINALG_FUNCTIONS = ("det", "solve")

CACHE_LINE = 64
"""Bytes of a line of the processor's caches."""


class Unsupported(Exception):
    """What a backend cannot write as code of its own: it is run as calls instead.

    Args:
        what: it is, after "no kernel holds".
        advice: what to write instead; "" where nothing better can be written.
    """

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(f"no kernel holds {what}" + (f"; {advice}" if advice else ""))
        self.what = what
        self.advice = advice


class Backend:
    """One array module behind one set of names.

    Args:
        name: what users call it: ``"numpy"`` or ``"cupy"``.
        module: the array module.

    Attributes:
        asynchronous: whether operations return before they are done, so that a look at a value waits for all
            of them.
    """

    asynchronous = False

    def __init__(self, name: str, module: Any) -> None:
        self.name = name
        self.array_type: type[Any] = module.ndarray
        for room, functions in ((module, ARRAY_FUNCTIONS), (module.linalg, LINALG_FUNCTIONS)):
            for function in functions:
                if not hasattr(type(self), function):  # what a device does in its own way is a method
                    setattr(self, function, getattr(room, function))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"backend {self.name!r} has no function {name!r}: add it to ARRAY_FUNCTIONS or to the Backend "
            "class"
        )

    def __repr__(self) -> str:
        return f"<backend {self.name}>"

    # -- what each device does in its own way ----------------------------------------------------------------

    def from_host(self, array: numpy.ndarray) -> Array:
        """A copy of a NumPy array on this device."""
        raise NotImplementedError

    def to_host(self, array: Array) -> numpy.ndarray:
        """The array as a NumPy array; a read-only view where that needs no copy."""
        raise NotImplementedError

    def add_at(self, array: Array, index: Any, values: Array) -> None:
        """``array[index] += values`` in place, where a repeated index counts every time."""
        raise NotImplementedError

    def erf(self, x: Array) -> Array:
        """The error function, 2/√π ∫₀ˣ exp(−t²) dt."""
        raise NotImplementedError

    def quiet(self) -> contextlib.AbstractContextManager[Any]:
        """A block in which floating-point warnings are off: a backward pass may meet the infinite slope of a
        branch not taken."""
        return contextlib.nullcontext()

    def alone(self) -> contextlib.AbstractContextManager[Any]:
        """A block in which the array module's own products use one thread: others would go on spinning,
        beside the scans that come next."""
        return contextlib.nullcontext()

    def quietly(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function that only computes, with floating-point warnings off."""
        with self.quiet():
            return function(*args)

    # -- what array modules lack, from what they have --------------------------------------------------------

    def sigmoid(self, x: Array) -> Array:
        """1 / (1 + exp(−x)); exp may overflow to inf, whose reciprocal is the right 0."""
        return self.quietly(self._sigmoid, x)

    def _sigmoid(self, x: Array) -> Array:
        # the least integer is its own negative
        y = self.exp(-(self.astype(x, numpy.float64) if x.dtype.kind == "i" else x))
        if y.ndim == 0:  # reductions to a scalar type cannot be written in place
            return 1 / (1 + y)
        y += 1
        return self.reciprocal(y, out=y)

    def astype(self, x: Array, dtype: Any) -> Array:
        return x.astype(dtype)

    def getitem(self, x: Array, index: Any) -> Array:
        return x[index]

    def scatter(self, x: Array, index: Any, shape: tuple[int, ...]) -> Array:
        """Zeros of ``shape`` with ``x`` added at ``index``: the adjoint of ``getitem``."""
        y = self.zeros(shape, x.dtype)
        self.add_at(y, index, x)
        return y

    def scatter_take(self, x: Array, indices: Array, axis: int, shape: tuple[int, ...]) -> Array:
        """The adjoint of ``take``."""
        return self.scatter(x, (slice(None),) * axis + (indices,), shape)

    def scatter_along_axis(self, x: Array, indices: Array, axis: int, shape: tuple[int, ...]) -> Array:
        """The adjoint of ``take_along_axis``."""
        grid: list[Any] = []
        for position in range(x.ndim):
            reach = (1,) * position + (-1,) + (1,) * (x.ndim - position - 1)
            grid.append(indices if position == axis else self.arange(indices.shape[position]).reshape(reach))
        if indices.shape[axis] != 1:
            return self.scatter(x, tuple(grid), shape)
        y = self.zeros(shape, x.dtype)
        y[tuple(grid)] = x  # one index along the axis cannot name a place twice
        return y

    def sum_to(self, x: Array, shape: tuple[int, ...]) -> Array:
        """Sum over the axes that broadcasting from ``shape`` added or stretched: the adjoint of
        ``broadcast_to``."""
        added = x.ndim - len(shape)
        if added == 1 and x.shape[1:] == shape:  # a bias under a batch: nearly always
            return self.sum(x, axis=0)
        axes = tuple(range(added)) + tuple(
            added + i for i, n in enumerate(shape) if n == 1 and x.shape[added + i] != 1
        )
        y = self.sum(x, axis=axes, keepdims=True) if axes else x
        return y.reshape(shape)

    def is_spread(self, x: Array) -> bool:
        """Whether several elements of an array may be one in memory."""
        return any(step == 0 and n > 1 for step, n in zip(x.strides, x.shape, strict=True))

    def copy(self, x: Array) -> Array:
        return x.copy()

    def reshape(self, x: Array, shape: Any) -> Array:
        return x.reshape(shape)

    def swapaxes(self, x: Array, axis1: int, axis2: int) -> Array:
        return x.swapaxes(axis1, axis2)

    def split(self, x: Array, points: tuple[int, ...], axis: int) -> tuple[Array, ...]:
        """Views of ``x`` cut before each of ``points``."""
        lead = (slice(None),) * axis
        parts, start = [], 0
        for end in (*points, x.shape[axis]):
            parts.append(x[(*lead, slice(start, end))])
            start = end
        return tuple(parts)

    def unstack(self, x: Array, axis: int) -> tuple[Array, ...]:
        lead = (slice(None),) * axis
        return tuple([x[(*lead, i, ...)] for i in range(x.shape[axis])])  # ... keeps numbers arrays

    def identity_like(self, x: Array) -> Array:
        """The identity matrix for each matrix of a stack."""
        return self.broadcast_to(self.eye(x.shape[-1], dtype=x.dtype), x.shape)

    def raise_to(self, x: Array, exponent: float) -> Array:
        """x to a fixed power; the operator has fast paths for small whole exponents."""
        return x**exponent

    def within(self, x: Array, what: str, least: int, n: int, advice: str) -> Array:
        """x itself, which holds integers from ``least`` to n − 1. Others are an error only where a look at
        them need not wait for a device."""
        return x

    def runs_machine_code(self) -> bool:
        """Whether code made for this processor works on its arrays, and can be made."""
        return False

    def memory(self) -> int:
        """Bytes of memory that there are, in use or not."""
        raise NotImplementedError

    def products(self) -> Products:
        """Matrix products that may wait for each other."""
        return Products(self)

    def any_nan(self, arrays: Iterable[Array]) -> bool:
        """Whether there is a NaN in any of some arrays."""
        return any(bool(self.any(self.isnan(x))) for x in arrays)

    def same_bits(self, a: Array, b: Array) -> bool:
        """Whether two arrays are equal bit for bit: NaN is itself, and 0 is not −0."""
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        bits = f"u{a.dtype.itemsize}"
        return bool(self.all(a.view(bits) == b.view(bits)))

    def fingerprint(self, array: Array) -> int:
        """A checksum of the content, to notice a change in place."""
        return zlib.crc32(numpy.ascontiguousarray(self.to_host(array)).reshape(-1).view(numpy.uint8).data)


def erf_series(x: numpy.ndarray) -> numpy.ndarray:
    """The error function in double precision, by W. J. Cody's rational approximations ("Rational Chebyshev
    approximation for the error function", Math. Comp. 23, 1969), which hold to about 1e-16 relative on three
    intervals."""
    a = numpy.abs(x)
    y = numpy.empty_like(x)
    small, large = a <= 0.46875, a > 4.0
    middle = ~small & ~large
    z = x[small] ** 2
    y[small] = x[small] * _ratio(z, _CODY_P, _CODY_Q)
    for part, tail in ((middle, _erfc_middle), (large, _erfc_large)):
        y[part] = numpy.copysign(1.0 - tail(a[part]), x[part])
    y[numpy.isnan(x)] = numpy.nan
    return y


def _ratio(z: numpy.ndarray, p: tuple[float, ...], q: tuple[float, ...]) -> numpy.ndarray:
    return numpy.polyval(p, z) / numpy.polyval(q, z)


def _erfc_middle(a: numpy.ndarray) -> numpy.ndarray:
    return numpy.exp(-a * a) * _ratio(a, _CODY_MIDDLE_P, _CODY_MIDDLE_Q)


def _erfc_large(a: numpy.ndarray) -> numpy.ndarray:
    # above 4, erfc is below 1.6e-8: its leading terms already are beyond double precision in 1 - erfc
    z = 1.0 / (a * a)
    series = 1 - z / 2 * (1 - 3 * z / 2 * (1 - 5 * z / 2 * (1 - 7 * z / 2)))
    return numpy.exp(-(numpy.minimum(a, 27.0) ** 2)) / (a * math.sqrt(math.pi)) * series


_CODY_P = (
    1.85777706184603153e-1,
    3.16112374387056560e0,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
_CODY_Q = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
_CODY_MIDDLE_P = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
    2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
    1.23033935479799725e3,
)  # fmt: skip
_CODY_MIDDLE_Q = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
    3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
)  # fmt: skip
