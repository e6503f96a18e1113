"""Arrays of other libraries, of PyTorch, CuPy, JAX: taken where they lie, and handed out where ours lie.

DLPack is how they tell of their memory: https://dmlc.github.io/dlpack, and the array API standard,
``__dlpack__``. None of the libraries is imported for it: what an array says of itself is enough.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy

from .. import arguments, backends
from ..backends import Array, Backend
from ..errors import BackendError, DtypeError, ExportError
from .entry import Node
from .host import no_history, plain_array

_HOST = (1, 3)
"""DLPack's numbers of the processor, and of its memory that a CUDA device can read."""

_CUDA = (2, 13)
"""Of a CUDA device, and of memory that it shares with the processor."""

_VERSIONED = tuple(map(int, numpy.__version__.split(".")[:2])) >= (2, 1)
"""Whether NumPy's arrays can say more than the first DLPack could: that nobody may write, for one."""

_PUT_OFF = {
    "is_conj": "its conjugates were put off: write .resolve_conj()",
    "is_neg": "its minus signs were put off: write .resolve_neg()",
    "_is_zerotensor": "it has no memory, being all zeros: write .clone()",
}
"""What PyTorch may have put off, of which DLPack tells nothing: the memory holds other numbers."""


def device_backend(x: Any) -> Backend | None:
    """The backend of an array of another library that lies on a CUDA device; None for all else.

    Raises:
        BackendError: it lies there, and CuPy is missing.
    """
    if not hasattr(type(x), "__dlpack_device__") or backends.owner(x) is not None:
        return None
    if _device_of(x) not in _CUDA:
        return None
    try:
        return backends.get("cupy")
    except BackendError as error:
        raise BackendError(
            f"{arguments.place(x)}an array on a CUDA device: copy it to the host, as with .cpu(); {error}"
        ) from error


def on_its_device(x: Any) -> Any:
    """An array of another library on a CUDA device as one of CuPy in the same memory; all else as it is."""
    backend = device_backend(x)
    return x if backend is None else taken(x, backend)


def _device_of(x: Any) -> int | None:
    """DLPack's number of the device where an array lies; None where there is none."""
    try:
        return int(x.__dlpack_device__()[0])
    except Exception:  # whatever its library raises then: PyTorch for its device "meta", for one
        return None


def shared(x: Any) -> tuple[Array, Backend]:
    """The memory of x as an array, and the backend that it is of.

    Raises:
        ArgumentError: x is no array that tells of its memory.
        BackendError: it lies on a device that no backend is for.
        DtypeError: its numbers are none that a tensor can have, or are not what its memory holds.
    """
    if isinstance(x, type) or not (hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__")):
        raise arguments.refused(
            "from_dlpack: x", "an array with __dlpack__, such as one of NumPy, PyTorch, CuPy or JAX", x
        )
    number = _device_of(x)
    backend = backends.get("numpy") if number in _HOST else backends.owner(x) or device_backend(x)
    if backend is None:
        raise BackendError(
            f"from_dlpack: x is neither on the processor nor on a CUDA device (DLPack's number: {number}): "
            "copy it to one of them"
        )
    return (plain_array(x, backend) if backends.owner(x) is backend else taken(x, backend)), backend


def taken(x: Any, backend: Backend) -> Array:
    """The memory of an array of another library as an array of a backend.

    Raises:
        DtypeError: its numbers are none that a tensor can have, or are not what its memory holds.
    """
    if isinstance(x, Node):
        return backend.from_dlpack(x)
    what = f"{arguments.place(x)}cannot make a tensor of {type(x).__name__}"
    for name, said in _PUT_OFF.items():
        if hasattr(x, name) and getattr(x, name)():
            raise DtypeError(f"{what}: {said}")
    try:
        array = backend.from_dlpack(x)
    except Exception as error:  # of each library another one
        of = f" of dtype {x.dtype}" if hasattr(x, "dtype") else ""
        raise DtypeError(f"{what}{of}: {error}{no_history(error)}") from error
    return plain_array(array, backend, x)


def is_frozen(x: Any) -> bool:
    """Whether nobody can write into an array, so that its memory may be shared: JAX's are so."""
    jax = sys.modules.get("jax")  # where nobody has loaded it there are none
    return jax is not None and isinstance(x, jax.Array)


def handed_out(
    array: Array, backend: Backend, stream: Any, version: Any, device: Any, copy: bool | None
) -> tuple[Any, bool]:
    """What DLPack hands over of an array, and whether that is the array's own memory.

    Raises:
        ExportError: only a copy would do and none is wanted, or DLPack has no such numbers, or the device is
            another one.
    """
    moved = device is not None and tuple(map(int, device)) != tuple(map(int, array.__dlpack_device__()))
    if moved and int(device[0]) != _HOST[0]:
        raise ExportError(
            f"__dlpack__: the tensor is on the {backend.name!r} backend: move it with .to(name)"
        )
    private = bool(copy) or moved or _is_misread(array, backend, version)
    if private and copy is False:
        raise ExportError(
            "__dlpack__: other libraries read arrays with these strides wrongly, or write where nobody may: "
            "they get a copy, so leave out copy=False"
        )
    if private:
        array = numpy.array(backend.to_host(array)) if moved else array.copy()
    words = {} if version is None else {"max_version": version}
    if isinstance(array, numpy.ndarray):
        words = words if _VERSIONED else {}
    else:
        words["stream"] = stream
    try:
        return array.__dlpack__(**words), not private
    except BufferError as error:
        raise ExportError(f"__dlpack__: an array of {array.dtype}: {error}") from error


def _is_misread(array: Array, backend: Backend, version: Any) -> bool:
    """Whether libraries read or write an array's memory wrongly: PyTorch writes into what is read-only, and
    aborts the process where a step goes backwards. Gaps between the elements are refused by those that know
    only the first DLPack, as JAX does."""
    if backend.is_spread(array) or any(step < 0 for step in array.strides):
        return True
    if isinstance(array, numpy.ndarray) and not array.flags.aligned:
        return True
    if version is not None or not array.size:
        return False
    expected = array.itemsize
    for step, length in sorted(zip(array.strides, array.shape, strict=True)):
        if length > 1 and step != expected:
            return True
        expected *= length
    return False
