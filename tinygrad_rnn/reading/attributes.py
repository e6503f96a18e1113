"""The attributes of a cell of ours, to see quickly whether one was replaced.

    cell ─ __dict__ ─ weight_ih, weight_hh   tensors: the same ones, asking for a residual or not as before
                    ─ hidden_size, clip      values that cannot change: the same objects

The code of such a cell is known, so this is all that :class:`~.closure.Closure` would read of it.
"""

from __future__ import annotations

import weakref
from typing import Any

from ..tape import Node
from .data import VALUES
from .objects import slots_of
from .steady import steady_class


class Attributes:
    """What a cell holds.

    Attributes:
        complete: whether that is all it reads: its class is one of ours, and nothing that it holds can change
            by itself, tensors apart.
    """

    def __init__(self, cell: Any) -> None:
        kind: Any = type(cell)
        self._cell, self._kind, self._call = weakref.ref(cell), kind, kind.__call__
        held = vars(cell).items()
        self._count = len(held)
        self._values = [(name, value) for name, value in held if not isinstance(value, Node)]
        self._tensors = [(name, weakref.ref(x), x.requires_grad) for name, x in held if isinstance(x, Node)]
        self.complete: bool = (
            steady_class(kind) and not slots_of(kind) and all(_constant(value) for _, value in self._values)
        )

    def names_of(self, tensors: list[Any]) -> list[str] | None:
        """Under which names it holds these tensors; None if it does not hold all of them."""
        names = {id(x()): name for name, x, _ in self._tensors}
        return [names[id(x)] for x in tensors] if all(id(x) in names for x in tensors) else None

    def hold(self, cell: Any) -> bool:
        """Whether it is that cell, and everything in it is what it was."""
        kind = type(cell)
        if self._cell() is not cell or kind is not self._kind or kind.__call__ is not self._call:
            return False
        table = vars(cell)
        if len(table) != self._count:
            return False
        for name, value in self._values:
            if table.get(name, table) is not value:
                return False
        for name, reference, needs in self._tensors:
            x: Any = table.get(name)
            if x is None or x.requires_grad is not needs or reference() is not x:
                return False
        return True


def _constant(value: Any) -> bool:
    return (
        type(value) in VALUES or type(value) is float or (type(value) is tuple and all(map(_constant, value)))
    )
