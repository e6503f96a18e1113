"""The states of recurrent layers: what they begin with, what is kept from call to call, and single steps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar, Generic, TypeVar

from .. import arguments, ops, tree
from ..effects import effect
from ..errors import ArgumentError, ShapeError
from ..ops import Nest
from ..sequence import Column, Output, State, Stepper
from ..tape import host
from ..tensor import Tensor
from .given_cells import name_of
from .layers import Dropout
from .module import Module
from .regularised import Noisy
from .states import apart, together, zeros_of

S = TypeVar("S")


def detach(state: S) -> S:
    """A nested state off the tape: carried on like this, back-propagation through time is cut here (truncated
    BPTT).

    >>> ys, state = tg.nn.LSTM(2, 3)(tg.zeros((4, 1, 2)))
    >>> h, c = tg.nn.detach(state)
    >>> h.requires_grad
    False
    """
    if not all(isinstance(leaf, Tensor) for leaf in tree.leaves(state)):
        raise arguments.refused("detach: state", "a tensor, or tensors nested as a state is", state)
    return tree.map_leaves(lambda leaf: leaf.detach(), state)


class Carrying(Module, Generic[Output, State]):
    """The part of a recurrent layer that has to do with its state."""

    _in_layers: ClassVar[bool]
    _runs: Any
    _as_run: Any
    cell: Any
    layers: list[list[Any]]
    options: dict[str, Any]
    dropout: Dropout
    bidirectional: bool
    input_size: int | None
    stateful: bool
    _separate: bool
    _kept: Any

    def reset_state(self, state: Nest | None = None) -> None:
        """Of a stateful layer: let the next call begin anew.

        Args:
            state: what it begins with, as a call takes it; zeros by default.

        Raises:
            ArgumentError: the layer is not stateful, or it is no state.
        """
        if not self.stateful:
            raise ArgumentError(
                f"{type(self).__name__}.reset_state: it keeps none: make it with stateful=True"
            )
        self._keep(None if state is None else tree.map_leaves(ops.as_tensor, state))

    @effect("keeps its state for the next call")
    def _keep(self, state: Any) -> None:
        # a copy: what a call returned is the caller's to write into
        kept = None if state is None else tree.map_leaves(_copied, state)
        object.__setattr__(self, "_kept", kept)

    def _kept_for(self, x: Any, single: bool) -> Any:
        """The state that was kept.

        Raises:
            ShapeError: it is of another number of samples.
        """
        if self._kept is None:
            return None
        axis, batch = self._batch_axis(), tree.leaves(x)[0].shape[1:2]
        for leaf in tree.leaves(self._kept):
            if not single and leaf.shape[axis : axis + 1] != batch:
                raise ShapeError(
                    f"{type(self).__name__}: the state that was kept has the shape {leaf.shape}, and the "
                    f"input {batch[0]} samples: give as many as before, or say reset_state()"
                )
        return self._kept

    def _batch_axis(self) -> int:
        """That of the state."""
        return int("layers" in vars(self) and not self._separate)

    def _zeros(self, x: Any) -> Any:
        size = getattr(self.cell, "state_size", None)
        name = name_of(self.cell)
        if size is None:
            raise ShapeError(
                f"the cell {name} has no state_size: give the layer a state, or the cell that attribute"
            )
        first = tree.leaves(x)[0]
        dtype = first.dtype
        if dtype.kind != "f":  # class numbers: the floats begin inside the cell
            dtype = next((parameter.dtype for _, parameter in self.named_parameters()), host.default_dtype)
        return zeros_of(f"the state_size of the cell {name}", size, first, first.shape[1:2], dtype)

    def _states(self, x: Any, state: Any, single: bool) -> list[Any]:
        """The state of each cell."""
        cells = [run.cell for layer in self.layers for run in layer]
        if state is None:
            return [None] * len(cells)
        if not self._separate:
            size = getattr(cells[0], "state_size", None)
            return apart(type(self).__name__, state, size, len(cells), tree.leaves(x)[0], single)
        if not isinstance(state, (tuple, list)) or len(state) != len(cells):
            raise ShapeError(
                f"{type(self).__name__}: the cells' states have different sizes: expected a tuple of "
                f"{len(cells)} states, one for each cell"
            )
        return [tree.map_leaves(lambda leaf: ops.expand_dims(leaf, 0) if single else leaf, s) for s in state]

    def stepper(self, state: Nest | None = None) -> Stepper[Output, State]:
        """The layer one step at a time, without a tape: ``y = stepper(x)`` for x (B, …), with the state kept
        inside.

        Args:
            state: before the first step, as a call takes it; by default zeros. ``stepper.state`` is laid out
                alike.

        Raises:
            ArgumentError: it runs from the end, also; or would draw dropout or zoneout: say ``.eval()``
                before.

        Example:
            >>> stepper = nn.LSTM(3, 8).stepper()
            >>> y = stepper(tg.zeros((1, 3)))
        """
        name, layered = type(self).__name__, "layers" in vars(self)
        runs: list[Any] = [run for _, run in self._runs()] if layered else [self]
        if self.bidirectional or runs[0].options["reverse"]:
            also = " also" if self.bidirectional else ""
            raise ArgumentError(f"{name}.stepper: a layer that{also} runs from the end takes no single steps")
        if layered and self.dropout.p and self.dropout.training:
            raise ArgumentError(f"{name}.stepper: dropout is drawn for whole sequences: say .eval() before")
        for run in runs:
            run.training = self.training  # as a call has it
        cells = [run._as_run() for run in runs]
        if any(isinstance(cell, Noisy) for cell in cells):
            raise ArgumentError(
                f"{name}.stepper: zoneout and recurrent dropout are drawn for whole sequences: say .eval() "
                "before"
            )
        if not layered:
            return Stepper(cells[0], state, self._first_state)
        column = Column(cells, self.input_size if self._in_layers else None)
        return Stepper(column, state, self._first_states, self._apart, self._shown)

    def _first_state(self, x: Any) -> Any:
        """Zeros before a step's input."""
        return self._zeros(tree.map_leaves(_as_steps, x))

    def _first_states(self, x: Any) -> list[Any]:
        """Zeros before a step's input, for each cell."""
        return [layer[0]._first_state(x) for layer in self.layers]

    def _shown(self, states: Any) -> Any:
        """The state of all cells, from that of each."""
        return tuple(states) if self._separate else together(type(self).__name__, states)

    def _apart(self, state: Any) -> list[Any]:
        """The state of each cell, from that of all of them."""
        leaves = tree.leaves(state)
        like: Tensor = next(iter([*self.parameters(), *leaves]), ops.zeros(()))
        batch = max([1, *(leaf.shape[1] for leaf in leaves if leaf.ndim > 1)])
        zeros = like._backend.zeros((1, batch), like.dtype)
        return self._states(Tensor(zeros, like._backend), state, False)


@contextlib.contextmanager
def fresh_states(model: Any) -> Iterator[None]:
    """A block in which the stateful layers of a model begin anew, and after which they go on as before."""
    modules = model.modules() if isinstance(model, Module) else ()
    kept = [(layer, layer._kept) for layer in modules if isinstance(layer, Carrying)]
    try:
        for layer, _ in kept:
            layer._keep(None)
        yield
    finally:
        for layer, state in kept:
            layer._keep(state)


def _copied(leaf: Tensor) -> Tensor:
    """Off the tape, in memory of its own."""
    return Tensor(leaf._data.copy(), leaf._backend)


def _as_steps(x: Any) -> Tensor:
    """A single step as a sequence of one."""
    return ops.expand_dims(x, 0)
