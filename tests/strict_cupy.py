"""A stand-in for CuPy that is as strict as CuPy is, computing with NumPy: so that the device code runs where
there is no device.

It has only names that CuPy has, with CuPy's parameters (``test_strict_cupy.py`` compares with the real
package where that is installed). An array of it is no NumPy array, does not mix with one, does not turn into
one unasked, and stays on the device down to single numbers. Every operation that would start a kernel is
counted, and so is every look at a value, which makes the host wait for the device. Kernels in CUDA C are
compiled as C and really run.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import inspect
import math
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest


class Counts:
    """What the device had to do: kernels started, and times that the host waited."""

    def __init__(self) -> None:
        self.launches = 0
        self.synchronisations = 0

    def reset(self) -> None:
        self.launches = self.synchronisations = 0


counts = Counts()

UFUNCS = [
    "abs",
    "add",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "cbrt",
    "ceil",
    "copysign",
    "cos",
    "cosh",
    "equal",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "floor_divide",
    "fmod",
    "greater",
    "greater_equal",
    "hypot",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "mod",
    "multiply",
    "negative",
    "not_equal",
    "power",
    "reciprocal",
    "rint",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "subtract",
    "tan",
    "tanh",
    "trunc",
]
"""CuPy's elementwise functions that the library uses."""

SIGNATURES = {
    "all": "a, axis=None, out=None, keepdims=False",
    "any": "a, axis=None, out=None, keepdims=False",
    "arange": "start, stop=None, step=1, dtype=None",
    "argmax": "a, axis=None, dtype=None, out=None, keepdims=False",
    "argmin": "a, axis=None, dtype=None, out=None, keepdims=False",
    "argsort": "a, axis=-1, kind=None",
    "array": "obj, dtype=None, copy=True, order='K', subok=False, ndmin=0, *, blocking=False",
    "asarray": "a, dtype=None, order=None, *, copy=None, blocking=False",
    "ascontiguousarray": "a, dtype=None",
    "asnumpy": "a, stream=None, order='C', out=None, *, blocking=True",
    "broadcast_to": "array, shape",
    "clip": "a, a_min, a_max, out=None",
    "concatenate": "tup, axis=0, out=None, *, dtype=None, casting='same_kind'",
    "cumsum": "a, axis=None, dtype=None, out=None",
    "einsum": "*operands, **kwargs",
    "empty": "shape, dtype=float, order='C'",
    "empty_like": "prototype, dtype=None, order='K', subok=None, shape=None",
    "eye": "N, M=None, k=0, dtype=float, order='C'",
    "flip": "a, axis=None",
    "full": "shape, fill_value, dtype=None, order='C'",
    "full_like": "a, fill_value, dtype=None, order='K', subok=None, shape=None",
    "linspace": "start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0",
    "matmul": (
        "*args, axes=None, axis=None, keepdims=False, casting='same_kind', dtype=None, "
        "signature=None, order='K', out=None"
    ),
    "max": "a, axis=None, out=None, keepdims=False",
    "mean": "a, axis=None, dtype=None, out=None, keepdims=False",
    "min": "a, axis=None, out=None, keepdims=False",
    "nonzero": "a",
    "ones": "shape, dtype=float, order='C'",
    "ones_like": "a, dtype=None, order='K', subok=None, shape=None",
    "pad": "array, pad_width, mode='constant', **kwargs",
    "reshape": "a, newshape, order='C', *, copy=None",
    "roll": "a, shift, axis=None",
    "searchsorted": "a, v, side='left', sorter=None",
    "sort": "a, axis=-1, kind=None",
    "stack": "tup, axis=0, out=None, *, dtype=None, casting='same_kind'",
    "sum": "a, axis=None, dtype=None, out=None, keepdims=False",
    "swapaxes": "a, axis1, axis2",
    "take": "a, indices, axis=None, out=None",
    "take_along_axis": "a, indices, axis",
    "transpose": "a, axes=None",
    "tril": "m, k=0",
    "triu": "m, k=0",
    "where": "condition, x=None, y=None",
    "zeros": "shape, dtype=float, order='C'",
    "zeros_like": "a, dtype=None, order='K', subok=None, shape=None",
    "linalg.det": "a",
    "linalg.solve": "a, b",
}
"""CuPy's other functions that the library uses, and their parameters in CuPy 14."""


