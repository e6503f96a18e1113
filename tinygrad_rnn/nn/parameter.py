"""Parameters: the leaves that training changes."""

from __future__ import annotations

from .. import arguments
from ..arguments import DTypeLike
from ..ops import ArrayLike
from ..tensor import Tensor, tensor


class Parameter(Tensor):
    """A leaf that training changes.

    >>> tg.nn.Parameter([1.0, 2.0]).requires_grad
    True

    Args:
        data: numbers, an array, or a tensor that is no result on the tape; copied.
        dtype: of a float; that of the data by default.
        backend: where to put it; the current backend by default.

    Raises:
        DtypeError: the data is integers, which have no gradient.
        TapeError: a result on the tape, from which a new leaf would be cut off.
    """

    __slots__ = ()

    def __init__(self, data: ArrayLike, dtype: DTypeLike | None = None, backend: str | None = None) -> None:
        dtype = arguments.optional(arguments.float_dtype, "Parameter: dtype", dtype)
        leaf = tensor(data, dtype, requires_grad=True, backend=backend)
        super().__init__(leaf._data, leaf._backend, True)
