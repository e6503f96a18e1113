"""How large arrays are, and in what range their values lie: of many at once, which a device sends over in one
piece."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy

from ..backends import Array, Backend

_TOGETHER = 1 << 14
_BYTES = 1 << 25
"""So many arrays, or bytes, wait for each other at most."""

_LARGE = 1 << 15
"""Arrays of so many elements cost more to lay side by side than to measure one by one."""

_SAFE = (1e-200, 1e200)
"""Squares within these bounds have lost nothing."""


class Sizes:
    """Euclidean norms, many at once: each costs well below a microsecond, and a device sends them over in one
    piece.

    Neither 1e300 nor 1e-300 is lost. Arrays must not change until they are measured.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._waiting: list[Array] = []
        self._bytes = 0
        self._norms: list[numpy.ndarray] = []
        self._count = 0

    def add(self, array: Array) -> int:
        """The index of its norm among those of :meth:`read`."""
        index = self._count
        self._count = index + 1
        self._waiting.append(array)
        self._bytes += array.nbytes
        if self._bytes >= _BYTES or len(self._waiting) >= _TOGETHER:
            self._measure()
        return index

    def read(self) -> numpy.ndarray:
        """All norms, in the order in which their arrays came."""
        self._measure()
        return numpy.concatenate(self._norms) if self._norms else numpy.zeros(0)

    def _measure(self) -> None:
        arrays = on_host(self._waiting, self._backend)
        groups: dict[Any, list[int]] = {}
        for i, array in enumerate(arrays):
            groups.setdefault(array.shape if array.size < _LARGE else i, []).append(i)
        norms = numpy.zeros(len(arrays))
        for shape, members in groups.items():
            if len(members) == 1:
                values = arrays[members[0]].ravel("K")[None]
            else:  # the same elements in the same order
                values = (numpy.concatenate if shape else numpy.stack)([arrays[i] for i in members]).reshape(
                    len(members), -1
                )
            norms[members] = norms_of(values)
        self._norms.append(norms)
        self._waiting, self._bytes = [], 0


def on_host(arrays: Sequence[Array], backend: Backend) -> Sequence[numpy.ndarray]:
    """Arrays as NumPy's, flat where they were brought over from a device: all of one dtype in one piece."""
    if backend.name == "numpy":
        return arrays
    host: list[Any] = [None] * len(arrays)
    kinds: dict[str, list[int]] = {}
    for i, array in enumerate(arrays):
        kinds.setdefault(array.dtype.char, []).append(i)
    for members in kinds.values():
        together = backend.to_host(backend.concatenate([arrays[i].reshape(-1) for i in members]))
        ends = numpy.cumsum([arrays[i].size for i in members])
        for i, part in zip(members, numpy.split(together, ends[:-1]), strict=True):
            host[i] = part
    return host


class Ranges:
    """The least and the largest value of arrays: from a device all in one piece. Of an empty array there is
    none."""

    def __init__(self, arrays: Iterable[Array], backend: Backend) -> None:
        # as long as they are here, ids are theirs
        self._arrays = {id(array): array for array in arrays if array.size}
        with numpy.errstate(all="ignore"):
            ends = [end for array in self._arrays.values() for end in (array.min(), array.max())]
        values = (float(end.item()) for end in on_host(ends, backend))
        self._ranges = {known: (next(values), next(values)) for known in self._arrays}

    def of(self, array: Array) -> tuple[float, float] | None:
        return self._ranges.get(id(array))


def norms_of(values: numpy.ndarray) -> numpy.ndarray:
    """The norm of each array of a stack."""
    flat = values.reshape(len(values), -1).astype(numpy.float64, copy=False)
    with numpy.errstate(over="ignore", under="ignore", invalid="ignore"):
        squares = numpy.matmul(flat[:, None], flat[:, :, None]).ravel()
        unsafe = ~((squares > _SAFE[0]) & (squares < _SAFE[1]))
        norms = numpy.sqrt(squares)
        if unsafe.any():
            norms[unsafe] = _scaled_norms(flat[unsafe])
    return norms


def _scaled_norms(flat: numpy.ndarray) -> numpy.ndarray:
    """The same where squares would overflow or underflow: scaled by the largest element, which may be 0 or
    not finite itself."""
    largest = numpy.abs(flat).max(axis=1, initial=0.0)
    scale = numpy.where((largest > 0) & numpy.isfinite(largest), largest, 1.0)
    return scale * numpy.sqrt(numpy.sum((flat / scale[:, None]) ** 2, axis=1))


def sizes(arrays: Iterable[Array], backend: Backend) -> list[float]:
    """The norms of some arrays."""
    together = Sizes(backend)
    for array in arrays:
        together.add(array)
    return together.read().tolist()


def overall(arrays: Iterable[Array], backend: Backend) -> float:
    """The norm of some arrays as one."""
    return overalls([arrays], backend)[0]


def overalls(groups: Iterable[Iterable[Array]], backend: Backend) -> list[float]:
    """The norm of each group of arrays as one."""
    together = Sizes(backend)
    indices = [[together.add(array) for array in group] for group in groups]
    norms = together.read()
    return [math.nan if numpy.isnan(norms[group]).any() else math.hypot(*norms[group]) for group in indices]


def joint(norms: numpy.ndarray, lengths: Sequence[int]) -> numpy.ndarray:
    """The norms of groups that follow each other, of so many norms each."""
    counts = numpy.asarray(lengths, dtype=int)
    groups = numpy.zeros(len(counts))
    starts = numpy.cumsum(counts) - counts
    if norms.size:
        groups[counts > 0] = numpy.hypot.reduceat(norms, starts[counts > 0])
    return groups