def signature(text: str) -> inspect.Signature:
    return inspect.signature(eval(f"lambda {text}: None"))


# -- crossing between host and device ------------------------------------------------------------------------


def _unwrap(x: Any, seen: list[ndarray]) -> Any:
    if isinstance(x, ndarray):
        seen.append(x)
        return x._host
    if isinstance(x, numpy.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    if isinstance(x, (list, tuple)):
        return type(x)(_unwrap(part, seen) for part in x)
    return x


def _wrap(result: Any, seen: list[ndarray]) -> Any:
    if result is NotImplemented:
        return result
    if isinstance(result, tuple):
        return tuple(_wrap(part, seen) for part in result)
    for x in seen:
        if result is x._host:
            return x
    host = numpy.asarray(result)
    for x in seen:
        if host.size and numpy.may_share_memory(host, x._host):
            return ndarray._made(host, x if x.base is None else x.base)
    counts.launches += 1
    return ndarray._made(host, None)


def _run(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    seen: list[ndarray] = []
    args = _unwrap(args, seen)
    kwargs = {name: _unwrap(value, seen) for name, value in kwargs.items()}
    with numpy.errstate(all="ignore"):  # a device says nothing about overflow
        return _wrap(function(*args, **kwargs), seen)


def _fetch(x: ndarray) -> numpy.ndarray:
    counts.synchronisations += 1
    return x._host.copy()


def _settled(shape: tuple[int, ...], index: Any) -> Any:
    """An index with host arrays in it; whole numbers out of range wrap around, as on the device."""
    parts = index if isinstance(index, tuple) else (index,)
    named = sum(_reach(part) for part in parts)
    axis, settled = 0, []
    for part in parts:
        if part is Ellipsis:
            axis += len(shape) - named
        if isinstance(part, (numpy.ndarray, list)):
            raise TypeError(f"Unsupported type {type(part)}")
        if isinstance(part, ndarray):
            if part.dtype.kind not in "biu":
                raise IndexError(
                    f"arrays used as indices must be of integer or boolean type. (actual: {part.dtype.type})"
                )
            host = part._host
            if part.dtype.kind == "b":
                counts.synchronisations += 1  # the shape of the result is on the device
            else:
                host = host % max(shape[axis], 1)
            settled.append(host)
        else:
            settled.append(part)
        axis += _reach(part)
    if any(isinstance(part, ndarray) for part in parts):
        return tuple(settled) if isinstance(index, tuple) else settled[0]
    return tuple(settled) if Ellipsis in settled else (*settled, ...)  # a single number too stays a view


def _reach(part: Any) -> int:
    """How many axes a part of an index stands for."""
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    return part.ndim if isinstance(part, ndarray) and part.dtype.kind == "b" else 1


# -- numbers -------------------------------------------------------------------------------------------------


def _floor_divide(a: Any, b: Any, dtype: Any = None) -> Any:
    whole = numpy.floor_divide(a, b)
    return (
        numpy.asarray(numpy.floor(numpy.asarray(a, whole.dtype) / b), whole.dtype)
        if whole.dtype.kind == "f"
        else whole
    )


def _mod(a: Any, b: Any, dtype: Any = None) -> Any:
    rest = numpy.mod(a, b)
    return numpy.asarray(a - _floor_divide(a, b) * b, rest.dtype) if rest.dtype.kind == "f" else rest


def _power(a: Any, b: Any, dtype: Any = None) -> Any:
    whole = numpy.result_type(a, b).kind == "i"
    return numpy.power(a, numpy.maximum(b, 0)) * (numpy.asarray(b) >= 0) if whole else numpy.power(a, b)


_CUPYS = {
    "floor_divide": _floor_divide,
    "__floordiv__": _floor_divide,
    "mod": _mod,
    "remainder": _mod,
    "__mod__": _mod,
    "power": _power,
    "__pow__": _power,
}
"""What CuPy computes in another way than NumPy: one can tell where a quotient is rounded up, or infinite, and
by negative powers."""


# -- the array -----------------------------------------------------------------------------------------------


_OPERATORS = {
    "__add__": "add", "__sub__": "subtract", "__mul__": "multiply", "__truediv__": "divide", "__floordiv__": "floor_divide",
    "__mod__": "remainder", "__pow__": "power", "__matmul__": "matmul", "__and__": "bitwise_and", "__or__": "bitwise_or",
    "__xor__": "bitwise_xor", "__lt__": "less", "__le__": "less_equal", "__gt__": "greater", "__ge__": "greater_equal",
    "__eq__": "equal", "__ne__": "not_equal",
}  # fmt: skip


def _foreign(x: Any) -> bool:
    """Whether x may know better than a device array what to do with it."""
    return hasattr(type(x), "__array_ufunc__") and not isinstance(x, (ndarray, numpy.ndarray, numpy.generic))


def _operator(name: str) -> Callable[..., Any]:
    function, by_numpy = _CUPYS.get(name, getattr(numpy.ndarray, name)), getattr(numpy, _OPERATORS[name])

    def operate(self: ndarray, other: Any) -> Any:
        return by_numpy(self, other) if _foreign(other) else _run(function, self, other)

    return operate


def _reflected(name: str) -> Callable[..., Any]:
    function = getattr(numpy.ndarray, name)

    def operate(self: ndarray, other: Any) -> Any:
        if isinstance(other, numpy.ndarray):
            raise TypeError(f"Unsupported type {type(other)}")
        return _run(function, self, other)

    return operate


def _in_place(name: str) -> Callable[..., Any]:
    function = getattr(numpy.ndarray, name)

    def operate(self: ndarray, other: Any) -> ndarray:
        if _foreign(other):
            raise TypeError(f"Unsupported type {type(other)}")
        counts.launches += 1
        _run(function, self, other)
        return self

    return operate


def _method(name: str) -> Callable[..., Any]:
    function = getattr(numpy.ndarray, name)

    def call(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        return _run(function, self, *args, **kwargs)

    return call


class ndarray:
    """A device array. ``base`` is the array that owns the memory of a view, as in CuPy."""

    __slots__ = ("__weakref__", "_host", "base")
    __hash__ = None  # type: ignore[assignment]
    __array_priority__ = 100
    _host: numpy.ndarray
    base: ndarray | None

    def __init__(self, shape: Any, dtype: Any = float) -> None:
        self._host = numpy.empty(shape, dtype)
        self.base = None

    @classmethod
    def _made(cls, host: numpy.ndarray, base: ndarray | None) -> ndarray:
        x = cls.__new__(cls)
        x._host, x.base = host, base
        return x

    def __array__(self, dtype: Any = None, copy: Any = None) -> numpy.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy "
            "array explicitly."
        )

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or function.__name__ not in UFUNCS or any(map(_foreign, inputs)):
            return NotImplemented
        return _run(function, *inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise TypeError(
            f"numpy.{function.__name__} was called with a device array: use the backend's function"
        )

    # what can be known without asking the device
    dtype = property(lambda self: self._host.dtype)
    itemsize = property(lambda self: self._host.itemsize)
    nbytes = property(lambda self: self._host.nbytes)
    ndim = property(lambda self: self._host.ndim)
    shape = property(lambda self: self._host.shape)
    size = property(lambda self: self._host.size)
    strides = property(lambda self: self._host.strides)
    T = property(lambda self: _run(numpy.transpose, self))

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Iterator[Any]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def view(self, dtype: Any = None) -> Any:
        """The same memory as numbers of another dtype."""
        return ndarray._made(self._host.view(dtype), self if self.base is None else self.base)

    # what has to wait for the device
    def get(
        self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True
    ) -> numpy.ndarray:
        return _fetch(self)

    def item(self) -> Any:
        return _fetch(self).item()

    def tolist(self) -> Any:
        return _fetch(self).tolist()

    def __float__(self) -> float:
        return float(_fetch(self))

    def __int__(self) -> int:
        return int(_fetch(self))

    def __bool__(self) -> bool:
        return bool(_fetch(self))

    def __repr__(self) -> str:
        return repr(_fetch(self))

    # indexing
    def __getitem__(self, index: Any) -> Any:
        return _run(lambda host: host[_settled(self.shape, index)], self)

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, (numpy.ndarray, list)):
            raise TypeError(f"Unsupported type {type(value)}")
        counts.launches += 1
        self._host[_settled(self.shape, index)] = _unwrap(value, [])

    def fill(self, value: Any) -> None:
        counts.launches += 1
        self._host.fill(_unwrap(value, []))

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def astype(
        self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True
    ) -> Any:
        return _run(numpy.ndarray.astype, self, dtype, copy=copy)

    for _name in [
        "__add__",
        "__sub__",
        "__mul__",
        "__truediv__",
        "__floordiv__",
        "__mod__",
        "__pow__",
        "__matmul__",
        "__and__",
        "__or__",
        "__xor__",
    ]:
        locals()[_name] = _operator(_name)
    for _name in ["__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__"]:
        locals()[_name] = _operator(_name)
    for _name in [
        "__radd__",
        "__rsub__",
        "__rmul__",
        "__rtruediv__",
        "__rfloordiv__",
        "__rmod__",
        "__rpow__",
        "__rmatmul__",
        "__rand__",
        "__ror__",
        "__rxor__",
    ]:
        locals()[_name] = _reflected(_name)
    for _name in [
        "__iadd__",
        "__isub__",
        "__imul__",
        "__itruediv__",
        "__ifloordiv__",
        "__imod__",
        "__ipow__",
        "__iand__",
        "__ior__",
        "__ixor__",
    ]:
        locals()[_name] = _in_place(_name)
    for _name in ["__neg__", "__pos__", "__abs__", "__invert__"]:
        locals()[_name] = _method(_name)
    for _name in [
        "all",
        "any",
        "argmax",
        "argmin",
        "argsort",
        "clip",
        "copy",
        "cumsum",
        "flatten",
        "max",
        "mean",
        "min",
        "ravel",
        "reshape",
        "squeeze",
        "sum",
        "swapaxes",
        "take",
        "transpose",
    ]:
        locals()[_name] = _method(_name)
    del _name


# -- the functions -------------------------------------------------------------------------------------------


class ufunc:
    """An elementwise function."""

    def __init__(self, name: str, function: Any, nin: int) -> None:
        self.name = name
        self._function = function
        self.nin = nin

    def __call__(self, *args: Any, out: Any = None, casting: str = "same_kind", dtype: Any = None) -> Any:
        if len(args) != self.nin:
            raise TypeError(f"{self.name}: wrong number of arguments: {len(args)}")
        chosen = {} if dtype is None else {"dtype": dtype}
        if out is not None:
            counts.launches += 1
            chosen["out"] = out
        return _run(self._function, *args, **chosen)

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        if self.name != "add":
            raise NotImplementedError(f"{self.name}.at is not supported yet")
        advanced = any(
            isinstance(part, ndarray) for part in (indices if isinstance(indices, tuple) else (indices,))
        )
        if advanced and a.dtype not in ("int32", "uint32", "uint64", "float16", "float32", "float64"):
            raise TypeError(
                "cupy.add.at only supports int32, float16, float32, float64, complex64, complex128, "
                "uint32, uint64 as data type"
            )
        counts.launches += 1
        numpy.add.at(a._host, _settled(a.shape, indices), _unwrap(b, []))


def _erf(x: numpy.ndarray) -> numpy.ndarray:
    values = numpy.array([math.erf(v) for v in x.ravel()]).reshape(x.shape)
    return values.astype(x.dtype if x.dtype.kind == "f" else numpy.float64)


def _checked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    # to call it is a tenth of the time of binding a signature
    take = eval(f"lambda {SIGNATURES[name]}: None")

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            take(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"cupy.{name}({SIGNATURES[name]}): {error}") from None
        return function(*args, **kwargs)

    call.__name__ = name
    return call


def _of_arrays(name: str) -> Callable[..., Any]:
    function = getattr(numpy, name)

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        for part in x if isinstance(x, (list, tuple)) else (x,):
            if not isinstance(part, ndarray):
                raise TypeError(f"Unsupported type {type(part)}")
        return _run(function, x, *args, **kwargs)

    return call


def _array(obj: Any, dtype: Any = None, copy: bool = True, **options: Any) -> ndarray:
    if isinstance(obj, ndarray):
        return obj.astype(dtype or obj.dtype, copy=copy)  # type: ignore[no-any-return]
    return ndarray._made(numpy.array(obj, dtype=dtype), None)


def _asarray(a: Any, dtype: Any = None, **options: Any) -> ndarray:
    return _array(a, dtype, copy=False)


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None or y is None:
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    return _run(numpy.where, condition.astype("?", copy=False), x, y)


def _take(a: ndarray, indices: Any, axis: Any = None, out: Any = None) -> Any:
    return _run(numpy.take, a, indices, axis, mode="wrap")


def _take_along_axis(a: ndarray, indices: ndarray, axis: Any) -> Any:
    if a.ndim != indices.ndim:
        raise ValueError("`indices` and `a` must have the same number of dimensions")
    return _run(lambda x, i: numpy.take_along_axis(x, i % max(x.shape[axis], 1), axis), a, indices)


def _nonzero(a: ndarray) -> Any:
    counts.synchronisations += 1
    return _run(numpy.nonzero, a)


def _einsum(*operands: Any, **kwargs: Any) -> Any:
    if kwargs.keys() - {"optimize", "dtype", "casting"}:
        raise TypeError(f"einsum does not know {sorted(kwargs)}")
    return _run(numpy.einsum, *operands, **kwargs)


def _sort_along(name: str) -> Callable[..., Any]:
    def call(a: ndarray, axis: Any = -1, kind: Any = None) -> Any:
        if a.ndim == 0:
            raise numpy.exceptions.AxisError("Sorting arrays with the rank of zero is not supported")
        return _run(getattr(numpy, name), a, axis=axis, kind="stable")

    return call


def _asnumpy(a: Any, *args: Any, **options: Any) -> numpy.ndarray:
    return _fetch(a) if isinstance(a, ndarray) else numpy.asarray(a)


_linalg_errors = ["ignore"]


@contextlib.contextmanager
def _errstate(*, linalg: str | None = None) -> Iterator[None]:
    _linalg_errors.append(linalg or _linalg_errors[-1])
    try:
        yield
    finally:
        _linalg_errors.pop()


def _matrices(*arrays: Any) -> Any:
    for x in arrays:
        if not isinstance(x, ndarray):
            raise numpy.linalg.LinAlgError("cupy.linalg only supports cupy.ndarray")
        if x.dtype == numpy.float16:
            raise TypeError("float16 is unsupported in linalg")
    if arrays[0].ndim < 2:
        raise numpy.linalg.LinAlgError(
            f"{arrays[0].ndim}-dimensional array given. Array must be at least two-dimensional"
        )
    if arrays[0].shape[-1] != arrays[0].shape[-2]:
        raise numpy.linalg.LinAlgError("Last 2 dimensions of the array must be square")
    return arrays


def _solve(a: Any, b: Any) -> Any:
    _matrices(a, b)
    if b.ndim == 1:
        if a.ndim != 2 or a.shape[-1] != b.size:
            raise ValueError("a must have (..., M, M) shape and b must have (M,) for one-dimensional b")
    elif a.shape[:-1] != b.shape[:-1]:
        raise ValueError("a must have (..., M, M) shape and b must have (..., M, K) for multidimensional b")
    if _linalg_errors[-1] == "raise":
        counts.synchronisations += 1
        return _run(numpy.linalg.solve, a, b)
    try:
        return _run(numpy.linalg.solve, a, b)
    except numpy.linalg.LinAlgError:  # what a device leaves behind a singular matrix, unless it is asked
        return _run(numpy.full, b.shape, numpy.nan, b.dtype)


def _det(a: Any) -> Any:
    return _run(numpy.linalg.det, *_matrices(a))


def _matmul(a: Any, b: Any, *, out: Any = None, **options: Any) -> Any:
    """With ``out``, as the device's BLAS has it: it writes rows without gaps, and reads and writes nothing
    twice."""
    if out is None:
        return _run(numpy.matmul, a, b, **options)
    if not out._host.flags.c_contiguous:
        raise ValueError("Output array must be C-contiguous")
    if out.dtype != numpy.result_type(a.dtype, b.dtype):
        raise ValueError("Not supported dtype combination.")
    gaps = [x for x in (a, b) if not (x._host.flags.c_contiguous or x._host.flags.f_contiguous)]
    shared = [x for x in (a, b) if numpy.may_share_memory(x._host, out._host)]
    # copies of operands with gaps, and of a result that lies over one
    counts.launches += 1 + len(gaps) + bool(shared)
    return _run(numpy.matmul, a, b, out=out, **options)


_SPECIAL = {
    "array": _array,
    "asarray": _asarray,
    "asnumpy": _asnumpy,
    "argsort": _sort_along("argsort"),
    "einsum": _einsum,
    "matmul": _matmul,
    "nonzero": _nonzero,
    "sort": _sort_along("sort"),
    "take": _take,
    "take_along_axis": _take_along_axis,
    "where": _where,
    "linalg.det": _det,
    "linalg.solve": _solve,
}
_FROM_NOTHING = ("arange", "empty", "eye", "full", "linspace", "ones", "zeros")


def _function(name: str) -> Callable[..., Any]:
    if name in _SPECIAL:
        return _SPECIAL[name]
    if name in _FROM_NOTHING:
        return lambda *args, **kwargs: _run(getattr(numpy, name), *args, **kwargs)
    return _of_arrays(name)


# -- kernels -------------------------------------------------------------------------------------------------

_DEVICE = r"""
#include <math.h>
#include <stdbool.h>
#include <string.h>

typedef struct { unsigned x, y, z; } dim3;
static dim3 threadIdx, blockIdx, blockDim, gridDim;
#define __global__
#define __launch_bounds__(threads)
#define __device__ static
#define __shared__ static

static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline int __float_as_int(float x) { int y; memcpy(&y, &x, sizeof y); return y; }
static inline float __int_as_float(int x) { float y; memcpy(&y, &x, sizeof y); return y; }
static inline long long __double_as_longlong(double x) { long long y; memcpy(&y, &x, sizeof y); return y; }
static inline double __longlong_as_double(long long x) { double y; memcpy(&y, &x, sizeof y); return y; }
"""
_BARRIER = r"""
#include <ucontext.h>

static ucontext_t scheduler, threads[1024];
static char stacks[1024][32768], finished[1024];
static unsigned turn;
static inline void __syncthreads(void) { swapcontext(&threads[turn], &scheduler); }
"""
_THREAD = r"""
static void **values;
static void thread(void) { KERNEL(ARGUMENTS); }
static void become(unsigned i) {
  threadIdx = (dim3){i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
}
"""
_ONE_BY_ONE = r"""
static int run(unsigned size) {
  for (unsigned i = size; i-- > 0;) {
    become(i);
    thread();
  }
  return 0;
}
"""
"""A block whose threads do not wait for each other: a twentieth of the time of taking turns."""
_IN_TURNS = r"""
#define FEW 5
static void start(void) { thread(); finished[turn] = 1; }

/* The threads of a block take turns on one processor: each runs until a barrier. There are a few at most: kernels with
   barriers go round their loops by blockDim, with any number of threads. */
static int run(unsigned size) {
  size = size < FEW ? size : FEW;
  blockDim = (dim3){size, 1, 1};
  for (unsigned i = 0; i < size; i++) {
    finished[i] = 0;
    getcontext(&threads[i]);
    threads[i].uc_stack.ss_sp = stacks[i];
    threads[i].uc_stack.ss_size = sizeof stacks[i];
    threads[i].uc_link = &scheduler;
    makecontext(&threads[i], start, 0);
  }
  for (unsigned round = 0, ended = 0; ended < size; round++) {
    if (ended) return 1;
    for (unsigned i = 0; i < size; i++) {
      turn = round % 2 ? i : size - 1 - i;  /* no order may be counted on */
      become(turn);
      swapcontext(&scheduler, &threads[turn]);
      ended += finished[turn];
    }
  }
  return 0;
}
"""
_LAUNCH = r"""
/* 1 if some threads of a block wait at a barrier and others have ended. */
int launch(unsigned *grid, unsigned *block, void **arguments) {
  values = arguments;
  gridDim = (dim3){grid[0], grid[1], grid[2]};
  blockDim = (dim3){block[0], block[1], block[2]};
  for (unsigned b = 0; b < grid[0] * grid[1] * grid[2]; b++) {
    blockIdx = (dim3){b % grid[0], b / grid[0] % grid[1], b / grid[0] / grid[1]};
    if (run(block[0] * block[1] * block[2])) return 1;
  }
  return 0;
}
"""


@functools.cache
def _compiled(code: str, name: str, kinds: tuple[str, ...]) -> Any:
    """The kernel as a function of the host, for arguments of these kinds."""
    if shutil.which("cc") is None:
        pytest.skip("kernels are run by compiling them as C, and there is no C compiler 'cc' here")
    arguments = ", ".join(f"*({kind} *)values[{i}]" for i, kind in enumerate(kinds))
    thread = _THREAD.replace("KERNEL", name).replace("ARGUMENTS", arguments)
    code = code.replace('extern "C" ', "")
    parts = [_BARRIER, code, thread, _IN_TURNS] if "__syncthreads" in code else [code, thread, _ONE_BY_ONE]
    text = "".join([_DEVICE, *parts, _LAUNCH])
    options = ["-O1", "-Wall", "-Wno-unused-variable", "-Werror", "-shared", "-fPIC"]
    library = (
        RawKernel.libraries
        / f"{hashlib.sha256(' '.join([platform.machine(), *options, text]).encode()).hexdigest()}.so"
    )
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=RawKernel.libraries) as folder:
            source, new = Path(folder, "kernel.c"), Path(folder, "kernel.so")
            source.write_text(text)
            done = subprocess.run(
                ["cc", *options, str(source), "-o", str(new), "-lm"], capture_output=True, text=True
            )
            assert done.returncode == 0, f"{done.stderr}\n{code}"
            new.replace(library)
    return ctypes.PyDLL(str(library)).launch  # one thread of Python at a time


class RawKernel:
    """A kernel in CUDA C, compiled as C at its first launch. Arguments are laid down as CuPy does: Python's
    whole numbers have 64 bits."""

    libraries: Path
    """The folder where what is compiled stays, for all processes and later runs; ``conftest.py`` names it."""

    def __init__(
        self, code: str, name: str, options: tuple[str, ...] = (), backend: str = "nvrtc", *, translate_cucomplex: bool = False,
        enable_cooperative_groups: bool = False,
    ) -> None:  # fmt: skip
        self.code, self.name = code, name
        bounds = re.search(rf"__launch_bounds__\((\d+)\) {name}\(", code)
        self.most = int(bounds[1]) if bounds else _REGISTERS // _REGISTERS_OF_A_THREAD

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: Any, *, shared_mem: int = 0
    ) -> None:
        grid, block = ((*size, 1, 1)[:3] for size in (grid, block))
        if min(*grid, *block) < 1 or max(grid[1:]) > 65535 or math.prod(block) > 1024:
            raise ValueError(f"CUDA_ERROR_INVALID_VALUE: invalid argument: {grid} blocks of {block} threads")
        if math.prod(block) > self.most:
            raise RuntimeError(
                f"CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES: {block} threads, and a thread of {self.most} has "
                "more registers"
            )
        kinds, values = zip(*map(_argument, args), strict=True)
        launch = _compiled(self.code, self.name, kinds)
        sizes = [(ctypes.c_uint * 3)(*size) for size in (grid, block)]
        counts.launches += 1
        addresses = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])
        assert launch(*sizes, addresses) == 0, f"{self.name}: a barrier that not all threads of a block reach"


