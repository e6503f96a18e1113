"""One step at a time: the plan, its memory and its addresses are bound once, and the state stays inside.

A call copies the input in, runs one function of machine code, which knows where everything lies, and copies
the output out: nothing is traced, looked up, recorded or taken out of the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import arguments, tree
from ..backends.base import Unsupported
from ..errors import TraceError
from ..ops import as_tensor
from ..tape import Node, no_grad
from .bound_step import BoundStep
from .compiled import traced_cell


class Stepper:
    """A cell that is run a step at a time, without a tape.

    ``y = stepper(x)`` is ``y, state = cell(x, state)`` under ``no_grad``, with the state kept inside. What
    the cell reads besides its weights, its numbers say, is what it was at the first call. Two threads need
    two steppers.

    Args:
        cell: a function or module, ``y, state = cell(x, state)``.
        state: the state before the first step, nested tensors; or a function that makes it from the first
            input.

    Raises:
        ArgumentError: the cell cannot be called.
    """

    def __init__(self, cell: Any, state: Any, shown: Callable[[Any], Any] = lambda state: state) -> None:
        self.cell = arguments.function("Stepper: cell", cell, instance=True)
        self._first, self._shown = state, shown
        self._state: Any = None if callable(state) else _copied(state)
        self._bound: BoundStep | None = None
        self._kind: Any = None
        self._outside: list[Any] = []
        self._reason = "not run yet"

    @property
    def state(self) -> Any:
        """The state after the last step, as copies; None before the first one, where there is none yet."""
        if self._bound is not None:
            self._state = self._known()
        return None if self._state is None else self._shown(_copied(self._state))

    def explain(self) -> str:
        """How it runs: "machine code", or step by step and why."""
        return self._reason

    def __call__(self, x: Any) -> Any:
        """Take one step.

        Args:
            x: the input of one step, (B, …), or nested tensors of that kind.

        Returns:
            The output of that step; its memory is its own.

        Raises:
            ShapeError, DtypeError: the input does not fit the state, or the cell.
            IndexRangeError: a whole number names no element; the step was not taken.
        """
        bound = self._bound
        if bound is not None and type(x) is bound.tensor and bound.takes(x._data, self._outside):
            return bound.one(x._data)
        return self._other(x)

    def _other(self, x: Any) -> Any:
        """The first step, one after the weights have changed, one with nested inputs or another kind of
        them."""
        x = tree.map_leaves(as_tensor, x)
        leaves = tree.leaves(x)
        kind = tree.structure(x), [(leaf.shape, leaf.dtype) for leaf in leaves]
        if self._bound is None or kind != self._kind or not self._bound.holds(self._outside):
            self._bind(x, kind)
        if self._bound is not None:
            return self._bound.step([leaf._data for leaf in leaves])
        with no_grad():
            y, self._state = self.cell(x, self._state)
        return y

    def _bind(self, x: Any, kind: Any) -> None:
        if self._bound is not None:
            self._state = self._known()
        if self._state is None:
            self._state = _copied(self._first(x))
        self._bound, self._kind = None, kind
        try:
            with no_grad():
                self._bound, self._reason = self._bound_to(x), "machine code"
        except (Unsupported, TraceError) as reason:
            self._reason = f"step by step: {reason}"

    def _known(self) -> Any:
        """The state where it is bound, nested."""
        assert self._bound is not None
        arrays = zip(tree.leaves(self._state), self._bound.states(), strict=True)
        return tree.unflatten(self._state, [Node.result_type(array, leaf._backend) for leaf, array in arrays])

    def _bound_to(self, x: Any) -> BoundStep:
        xs, states = (
            tree.map_leaves(lambda leaf: Node.result_type(leaf._data[None], leaf._backend), x),
            tree.leaves(self._state),
        )
        traced, self._outside = traced_cell(self.cell, xs, self._state, tree.leaves(xs), states)
        bound = BoundStep(traced, tree.leaves(x), states, self._outside)
        bound.put([leaf._data for leaf in states])
        return bound


class Column:
    """Cells above each other as one: each one after the first reads the output of the one before."""

    def __init__(self, cells: Sequence[Any]) -> None:
        self.cells = cells

    def __call__(self, x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        new = []
        for cell, state in zip(self.cells, states, strict=True):
            x, state = cell(x, state)
            new.append(state)
        return x, new


def _copied(state: Any) -> Any:
    return tree.map_leaves(
        lambda leaf: Node.result_type(as_tensor(leaf)._data.copy(), as_tensor(leaf)._backend), state
    )
