"""What operations do with operands before they apply a row: make them tensors, settle axes and shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy

from .. import arguments, backends
from ..chain_rule import Row
from ..errors import IndexRangeError, ShapeError
from ..tape import Node, apply, choose, floats_beside, home, lift, owner_of

if TYPE_CHECKING:
    from types import EllipsisType

    from ..tensor import Tensor as Tensor
else:
    Tensor = Any

T_co = TypeVar("T_co", covariant=True)


class SupportsArray(Protocol):
    """What makes an array of itself: those of NumPy, a tensor of PyTorch, a column of a table."""

    def __array__(self) -> numpy.ndarray: ...


class Listed(Protocol[T_co]):
    """A list or a tuple, and no text, which can only be asked for text inside it."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[T_co]: ...
    def __getitem__(self, place: int, /) -> T_co: ...
    def __contains__(self, item: object, /) -> bool: ...


Leaf: TypeAlias = "Tensor | SupportsArray | float"
"""What stands for one tensor and holds no others."""

ArrayLike: TypeAlias = "Leaf | Listed[ArrayLike]"
"""What functions take in the place of a tensor: anything that can be made one."""

Nest: TypeAlias = "ArrayLike | Listed[Nest] | Mapping[str, Nest]"
"""Tensors nested in tuples, lists and dicts: arguments, inputs and states of cells."""

Index: TypeAlias = "ArrayLike | slice | EllipsisType | tuple[Index, ...] | None"
"""What may stand in brackets behind a tensor."""

Axis: TypeAlias = int | Sequence[int] | None


class Unary(Protocol):
    """A function of one operand."""

    def __call__(self, x: ArrayLike) -> Tensor: ...


class Binary(Protocol):
    """A function of two operands."""

    def __call__(self, x1: ArrayLike, x2: ArrayLike) -> Tensor: ...


def unary(row: Row, does: str, x: str, y: str, dtype: str = "float32") -> Unary:
    """The function of one operand that applies a row; what its docstring says are the other arguments."""
    run = choose if row.case == "choice" else apply

    def function(x: ArrayLike) -> Tensor:
        return run(row, (x,))

    function.__name__ = function.__qualname__ = row.name
    function.__doc__ = _documented(row, f"{does}, elementwise", x, y, dtype)
    return function


def binary(row: Row, does: str, xs: str, y: str, dtype: str = "float32", more: str = "") -> Binary:
    """The function of two operands that applies a row; what its docstring says are the other arguments."""
    run = choose if row.case == "choice" else apply

    def function(x1: ArrayLike, x2: ArrayLike) -> Tensor:
        return run(row, (x1, x2))

    function.__name__ = function.__qualname__ = row.name
    function.__doc__ = _documented(row, f"{does}, elementwise with broadcasting", xs, y, dtype, more)
    return function


def _documented(row: Row, does: str, xs: str, y: str, dtype: str, more: str = "") -> str:
    """A docstring with an example: of one number to three digits, of several exactly."""
    call = f"tg.{row.name}({xs})"
    example = (
        f">>> {call}\ntensor({y}, dtype={dtype})" if y[0] == "[" else f'>>> print(f"{{{call}:.3f}}")\n{y}'
    )
    return "\n\n".join(part for part in (f"{does}: {_KINDS[row.case]}.", more, f"{example}\n") if part)


_KINDS = {
    "composition": "a composition",
    "addition": "an addition",
    "weighting": "a weighting",
    "choice": "it moves only in jumps, so no residual passes",
}


def as_tensor(x: ArrayLike) -> Tensor:
    """x itself if it is a tensor, else a constant tensor of it: a copy, unless nobody can write into x, as
    into the arrays of JAX.

    >>> x = tg.tensor([1.0, 2.0])
    >>> tg.asarray(x) is x
    True
    """
    return x if isinstance(x, Node) else lift(x, owner_of(x) or backends.current())


def as_tensors(*operands: ArrayLike) -> list[Tensor]:
    """All of them as tensors on one backend."""
    for x in operands:
        if not isinstance(x, Node):
            break
    else:  # nearly always
        return list(operands)  # type: ignore[arg-type]
    backend, floats = home(operands), floats_beside(operands)
    return [lift(x, backend, floats) for x in operands]


def joint_shape(name: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return numpy.broadcast_shapes(*shapes)
    except ValueError as error:
        raise ShapeError(f"{name}: {error}") from error


def axis_of(x: Tensor, axis: int) -> int:
    """An axis counted from the front.

    Raises:
        IndexRangeError: there is no such axis.
    """
    return axis_among(axis, len(x._data.shape))


def axes_of(x: Tensor, axis: Axis, ordered: bool = False, repeated: bool = False) -> tuple[int, ...]:
    """Axes counted from the front, all of them for None; sorted unless their order counts."""
    rank = len(x._data.shape)
    if axis is None:
        return tuple(range(rank))
    if type(axis) is int:
        return (axis_among(axis, rank),)
    axes = axes_among(axis, rank, repeated)
    return axes if ordered else tuple(sorted(axes))


def axis_among(axis: int, rank: int) -> int:
    if type(axis) is not int:
        axis = arguments.whole("axis", axis)
    if not -rank <= axis < rank:
        raise IndexRangeError(f"axis {axis} is out of range for {rank} axes")
    return axis % rank


def axes_among(axis: Any, rank: int, repeated: bool = False) -> tuple[int, ...]:
    if isinstance(axis, Iterator):  # who reads it twice finds nothing the second time
        raise arguments.refused("axis", "a whole number or a tuple of them", axis)
    parts = axis if type(axis) is tuple else arguments.wholes("axis", axis)
    axes = tuple([axis_among(part, rank) for part in parts])
    if len(set(axes)) != len(axes) and not repeated:
        raise ShapeError(f"an axis stands twice in {axis}")
    return axes
