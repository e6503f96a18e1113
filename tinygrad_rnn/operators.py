"""Python's operators of tensors. Each only delegates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, overload

import numpy

from . import ops
from .chain_rule.addition import ADD, NEGATIVE, SUBTRACT
from .chain_rule.weighting import MULTIPLY
from .errors import TapeError
from .ops import ArrayLike, Index
from .ops.choice import truths
from .ops.in_place import in_place
from .tape import Node, Values, apply, thread

if TYPE_CHECKING:
    from .tensor import Tensor


class Operators(Values):
    """What stands between tensors: + - * / ** @ < == & [], and the rest."""

    __slots__ = ()

    def __hash__(self) -> int:
        # it would not be found where the tensor of a step is
        if thread.tracing is not None and self.entry is not None:
            thread.tracing.look(self, "its hash")
        return object.__hash__(self)

    # how NumPy's functions and the operators of its arrays take a tensor: ``numpy_functions`` binds them
    __array_ufunc__: Callable[..., Any]
    __array_function__: Callable[..., Any]

    def __add__(self, other: ArrayLike) -> Tensor:
        return apply(ADD, (self, other))

    def __radd__(self, other: ArrayLike) -> Tensor:
        return apply(ADD, (other, self))

    def __sub__(self, other: ArrayLike) -> Tensor:
        return apply(SUBTRACT, (self, other))

    def __rsub__(self, other: ArrayLike) -> Tensor:
        return apply(SUBTRACT, (other, self))

    def __mul__(self, other: ArrayLike) -> Tensor:
        return apply(MULTIPLY, (self, other))

    def __rmul__(self, other: ArrayLike) -> Tensor:
        return apply(MULTIPLY, (other, self))

    def __truediv__(self, other: ArrayLike) -> Tensor:
        return ops.divide(self, other)

    def __rtruediv__(self, other: ArrayLike) -> Tensor:
        return ops.divide(other, self)

    def __neg__(self) -> Tensor:
        return apply(NEGATIVE, (self,))

    def __pos__(self) -> Tensor:
        return ops.as_tensor(self)

    def __abs__(self) -> Tensor:
        return ops.abs(self)

    def __pow__(self, exponent: ArrayLike) -> Tensor:
        return ops.power(self, exponent)

    def __rpow__(self, base: ArrayLike) -> Tensor:
        return ops.power(base, self)

    def __floordiv__(self, other: ArrayLike) -> Tensor:
        return ops.floor_divide(self, other)

    def __rfloordiv__(self, other: ArrayLike) -> Tensor:
        return ops.floor_divide(other, self)

    def __mod__(self, other: ArrayLike) -> Tensor:
        return ops.mod(self, other)

    def __rmod__(self, other: ArrayLike) -> Tensor:
        return ops.mod(other, self)

    def __matmul__(self, other: ArrayLike) -> Tensor:
        return ops.matmul(self, other)

    def __rmatmul__(self, other: ArrayLike) -> Tensor:
        return ops.matmul(other, self)

    def __lt__(self, other: ArrayLike) -> Tensor:
        return ops.less(self, other)

    def __le__(self, other: ArrayLike) -> Tensor:
        return ops.less_equal(self, other)

    def __gt__(self, other: ArrayLike) -> Tensor:
        return ops.greater(self, other)

    def __ge__(self, other: ArrayLike) -> Tensor:
        return ops.greater_equal(self, other)

    @overload  # type: ignore[override]
    def __eq__(self, other: None) -> bool: ...
    @overload
    def __eq__(self, other: ArrayLike) -> Tensor: ...
    def __eq__(self, other: Any) -> Any:
        return False if other is None else ops.equal(self, other)

    @overload  # type: ignore[override]
    def __ne__(self, other: None) -> bool: ...
    @overload
    def __ne__(self, other: ArrayLike) -> Tensor: ...
    def __ne__(self, other: Any) -> Any:
        return True if other is None else ops.not_equal(self, other)

    def __and__(self, other: ArrayLike) -> Tensor:
        return ops.logical_and(*truths("&", self, other))

    def __or__(self, other: ArrayLike) -> Tensor:
        return ops.logical_or(*truths("|", self, other))

    __rand__ = __and__
    __ror__ = __or__

    def __xor__(self, other: ArrayLike) -> Tensor:
        return ops.logical_xor(*truths("^", self, other))

    __rxor__ = __xor__

    def __invert__(self) -> Tensor:
        return ops.logical_not(*truths("~", self))

    def __getitem__(self, index: Index) -> Tensor:
        return ops.getitem(self, index)

    if not TYPE_CHECKING:  # a checker says that there is no such thing before the program does

        def __setitem__(self, index: Any, value: Any) -> None:
            raise TapeError(
                f"x[{_written(index)}] = … cannot be recorded: make another tensor, "
                "x = tg.where(mask, new, x) or x = tg.concatenate([x[:i], new, x[i + 1:]]); collect the "
                "steps of a loop in a list, and tg.stack(list). Outside of training, x.data[…] = … writes to "
                "the array"
            )

    def __iter__(self) -> Iterator[Tensor]:
        return iter(ops.unstack(self))

    def __divmod__(self, other: ArrayLike) -> tuple[Tensor, Tensor]:
        return self // other, self % other

    def __rdivmod__(self, other: ArrayLike) -> tuple[Tensor, Tensor]:
        return other // self, other % self


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"):
    setattr(Operators, f"__i{_name}__", in_place(getattr(Operators, f"__{_name}__")))


def _written(index: Any) -> str:
    return "…" if isinstance(index, (Node, numpy.ndarray, tuple, slice)) else repr(index)