_REGISTERS, _REGISTERS_OF_A_THREAD = 65536, 255
"""What a block has, and what the compiler may give a thread where it does not know how many there are."""


def _argument(x: Any) -> tuple[str, Any]:
    if isinstance(x, ndarray):
        return "void *", ctypes.c_void_p(x._host.ctypes.data)
    if type(x) is int:
        return "long long", ctypes.c_longlong(x)
    if type(x) is float:
        return "double", ctypes.c_double(x)
    raise TypeError(f"Unsupported type {type(x)}")


_ANSWERS: dict[str, dict[str, Any]] = {
    "cupy.cuda.nvrtc": {"getVersion": (13, 0)},
    "cupy.cuda.runtime": {
        "getDeviceCount": 1, "getDevice": 0, "driverGetVersion": 13000, "runtimeGetVersion": 13000, "memGetInfo": (1 << 30, 1 << 30),
        "getDeviceProperties": {"name": b"a stand-in that computes on the host", "major": 9, "minor": 0},
    },
}  # fmt: skip
"""What is asked about the device, and what it says."""


def _answered(answer: Any, *device: int) -> Any:
    return answer


def _content() -> dict[str, dict[str, Any]]:
    """What is in the stand-in's modules, by their names."""
    rooms: dict[str, dict[str, Any]] = {
        name: {} for name in ("cupy", "cupy.linalg", "cupy.cuda", "cupyx", "cupyx.scipy")
    }
    for name in UFUNCS:
        rooms["cupy"][name] = ufunc(name, _CUPYS.get(name, getattr(numpy, name)), getattr(numpy, name).nin)
    for name in SIGNATURES:
        room, _, last = f"cupy.{name}".rpartition(".")
        rooms[room][last] = _checked(name, _function(name))
    rooms["cupy"] |= {"ndarray": ndarray, "ufunc": ufunc, "RawKernel": RawKernel, "__version__": "14.2.0"}
    rooms["cupy"]["get_default_memory_pool"] = lambda: types.SimpleNamespace(total_bytes=lambda: 0)
    for room, answers in _ANSWERS.items():
        rooms[room] = {name: functools.partial(_answered, answer) for name, answer in answers.items()}
    rooms["cupyx"]["errstate"] = _errstate
    rooms["cupyx.scipy.special"] = {"erf": ufunc("erf", _erf, 1)}
    return rooms


_CONTENT = _content()


def modules() -> dict[str, types.ModuleType]:
    """The stand-in's modules by name, new ones; what is in them is always the same, for it is installed for
    thousands of tests."""
    made = {name: types.ModuleType(name) for name in _CONTENT}
    for name, module in made.items():
        vars(module).update(_CONTENT[name])
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(made[parent], last, module)
    return made


def install(patch: pytest.MonkeyPatch) -> None:
    """Let ``import cupy`` find the stand-in."""
    for name, module in modules().items():
        patch.setitem(sys.modules, name, module)
