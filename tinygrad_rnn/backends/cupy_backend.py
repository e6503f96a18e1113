"""The CuPy backend: one NVIDIA device."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
from collections.abc import Sequence
from typing import Any

import numpy

from ..caches import Recent, recent
from ..errors import BackendError
from .base import Array, Backend

_ADVICE = (
    "check that `nvidia-smi` lists a device, and install CuPy with NVIDIA's libraries, for a driver with "
    "CUDA 13 by "
    "pip install 'tinygrad_rnn[gpu]', for one with CUDA 12 by pip install 'tinygrad_rnn[gpu-cuda12]'; or "
    "use the 'numpy' backend"
)
_NEGATIVE_POWER = "Integers to negative integer powers are not allowed."
_PACKAGES = ("cupy", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x")


def load() -> CupyBackend:
    """The backend, if there is a device, and CuPy with all that it needs.

    Raises:
        BackendError: says what is missing, and how to get it.
    """
    try:
        cupy = importlib.import_module("cupy")  # an extra
        cupyx = importlib.import_module("cupyx")
        special = importlib.import_module("cupyx.scipy.special")
    except ImportError as missing:
        raise _error(f"needs the package CuPy, which cannot be imported ({missing})") from missing
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    # CUDARuntimeError where there is no driver; its type exists only where CuPy does
    except Exception as broken:
        raise _error(f"needs a CUDA driver and a device: {broken}") from broken
    if devices == 0:
        raise _error("found no CUDA device")
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as missing:  # of a package that CuPy brings: NVIDIA's search for its own libraries
        raise _error(
            f"needs NVIDIA's compiler of kernels, NVRTC, which CuPy does not find: {missing}"
        ) from missing
    return CupyBackend(cupy, cupyx, special)


def packages() -> dict[str, str]:
    """The installed packages that bring CuPy, with their versions. If there are several, they overwrite each
    other's files."""
    installed = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed[name] = importlib.metadata.version(name)
    return installed


def _error(trouble: str) -> BackendError:
    names = " and ".join(packages())
    several = (
        f". The packages {names} overwrite each other: uninstall them, then install one"
        if " and " in names
        else ""
    )
    return BackendError(f"the 'cupy' backend {trouble}{several}; {_ADVICE}")


