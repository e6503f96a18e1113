"""CuPy's functions of arrays."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy

from tests.strict_cupy.array import fetch, ndarray, run, settled, unwrap
from tests.strict_cupy.counts import counts
from tests.strict_cupy.surface import SIGNATURES


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
        return run(self._function, *args, **chosen)

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
        numpy.add.at(a._host, settled(a.shape, indices), unwrap(b, []))


def erf(x: numpy.ndarray) -> numpy.ndarray:
    values = numpy.array([math.erf(v) for v in x.ravel()]).reshape(x.shape)
    return values.astype(x.dtype if x.dtype.kind == "f" else numpy.float64)


def checked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
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
        return run(function, x, *args, **kwargs)

    return call


def _array(obj: Any, dtype: Any = None, copy: bool = True, **options: Any) -> ndarray:
    if isinstance(obj, ndarray):
        return obj.astype(dtype or obj.dtype, copy=copy)  # type: ignore[no-any-return]
    host = numpy.array(obj, dtype=dtype)
    return ndarray._made(host if host.ndim or host.any() else numpy.zeros_like(host), None)  # of a −0


def _asarray(a: Any, dtype: Any = None, **options: Any) -> ndarray:
    return _array(a, dtype, copy=False)


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None or y is None:
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    return run(numpy.where, condition.astype("?", copy=False), x, y)


def _clip(a: ndarray, a_min: Any, a_max: Any, out: Any = None) -> Any:
    if a_min is None and a_max is None:
        raise ValueError("array_clip: must set either max or min")
    for bound in (a_min, a_max):
        if isinstance(bound, int):
            numpy.asarray(bound, a.dtype)  # which raises where it does not fit
    return run(numpy.clip, a, a_min, a_max)


def _stack(tup: Any, axis: int = 0, out: Any = None, **options: Any) -> Any:
    if len({a.ndim for a in tup}) > 1:
        raise ValueError("All arrays to concatenate must have the same ndim")
    return _of_arrays("stack")(tup, axis)


def _take(a: ndarray, indices: Any, axis: Any = None, out: Any = None) -> Any:
    return run(numpy.take, a, indices, axis, mode="wrap")


def _take_along_axis(a: ndarray, indices: ndarray, axis: Any) -> Any:
    if a.ndim != indices.ndim:
        raise ValueError("`indices` and `a` must have the same number of dimensions")
    return run(lambda x, i: numpy.take_along_axis(x, i % max(x.shape[axis], 1), axis), a, indices)


def _nonzero(a: ndarray) -> Any:
    counts.synchronisations += 1
    return run(numpy.nonzero, a)


def _einsum(*operands: Any, **kwargs: Any) -> Any:
    if kwargs.keys() - {"optimize", "dtype", "casting"}:
        raise TypeError(f"einsum does not know {sorted(kwargs)}")
    return run(numpy.einsum, *operands, **kwargs)


def _sort_along(name: str) -> Callable[..., Any]:
    def call(a: ndarray, axis: Any = -1, kind: Any = None) -> Any:
        if a.ndim == 0:
            raise numpy.exceptions.AxisError("Sorting arrays with the rank of zero is not supported")
        return run(getattr(numpy, name), a, axis=axis, kind="stable")

    return call


def _asnumpy(a: Any, *args: Any, **options: Any) -> numpy.ndarray:
    return fetch(a) if isinstance(a, ndarray) else numpy.asarray(a)


_linalg_errors = ["ignore"]


@contextlib.contextmanager
def errstate(*, linalg: str | None = None) -> Iterator[None]:
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
        return run(numpy.linalg.solve, a, b)
    try:
        return run(numpy.linalg.solve, a, b)
    except numpy.linalg.LinAlgError:  # what a device leaves behind a singular matrix, unless it is asked
        return run(numpy.full, b.shape, numpy.nan, b.dtype)


def _det(a: Any) -> Any:
    return run(numpy.linalg.det, *_matrices(a))


def _matmul(a: Any, b: Any, *, out: Any = None, **options: Any) -> Any:
    """With ``out``, as the device's BLAS has it: it writes rows without gaps, and reads and writes nothing
    twice."""
    if out is None:
        return run(numpy.matmul, a, b, **options)
    if not out._host.flags.c_contiguous:
        raise ValueError("Output array must be C-contiguous")
    if out.dtype != numpy.result_type(a.dtype, b.dtype):
        raise ValueError("Not supported dtype combination.")
    gaps = [x for x in (a, b) if not (x._host.flags.c_contiguous or x._host.flags.f_contiguous)]
    shared = [x for x in (a, b) if numpy.may_share_memory(x._host, out._host)]
    # copies of operands with gaps, and of a result that lies over one
    counts.launches += 1 + len(gaps) + bool(shared)
    return run(numpy.matmul, a, b, out=out, **options)


def _from_dlpack(array: Any, device: Any = None, copy: Any = None) -> ndarray:
    if array.__dlpack_device__()[0] not in (2, 13):
        raise ValueError("CuPy's from_dlpack takes arrays of its device")
    capsule = array.__dlpack__(stream=1, max_version=(1, 0))
    return ndarray._made(capsule.host.view(), None)


_SPECIAL = {
    "array": _array,
    "asarray": _asarray,
    "asnumpy": _asnumpy,
    "argsort": _sort_along("argsort"),
    "clip": _clip,
    "einsum": _einsum,
    "from_dlpack": _from_dlpack,
    "matmul": _matmul,
    "nonzero": _nonzero,
    "sort": _sort_along("sort"),
    "stack": _stack,
    "take": _take,
    "take_along_axis": _take_along_axis,
    "where": _where,
    "linalg.det": _det,
    "linalg.solve": _solve,
}


_FROM_NOTHING = ("arange", "empty", "eye", "full", "linspace", "ones", "zeros")


def named(name: str) -> Callable[..., Any]:
    if name in _SPECIAL:
        return _SPECIAL[name]
    if name in _FROM_NOTHING:
        return lambda *args, **kwargs: run(getattr(numpy, name), *args, **kwargs)
    return _of_arrays(name)
