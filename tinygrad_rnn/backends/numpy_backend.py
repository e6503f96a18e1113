"""The NumPy backend: the processor."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import math
import os
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy

from ..errors import IndexRangeError
from .base import CACHE_LINE, Array, Backend, erf_series
from .products import Products


class NumpyBackend(Backend):
    def __init__(self) -> None:
        super().__init__("numpy", numpy)
        self.sum = _sum

    def from_host(self, array: numpy.ndarray) -> Array:
        return numpy.array(array)

    def to_host(self, array: Array) -> numpy.ndarray:
        view: numpy.ndarray = array.view()
        view.flags.writeable = False
        return view

    def add_at(self, array: Array, index: Any, values: Array) -> None:
        if values.size > 4096 and array.ndim > 1 and _names_rows(index):
            _add_rows(array, index[0] if isinstance(index, tuple) else index, values)
        elif repeats(index):
            numpy.add.at(array, index, values)
        else:
            array[index] += values

    def is_spread(self, x: Array) -> bool:
        """NumPy lets nobody write to such an array."""
        return not x.flags.writeable or super().is_spread(x)

    def copy(self, x: Array) -> Array:
        """NumPy copies a transpose element by element, each from another cache line; here cache lines are
        used whole."""
        if x.ndim != 2 or x.size < _LARGE or not x.flags.f_contiguous:
            return x.copy()
        y, step = numpy.empty(x.shape, x.dtype), max(1, CACHE_LINE // x.itemsize)
        for i in range(0, x.shape[1], step):
            y[:, i : i + step] = x[:, i : i + step]
        return y

    def broadcast_to(self, x: Array, shape: tuple[int, ...]) -> Array:
        """As NumPy's, whose general way takes longer for a single number than adding up a small array
        does."""
        if x.ndim > len(shape) or x.size != 1:
            return numpy.broadcast_to(x, shape)
        y: numpy.ndarray = numpy.ndarray(shape, x.dtype, x, 0, (0,) * len(shape))
        y.flags.writeable = False
        return y

    def any_nan(self, arrays: Iterable[Array]) -> bool:
        """A sum of squares is NaN where an element is, and never else. Of many elements a minimum costs
        less."""
        for x in arrays:
            if x.size and math.isnan(
                numpy.minimum.reduce(x, None) if x.size > _FEW else (flat := x.reshape(-1)).dot(flat)
            ):
                return True
        return False

    def within(self, x: Array, what: str, least: int, n: int, advice: str) -> Array:
        if x.size and (x.max() >= n or x.min() < least):
            place = numpy.argwhere((x >= n) | (x < least))[0].tolist()
            where = f" at {place}" if place else ""
            raise IndexRangeError(
                f"{what} {x[tuple(place)]}{where} lies outside of {least} … {n - 1}{advice}"
            )
        return x

    def erf(self, x: Array) -> Array:
        x = numpy.asarray(x)
        return (
            erf_series(numpy.atleast_1d(x).astype(numpy.float64)).reshape(x.shape).astype(x.dtype, copy=False)
        )

    def runs_machine_code(self) -> bool:
        from .native import compiler  # only those who have much to do need a compiler

        return compiler.available()

    def memory(self) -> int:
        """Of the machine, or what its container may have."""
        return _memory()

    def products(self) -> Products:
        """Ours where there is a compiler: they wait for each other, and leave no threads that go on
        spinning."""
        if not self.runs_machine_code():
            return super().products()
        from .native import products  # as above

        return products.GatheredProducts()

    def quiet(self) -> Any:
        return _Quiet()

    def alone(self) -> Any:
        from .native import threads  # as above

        return threads.alone() if self.runs_machine_code() else super().alone()

    def quietly(self, function: Callable[..., Any], *args: Any) -> Any:
        # faster than a block, and nothing comes between its end and an interrupt
        return _QUIET.copy().run(function, *args)


@functools.cache
def _memory() -> int:
    known = {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= set(getattr(os, "sysconf_names", ()))
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if known else _UNKNOWN]
    with (
        contextlib.suppress(OSError, ValueError),
        open("/sys/fs/cgroup/memory.max", encoding="ascii") as most,
    ):
        sizes.append(int(most.read()))  # of a container that has a limit
    return min(sizes)


_UNKNOWN = 8 << 30
"""Bytes of memory that a machine is taken to have if it does not say."""

_QUIET = contextvars.Context()
_QUIET.run(numpy.seterr, all="ignore")


class _Quiet:
    """``numpy.errstate(all="ignore")`` that also ends when Python drops it: an interrupt may cut off the end
    of any block."""

    def __enter__(self) -> None:
        self._state: Any = numpy.errstate(all="ignore")
        reference = weakref.ref(self, functools.partial(_lost, contextvars.copy_context()))
        self._key = id(reference)
        _inside[self._key] = reference
        self._state.__enter__()

    def __exit__(self, *exception: object) -> None:
        self._state.__exit__()
        _inside.pop(self._key, None)


_inside: dict[int, weakref.ref[_Quiet]] = {}


def _lost(before: contextvars.Context, reference: weakref.ref[_Quiet]) -> None:
    _inside.pop(id(reference), None)
    if set(numpy.geterr().values()) == {"ignore"}:
        numpy.seterr(**before.run(numpy.geterr))


_FEW = 1 << 12
"""Elements of an array that are multiplied and added up sooner than compared."""

_LARGE = 1 << 14
"""Elements of a matrix that does not stay in the nearest cache while it is copied."""


def _sum(x: Array, axis: Any = None, keepdims: Any = False) -> Array:
    return numpy.add.reduce(x, axis=axis, keepdims=keepdims)  # what numpy.sum ends in, a microsecond sooner


def _names_rows(index: Any) -> bool:
    """Whether an index is an array of integers for the first axis and nothing else, as an embedding's is."""
    (first, *rest) = index if isinstance(index, tuple) and index else (index,)
    return not rest and isinstance(first, numpy.ndarray) and first.dtype.kind in "iu" and first.ndim > 0


def _add_rows(array: Array, indices: numpy.ndarray, values: Array) -> None:
    """As ``numpy.add.at`` for many values, several times faster: what goes to the same place is brought
    together and added up first."""
    from .native import compiler, emit, scatter  # only those who have much to do need a compiler

    indices = indices.ravel().astype(numpy.int64, copy=False) % len(array)
    if array.dtype in emit.FLOATS and array.flags.c_contiguous and compiler.available():
        scatter.add_rows(array, indices, values)
        return
    order = indices.argsort(kind="stable")
    in_order = indices[order]
    starts = numpy.flatnonzero(numpy.concatenate([[True], in_order[1:] != in_order[:-1]]))
    lines = values.reshape(len(indices), *array.shape[1:])[order]
    array[in_order[starts]] += numpy.add.reduceat(lines, starts, axis=0)


def repeats(index: Any) -> bool:
    """Whether an index may name one place twice: only integer arrays can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(getattr(part, "ndim", 0) > 0 and part.dtype != numpy.bool_ for part in parts)
