"""Any cell as a layer: it runs through ``scan``, a user's cell as much as a built-in one."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar

from .. import arguments, ops, tree
from ..errors import ArgumentError, ShapeError
from ..ops import ArrayLike, Nest
from ..sequence import Cell, Output, State, Stepper, checked_options, explain, scan
from ..tape import host
from ..tensor import Tensor
from .cells import Shape
from .module import Module

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


class Recurrent(Module, Generic[Output, State]):
    """Any cell as a layer.

    >>> layer = tg.nn.Recurrent(tg.nn.GRUCell(2, 3), batch_first=True)
    >>> ys, h = layer(tg.zeros((5, 10, 2)))
    >>> ys.shape, h.shape
    ((5, 10, 3), (5, 3))

    Args:
        cell: a function or module, ``y, state = cell(x, state)``. If it has a ``state_size``, the state
            before the first step is zeros by default: the last axis of each tensor of its state, nested as
            the state (``(4, 4)`` for two); or, for more axes than one after the batch, a :class:`Shape`
            (``Shape(4, 4)`` for one matrix).
        reverse: from the last step to the first.
        batch_first: sequences are (B, T, …) instead of (T, B, …).
        masked_output, compiled, checkpoint: as in :func:`tinygrad_rnn.scan`.
    """

    settled: ClassVar[tuple[str, ...]] = ("reverse", "masked_output", "compiled", "checkpoint")

    def __init__(
        self,
        cell: Cell[State, Output],
        reverse: bool = False,
        batch_first: bool = False,
        masked_output: str = "zero",
        compiled: bool | str = "auto",
        checkpoint: int | str | None = None,
    ) -> None:
        name = type(self).__name__
        self.cell: Any = arguments.function(f"{name}: cell", cell, instance=True)
        self.batch_first: bool = arguments.flag(f"{name}: batch_first", batch_first)
        self.options: dict[str, Any] = checked_options(name, reverse, masked_output, compiled, checkpoint)

    def __call__(
        self,
        x: Nest,
        state: Nest | None = None,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> tuple[Output, State]:
        """Run over a sequence.

        Args:
            x: (T, B, …), or nested tensors of that kind.
            state: the state before the first step, as the cell takes it.
            lengths: (B,) integers: how many steps each sample has.
            mask: (T, B) booleans, laid out as x: where False, a sample keeps its state.

        Returns:
            The outputs, laid out as x, and the state after the last step.

        Raises:
            ShapeError: there is no state, and the cell has no ``state_size``; and what scan raises.
        """
        x = tree.map_leaves(ops.as_tensor, x)
        if self.batch_first:
            x, mask = tree.map_leaves(swapped, x), mask_time_first(mask)
        y, last = scan(
            self.cell, x, self._zeros(x) if state is None else state, lengths, mask=mask, **self.options
        )
        return tree.map_leaves(swapped, y) if self.batch_first else y, last

    def explain(self, x: Any = None, state: Any = None, **options: Any) -> str:
        """How the cell was last run, or, with what the layer is called with, how it would; see
        :func:`tinygrad_rnn.explain`."""
        return explain(self.cell) if x is None else explain(self, x, state, **options)

    def stepper(self, state: Nest | None = None) -> Stepper[Output, State]:
        """The cell one step at a time, without a tape: ``y = stepper(x)`` for x (B, …), with the state kept
        inside.

        Args:
            state: before the first step; by default zeros, as of a call.

        Raises:
            ArgumentError: it runs from the end.
        """
        if self.options["reverse"]:
            raise ArgumentError(
                f"{type(self).__name__}.stepper: a layer that runs from the end takes no single steps"
            )
        return Stepper(self.cell, state, self._first_state)

    def _first_state(self, x: Any) -> Any:
        """Zeros before a step's input."""
        return self._zeros(tree.map_leaves(as_steps, x))

    def _zeros(self, x: Any) -> Any:
        size = getattr(self.cell, "state_size", None)
        name = getattr(self.cell, "__name__", type(self.cell).__name__)
        if size is None:
            raise ShapeError(
                f"the cell {name} has no state_size: give the layer a state, or the cell that attribute"
            )
        first = tree.leaves(x)[0]
        dtype = first.dtype
        if dtype.kind != "f":  # class numbers: the floats begin inside the cell
            dtype = next((parameter.dtype for _, parameter in self.named_parameters()), host.default_dtype)

        what = f"the state_size of the cell {name}"

        def zeros(size: Any) -> Tensor:
            axes = size.axes if isinstance(size, Shape) else (arguments.size(what, size),)
            return Tensor(first._backend.zeros((*first.shape[1:2], *axes), dtype), first._backend)

        return tree.map_leaves(zeros, size)


def as_steps(x: Any) -> Tensor:
    """A single step as a sequence of one."""
    return ops.expand_dims(x, 0)


def swapped(x: Any) -> Tensor:
    """(T, B, …) from (B, T, …), and the other way round."""
    return ops.swapaxes(x, 0, 1)


def mask_time_first(mask: Any) -> Any:
    """A mask (B, T), which is used on the host."""
    if mask is None:
        return None
    mask = host.host_array(mask)
    if mask.ndim != 2:
        raise ShapeError(f"mask must have shape (B, T) with batch_first, not {mask.shape}")
    return mask.swapaxes(0, 1)
