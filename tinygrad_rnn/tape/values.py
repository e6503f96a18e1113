"""A tensor as it looks from outside: its values and their shape, to the user, to Python and to NumPy.

A look at values is not recorded. In a trace, where there are none, it is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy

from ..arguments import DTypeLike
from ..effects import effect
from ..errors import DtypeError, ExportError, ShapeError, TapeError
from .entry import Node
from .exchange import handed_out
from .host import host_array, plain_array
from .mode import thread
from .writes import expose

if TYPE_CHECKING:
    from ..ops import ArrayLike


def cuts(x: Any) -> TypeGuard[Node]:
    """Whether a gradient would be lost silently if only the values of x went on."""
    return isinstance(x, Node) and x.requires_grad and thread.recording


def off_tape(advice: str) -> TapeError:
    """The error for a recorded tensor whose values alone would go on."""
    return TapeError(
        f"a tensor that requires grad would leave the tape: {advice}; where no gradient is wanted, write "
        ".numpy() or .detach()"
    )


_Array: TypeAlias = numpy.ndarray
_Dtype: TypeAlias = numpy.dtype[Any]
"""``numpy`` and ``dtype`` are names of its own inside the class."""


class Values(Node):
    """An array that can be looked at."""

    __slots__ = ()

    @property
    def data(self) -> _Array:
        """The array itself, to read or to write; assign to replace it. Writing into an array that a later
        backward pass needs makes that pass a TapeError."""
        self._look("its data")
        return expose(self)

    @data.setter
    @effect("gives a tensor another array")
    def data(self, array: ArrayLike) -> None:
        new = array._data if isinstance(array, Node) else array
        if isinstance(new, self._backend.array_type):
            new = plain_array(new, self._backend)
        else:
            new = self._backend.from_host(host_array(new, self._data.dtype))
        if new.shape != self._data.shape:
            raise ShapeError(
                f"data of shape {tuple(self._data.shape)} cannot be replaced by shape {tuple(new.shape)}"
            )
        if new.dtype != self._data.dtype:
            raise DtypeError(
                f"data of dtype {self._data.dtype} cannot be replaced by {new.dtype}; convert it first"
            )
        self._data = new
        if isinstance(array, self._backend.array_type):  # whoever assigned it can still write into it
            expose(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self._data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._data.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(self._data.size)

    @property
    def dtype(self) -> _Dtype:
        """The dtype of the elements, one of NumPy's."""
        return self._data.dtype

    @property
    def backend(self) -> str:
        """The name of the backend where the array is."""
        return self._backend.name

    @property
    def is_leaf(self) -> bool:
        """Whether no operation made it, so that ``grad`` is added up here."""
        if thread.tracing is not None and self.entry is not None:
            thread.tracing.look(self, "whether it is a leaf")
        return self.entry is None

    def numpy(self) -> _Array:
        """The values as a NumPy array: a read-only view on the processor, a copy from a device.

        >>> tg.tensor([1.0, 2.0]).numpy()
        array([1., 2.], dtype=float32)
        """
        self._look("its values")
        return self._backend.to_host(self._data)

    def item(self) -> float | int | bool:
        """The one value as a Python number.

        >>> tg.tensor(0.5).item()
        0.5

        Raises:
            ShapeError: there are several.
        """
        if self.size != 1:
            raise ShapeError(f"item: a tensor of shape {self.shape} has {self.size} values, not one")
        return self.numpy().reshape(()).item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers.

        >>> tg.tensor([[1.0], [2.0]]).tolist()
        [[1.0], [2.0]]
        """
        return self.numpy().tolist()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> _Array:
        if cuts(self):
            raise off_tape(
                "as an array it is not recorded; tg.tanh(t), np.tanh(t) and the like are, and tg.stack of "
                "several"
            )
        return numpy.array(self.numpy(), dtype=dtype) if copy or dtype is not None else self.numpy()

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any:
        """The memory for another library, which asks for it in its ``from_dlpack``. It is watched from then
        on: a backward pass that needs what the other one has written over is a TapeError.

        >>> x = tg.tensor([1.0, 2.0])
        >>> np.from_dlpack(x)
        array([1., 2.], dtype=float32)

        Raises:
            ExportError: the tensor requires grad, or only a copy would do and none is wanted.
        """
        self._look("its memory")
        if self.requires_grad:
            raise ExportError(str(off_tape("other libraries do not record on it")))
        capsule, own = handed_out(self._data, self._backend, stream, max_version, dl_device, copy)
        if own:
            expose(self)
        return capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        """Where the memory is, in DLPack's numbers."""
        kind, number = self._data.__dlpack_device__()
        return kind, number

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise DtypeError(f"a tensor of dtype {self.dtype} is not an index")
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __format__(self, spec: str) -> str:
        """A single value as a number: ``f"{loss:.3f}"``."""
        if spec and self.size != 1:
            raise ShapeError(
                f"format {spec!r} is for one value, a tensor of shape {self.shape} has {self.size}: format "
                "parts of .tolist()"
            )
        return format(self.item(), spec) if spec else str(self)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise ShapeError("a number has no length")
        return int(self.shape[0])

    def __repr__(self) -> str:
        if thread.tracing:
            return f"tensor(shape={self.shape}, dtype={self.dtype})"
        values = numpy.array2string(self.numpy(), separator=", ", prefix="tensor(")
        source = f", from={self.entry.row.name}" if self.entry is not None and self.requires_grad else ""
        leaf = ", requires_grad=True" if self.requires_grad and self.entry is None else ""
        return f"tensor({values}, dtype={self.dtype}{leaf}{source})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self.entry is not None:
            raise TapeError(
                "a result on the tape is not copied or pickled, since all that led to it would go along: "
                "use .detach()"
            )
        return super().__reduce_ex__(protocol)

    def _look(self, what: str) -> None:
        if thread.tracing is not None:
            thread.tracing.look(self, what)
