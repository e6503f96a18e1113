"""An array that stays on the device, and the one way in and out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy

from tests.strict_cupy.counts import counts
from tests.strict_cupy.numbers import CUPYS
from tests.strict_cupy.surface import UFUNCS


def unwrap(x: Any, seen: list[ndarray]) -> Any:
    if isinstance(x, ndarray):
        seen.append(x)
        return x._host
    if isinstance(x, numpy.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    if isinstance(x, (list, tuple)):
        return type(x)(unwrap(part, seen) for part in x)
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


def run(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    seen: list[ndarray] = []
    args = unwrap(args, seen)
    kwargs = {name: unwrap(value, seen) for name, value in kwargs.items()}
    with numpy.errstate(all="ignore"):  # a device says nothing about overflow
        return _wrap(function(*args, **kwargs), seen)


def fetch(x: ndarray) -> numpy.ndarray:
    counts.synchronisations += 1
    return x._host.copy()


def settled(shape: tuple[int, ...], index: Any) -> Any:
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


_OPERATORS = {
    "__add__": "add", "__sub__": "subtract", "__mul__": "multiply", "__truediv__": "divide",
    "__floordiv__": "floor_divide",
    "__mod__": "remainder", "__pow__": "power", "__matmul__": "matmul", "__and__": "bitwise_and",
    "__or__": "bitwise_or",
    "__xor__": "bitwise_xor", "__lt__": "less", "__le__": "less_equal", "__gt__": "greater",
    "__ge__": "greater_equal",
    "__eq__": "equal", "__ne__": "not_equal",
}  # fmt: skip


def _foreign(x: Any) -> bool:
    """Whether x may know better than a device array what to do with it."""
    return hasattr(type(x), "__array_ufunc__") and not isinstance(x, (ndarray, numpy.ndarray, numpy.generic))


def _operator(name: str) -> Callable[..., Any]:
    function, by_numpy = CUPYS.get(name, getattr(numpy.ndarray, name)), getattr(numpy, _OPERATORS[name])

    def operate(self: ndarray, other: Any) -> Any:
        return by_numpy(self, other) if _foreign(other) else run(function, self, other)

    return operate


def _reflected(name: str) -> Callable[..., Any]:
    function = getattr(numpy.ndarray, name)

    def operate(self: ndarray, other: Any) -> Any:
        if isinstance(other, numpy.ndarray):
            raise TypeError(f"Unsupported type {type(other)}")
        return run(function, self, other)

    return operate


def _in_place(name: str) -> Callable[..., Any]:
    function = getattr(numpy.ndarray, name)

    def operate(self: ndarray, other: Any) -> ndarray:
        if _foreign(other):
            raise TypeError(f"Unsupported type {type(other)}")
        counts.launches += 1
        run(function, self, other)
        return self

    return operate


def _method(name: str) -> Callable[..., Any]:
    function = getattr(numpy.ndarray, name)

    def call(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        return run(function, self, *args, **kwargs)

    return call


class Capsule:
    """What the stand-in's DLPack hands over."""

    def __init__(self, host: numpy.ndarray) -> None:
        self.host = host


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
        return run(function, *inputs, **kwargs)

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
    T = property(lambda self: run(numpy.transpose, self))

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Iterator[Any]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def view(self, dtype: Any = None) -> Any:
        """The same memory as numbers of another dtype."""
        return ndarray._made(self._host.view(dtype), self if self.base is None else self.base)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
    ) -> Capsule:
        return Capsule(self._host)

    # what has to wait for the device
    def get(
        self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True
    ) -> numpy.ndarray:
        return fetch(self)

    def item(self) -> Any:
        return fetch(self).item()

    def tolist(self) -> Any:
        return fetch(self).tolist()

    def __float__(self) -> float:
        return float(fetch(self))

    def __int__(self) -> int:
        return int(fetch(self))

    def __bool__(self) -> bool:
        return bool(fetch(self))

    def __repr__(self) -> str:
        return repr(fetch(self))

    # indexing
    def __getitem__(self, index: Any) -> Any:
        return run(lambda host: host[settled(self.shape, index)], self)

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, (numpy.ndarray, list)):
            raise TypeError(f"Unsupported type {type(value)}")
        counts.launches += 1
        self._host[settled(self.shape, index)] = unwrap(value, [])

    def fill(self, value: Any) -> None:
        counts.launches += 1
        self._host.fill(unwrap(value, []))

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def astype(
        self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True
    ) -> Any:
        return run(numpy.ndarray.astype, self, dtype, copy=copy)

    for _name in _OPERATORS:
        locals()[_name] = _operator(_name)
    for _name in [
        "__radd__", "__rsub__", "__rmul__", "__rtruediv__", "__rfloordiv__", "__rmod__", "__rpow__",
        "__rmatmul__",
        "__rand__", "__ror__", "__rxor__",
    ]:  # fmt: skip
        locals()[_name] = _reflected(_name)
    for _name in [
        "__iadd__", "__isub__", "__imul__", "__itruediv__", "__ifloordiv__", "__imod__", "__ipow__",
        "__iand__",
        "__ior__", "__ixor__",
    ]:  # fmt: skip
        locals()[_name] = _in_place(_name)
    for _name in ["__neg__", "__pos__", "__abs__", "__invert__"]:
        locals()[_name] = _method(_name)
    for _name in [
        "all", "any", "argmax", "argmin", "argsort", "clip", "copy", "cumsum", "flatten", "max", "mean",
        "min",
        "ravel", "reshape", "squeeze", "sum", "swapaxes", "take", "transpose",
    ]:  # fmt: skip
        locals()[_name] = _method(_name)
    del _name
