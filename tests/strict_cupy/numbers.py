"""What CuPy computes in another way than NumPy."""

from __future__ import annotations

from typing import Any

import numpy


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


def _fmod(a: Any, b: Any, dtype: Any = None) -> Any:
    rest = numpy.fmod(a, b)
    if rest.dtype.kind == "f":
        return rest
    return numpy.fmod(numpy.asarray(a, float), numpy.asarray(b, float)).astype(rest.dtype)


CUPYS = {
    "floor_divide": _floor_divide,
    "__floordiv__": _floor_divide,
    "fmod": _fmod,
    "mod": _mod,
    "remainder": _mod,
    "__mod__": _mod,
    "power": _power,
    "__pow__": _power,
}
"""What CuPy computes in another way than NumPy: one can tell where a quotient is rounded up, or infinite, by
negative powers, and by the last of 64 bits."""
