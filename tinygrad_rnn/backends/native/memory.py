"""Memory that machine code reads and writes: where it begins, and that freed memory is kept."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
from array import array
from collections.abc import Sequence
from typing import Any

import numpy

from ..base import CACHE_LINE

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's names for them, in <malloc.h>


@functools.cache
def keep_memory() -> None:
    """Ask the C library to keep up to 256 MiB of freed memory for the next array, instead of returning it to
    the system at once.

    A training step makes and drops the same arrays again and again; taking every page of them anew is half
    the time of a small one. Where there is no ``mallopt`` nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, 32 << 20)  # the most that it takes
        mallopt(_TRIM_THRESHOLD, 256 << 20)


def aligned(shape: tuple[int, ...], dtype: Any) -> tuple[numpy.ndarray, int]:
    """An empty array that begins with a cache line, and its address: a vector that lies in two lines takes
    twice as long to load."""
    room = numpy.empty(math.prod(shape) * dtype.itemsize + CACHE_LINE, numpy.uint8)
    begin = address(room)
    skipped = -begin % CACHE_LINE
    return numpy.ndarray(shape, dtype, room, skipped), begin + skipped


def numbers(values: Sequence[int]) -> array[int]:
    """Integers and addresses one after another, as functions here read them; ``buffer_info`` says where."""
    return array("q", values)


_address, _byte = ctypes.addressof, ctypes.c_char.from_buffer


def address(block: Any) -> int:
    """Where an array begins; ``ctypes.data`` of NumPy's says the same, six times slower."""
    try:
        return _address(_byte(block))
    except (TypeError, ValueError):  # read-only, empty, or a part with gaps
        return int(block.ctypes.data)