class CupyBackend(Backend):
    asynchronous = True

    def __init__(self, cupy: Any, cupyx: Any, special: Any) -> None:
        super().__init__("cupy", cupy)
        self._from_host = cupy.array
        self._to_host = cupy.asnumpy
        self._add_at = cupy.add.at
        self._asarray = cupy.asarray
        self._clip = cupy.clip
        self._copysign = cupy.copysign
        self._erf = special.erf
        self._floor_divide = cupy.floor_divide
        self._fmod = cupy.fmod
        self._mod = cupy.mod
        self._power = cupy.power
        self._solve = cupy.linalg.solve
        self._stack = cupy.stack
        self._errstate = cupyx.errstate
        self._raw_kernel = cupy.RawKernel
        self._free_and_all = cupy.cuda.runtime.memGetInfo
        self._kernels: Recent[tuple[str, str], Any] = recent(1024)

    def from_host(self, array: numpy.ndarray) -> Array:
        """By way of an axis, since CuPy makes 0 of a single −0."""
        return self._from_host(array) if array.ndim else self._from_host(array[None])[0, ...]

    def asarray(self, a: Any, dtype: Any = None) -> Array:
        """As ``numpy.asarray``; arrays of the device stay there."""
        if isinstance(a, self.array_type):
            return self._asarray(a, dtype)
        return self.from_host(numpy.asarray(a, dtype))

    def to_host(self, array: Array) -> numpy.ndarray:
        return self._to_host(array)

    def add_at(self, array: Array, index: Any, values: Array) -> None:
        self._add_at(array, index, values)

    def erf(self, x: Array) -> Array:
        return self._erf(x)

    def clip(self, x: Array, low: Any, high: Any) -> Array:
        """As ``numpy.clip``: a bound that no integer of this size is beyond changes nothing; CuPy has an
        error."""
        if x.dtype.kind in "iu":
            fits = numpy.iinfo(x.dtype)
            low = None if isinstance(low, int) and low <= fits.min else low
            high = None if isinstance(high, int) and high >= fits.max else high
            if low is None and high is None:
                return x.copy()
        return self._clip(x, low, high)

    def stack(self, arrays: Sequence[Array], axis: int = 0) -> Array:
        """As ``numpy.stack``.

        Raises:
            ValueError: in NumPy's words, for arrays of several shapes.
        """
        if len({array.shape for array in arrays}) > 1:
            raise ValueError("all input arrays must have the same shape")
        return self._stack(arrays, axis)

    def fmod(self, a: Array, b: Array) -> Array:
        """As ``numpy.fmod``: CuPy's computes with integers as float64, which has 53 of their 64 bits."""
        if not _whole(a, b):
            return self._fmod(a, b)
        rest = self._mod(a, b)
        return self.where((rest != 0) & ((rest < 0) != (a < 0)), rest - b, rest)

    def mod(self, a: Array, b: Array) -> Array:
        """As ``numpy.mod``, exact and at infinities too: CuPy's is a − ⌊a / b⌋ · b, where the quotient may be
        rounded up."""
        if _whole(a, b):
            return self._mod(a, b)
        rest = self._fmod(a, b)
        rest = self.where(_across(rest, b), rest + b, rest)
        return self.where(rest == 0, self._copysign(rest, b), rest)

    def floor_divide(self, a: Array, b: Array) -> Array:
        """As ``numpy.floor_divide``: CuPy's is ⌊a / b⌋, where the quotient may be rounded up."""
        if _whole(a, b):
            return self._floor_divide(a, b)
        rest = self._fmod(a, b)
        b = self.asarray(b, rest.dtype)
        quotient, whole = a / b, (a - rest) / b
        whole = self.rint(self.where(_across(rest, b), whole - 1, whole))
        whole = self.where(whole == 0, self._copysign(whole, quotient), whole)
        return self.where(b == 0, quotient, whole)

    def power(self, a: Array, b: Array) -> Array:
        """As ``numpy.power``; for integers the host waits, since a negative exponent would pass
        unnoticed.

        Raises:
            ValueError: an integer to a negative power.
        """
        y = self._power(a, b)
        if y.dtype.kind == "i" and bool(self.any(self.asarray(b) < 0)):
            raise ValueError(_NEGATIVE_POWER)
        return y

    def raise_to(self, x: Array, exponent: float) -> Array:
        if x.dtype.kind == "i" and isinstance(exponent, int) and exponent < 0:
            raise ValueError(_NEGATIVE_POWER)
        return super().raise_to(x, exponent)

    def solve(self, a: Array, b: Array) -> Array:
        """As ``numpy.linalg.solve``. The host waits here, since a singular matrix would pass unnoticed."""
        with self._errstate(linalg="raise"):
            return self._solve(a, b)

    def memory(self) -> int:
        return int(self._free_and_all()[1])

    def kernel(self, text: str, name: str) -> Any:
        """A kernel from its CUDA C text, to be called with (blocks, threads, arguments): compiled once, by
        the first call."""
        return self._kernels.get((text, name)) or self._kernels.share(
            (text, name), self._raw_kernel(text, name)
        )


def _whole(*operands: Any) -> bool:
    """Whether all are integers: arrays or Python's numbers."""
    return all(isinstance(x, int) or getattr(x, "dtype", numpy.dtype(float)).kind in "biu" for x in operands)


def _across(rest: Array, b: Array) -> Array:
    """Where a remainder lies on the other side of 0 than b."""
    return (rest != 0) & ((rest < 0) != (b < 0))
