"""``W -= step``: recorded it makes a new tensor for the name; under ``no_grad`` a leaf takes the values."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from ..errors import ArgumentWarning
from ..tape import Node, thread
from .addition import astype

_LOST = (
    "W -= step was recorded, and made a new tensor for the name W: the parameter is what it was. To change "
    "it write 'with tg.no_grad(): W -= step', or W.data -= step"
)


def in_place(operator: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The assigning form of an operator."""

    def assigned(self: Any, other: Any) -> Any:
        """A new tensor for the name; but under no_grad a leaf that requires grad stays what it is, and takes
        the values."""
        result = operator(self, other)
        if thread.recording or not self.requires_grad or self.entry is not None:
            # of a parameter, which others hold too; who has the name alone is told when W.grad is asked for
            if type(self) is not type(result) and thread.scope is None and is_step_from_leaf(result):
                warnings.warn(_LOST, ArgumentWarning, stacklevel=2)
            return result
        self.data = astype(result, self._data.dtype)
        return self

    return assigned


def is_step_from_leaf(x: Node) -> bool:
    """Whether x looks like ``W -= step`` of a leaf W that has a grad: a constant of its shape was added or
    subtracted."""
    entry = x.entry
    if entry is None or entry.inputs is None or list(entry.needs) != [True, False]:
        return False
    W, step = entry.inputs
    return (
        entry.row.case == "addition"
        and entry.row.elementwise
        and not entry.row.masks
        and W.entry is None
        and W._grad is not None
        and isinstance(step, Node)
        and step._data.shape == W._data.shape
    )
