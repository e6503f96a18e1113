"""The CuPy backend: one NVIDIA device."""

from __future__ import annotations

from typing import Any

import numpy

from .base import Array, Backend


class CupyBackend(Backend):
    def __init__(self, cupy: Any, cupyx: Any, special: Any) -> None:
        super().__init__("cupy", cupy)
        self._from_host = cupy.array
        self._to_host = cupy.asnumpy
        self._add_at = cupy.add.at
        self._erf = special.erf
        self._solve = cupy.linalg.solve
        self._errstate = cupyx.errstate
        self._raw_kernel = cupy.RawKernel
        self._kernels: dict[str, Any] = {}

    def from_host(self, array: numpy.ndarray) -> Array:
        return self._from_host(array)

    def to_host(self, array: Array) -> numpy.ndarray:
        return self._to_host(array)

    def add_at(self, array: Array, index: Any, values: Array) -> None:
        self._add_at(array, index, values)

    def erf(self, x: Array) -> Array:
        return self._erf(x)

    def solve(self, a: Array, b: Array) -> Array:
        """As ``numpy.linalg.solve``; here alone the host waits, since a singular matrix would pass unnoticed."""
        with self._errstate(linalg="raise"):
            return self._solve(a, b)

    def kernel(self, text: str, name: str) -> Any:
        """A kernel from its CUDA C text, to be called with (blocks, threads, arguments): compiled once, by the first call."""
        if text not in self._kernels:
            self._kernels[text] = self._raw_kernel(text, name)
        return self._kernels[text]
