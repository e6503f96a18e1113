"""What derivatives look like to a type checker: nested as the argument, and called as the function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeAlias, TypeVar, overload

from ..ops import ArrayLike, Leaf
from ..tensor import Tensor

A = TypeVar("A")
P = ParamSpec("P")
Y = TypeVar("Y")

Function: TypeAlias = "Callable[Concatenate[Tensor, P], ArrayLike] | Callable[Concatenate[Any, P], ArrayLike]"
"""What is differentiated by its first argument, which may be nested; the x of ``lambda x: …`` is a tensor."""


class OfTensor(Protocol[P]):
    """A derivative by a first argument that is one tensor."""

    def __call__(self, x: Leaf, /, *args: P.args, **kwargs: P.kwargs) -> Tensor: ...


class Gradient(Protocol[P]):
    """The gradient by the first argument, nested as that."""

    @overload
    def __call__(self, x: Leaf, /, *args: P.args, **kwargs: P.kwargs) -> Tensor: ...
    @overload
    def __call__(self, x: A, /, *args: P.args, **kwargs: P.kwargs) -> A: ...


class ValueAndGradient(Protocol[P]):
    """The value, and the gradient by the first argument, nested as that."""

    @overload
    def __call__(self, x: Leaf, /, *args: P.args, **kwargs: P.kwargs) -> tuple[Tensor, Tensor]: ...
    @overload
    def __call__(self, x: A, /, *args: P.args, **kwargs: P.kwargs) -> tuple[Tensor, A]: ...
