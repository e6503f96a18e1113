"""The attributes of a cell of ours, to see quickly whether one was replaced.

    cell ─ __dict__ ─ weight_ih, weight_hh   tensors: the same ones, asking for a residual or not as before
                    ─ hidden_size, clip      values that cannot change: the same objects

The code of such a cell is known, so this is all that :class:`~.closure.Closure` would read of it.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from ..tape import Node
from .data import VALUES
from .objects import slots_of
from .steady import LIBRARY, steady_class, top


class Attributes:
    """What a cell holds.

    Args:
        cell: one of ours.
        weights: the names of those tensors that its program uses, in the order in which it does.
    """

    def __init__(self, cell: Any, weights: Sequence[str]) -> None:
        kind: Any = type(cell)
        self._cell, self._kind, self._call = weakref.ref(cell), kind, kind.__call__
        held = vars(cell).items()
        self._count = len(held)
        self._values = [(name, value) for name, value in held if not isinstance(value, Node)]
        self._tensors = [(name, weakref.ref(x), _kind_of(x)) for name, x in held if isinstance(x, Node)]
        self._weights = weights

    def weights(self, cell: Any) -> list[Any] | None:
        """The tensors that the program uses, if it is that cell, and everything in it is what it was."""
        kind = type(cell)
        if self._cell() is not cell or kind is not self._kind or kind.__call__ is not self._call:
            return None
        held = vars(cell)
        if len(held) != self._count:
            return None
        for name, value in self._values:
            if held.get(name, held) is not value:
                return None
        for name, reference, kind_before in self._tensors:
            x = held.get(name)
            if x is None or reference() is not x or _kind_of(x) != kind_before:
                return None
        return [held[name] for name in self._weights]


def attributes_of(cell: Any, tensors: Sequence[Any]) -> Attributes | None:
    """What a cell holds; None if that is not all it reads: its class is not one of ours, it holds what can
    change by itself, or a program that uses these tensors has some from elsewhere."""
    kind: Any = type(cell)
    if top(kind.__module__) != LIBRARY or not steady_class(kind) or slots_of(kind):
        return None
    held = vars(cell)
    names = {id(x): name for name, x in held.items() if isinstance(x, Node)}
    known = all(isinstance(value, Node) or _constant(value) for value in held.values())
    if not known or any(id(x) not in names for x in tensors):
        return None
    return Attributes(cell, [names[id(x)] for x in tensors])


def _kind_of(x: Any) -> tuple[Any, ...]:
    return x.requires_grad, x._data.shape, x._data.dtype, x._backend


def _constant(value: Any) -> bool:
    if type(value) is tuple:
        return all(map(_constant, value))
    return type(value) is float or type(value) in VALUES
