"""Cells in several layers, and in one direction or two."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypedDict

from .. import arguments, ops, tree
from ..errors import ArgumentError, ArgumentWarning, DtypeError, ShapeError
from ..ops import ArrayLike, Nest
from ..sequence import Column, State, Stepper, checked_options, explain, repeated_scan
from ..tape import lift, thread
from ..tensor import Tensor
from .layers import Dropout, not_a_pair
from .module import Module, Parameter
from .recurrent import Recurrent, mask_time_first, swapped

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Options(TypedDict, total=False):
    """What layers of cells hand on to each of them, as :func:`tinygrad_rnn.scan` has it."""

    masked_output: str
    compiled: bool | str
    checkpoint: int | str | None


_OPTIONS: Options = {"masked_output": "zero", "compiled": "auto", "checkpoint": None}


class Stack(Module, Generic[State]):
    """Layers of recurrent cells, each with one direction or two; base of RNN, LSTM, PeepholeLSTM and GRU.

    Args:
        make_cell: a cell for an input size.
        num_layers: each one after the first reads the outputs of the one before.
        batch_first: sequences are (B, T, size) instead of (T, B, size); states are as ever.
        dropout: the probability between layers, in training.
        bidirectional: each layer has a second cell that runs from the end; the outputs stand side by side.
        masked_output, compiled, checkpoint: as in :func:`tinygrad_rnn.scan`.
    """

    settled: ClassVar[tuple[str, ...]] = Recurrent.settled

    def __init__(
        self,
        make_cell: Callable[[int], Callable[..., Any]],
        input_size: int,
        num_layers: int,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        **options: Unpack[Options],
    ) -> None:
        name = type(self).__name__
        if unknown := sorted(options.keys() - _OPTIONS.keys()):
            raise ArgumentError(f"{name}: there is no argument {unknown[0]!r}")
        checked = checked_options(name, False, **{**_OPTIONS, **options})
        self.input_size: int = arguments.size(f"{name}: input_size", input_size)
        self.num_layers: int = arguments.size(f"{name}: num_layers", num_layers, 1)
        self.batch_first: bool = arguments.flag(f"{name}: batch_first", batch_first)
        self.bidirectional: bool = arguments.flag(f"{name}: bidirectional", bidirectional)
        self.dropout: Dropout = Dropout(arguments.probability(f"{name}: dropout", dropout))
        if self.dropout.p and self.num_layers == 1:
            advice = (
                "dropout acts between layers, and there is one: give num_layers=2 or more, or put "
                "nn.Dropout behind the layer"
            )
            warnings.warn(f"{name}: {advice}", ArgumentWarning, stacklevel=3)
        self.layers: list[list[Recurrent]] = []
        directions = (False, True) if bidirectional else (False,)
        for _ in range(self.num_layers):
            layer = [
                Recurrent(make_cell(input_size), **{**checked, "reverse": reverse}) for reverse in directions
            ]
            self.layers.append(layer)
            input_size = sum(run.cell.output_size for run in layer)

    def _members(self) -> Iterator[tuple[str, Any]]:
        """The cells' parameters under PyTorch's names, weight_ih_l0, …, weight_ih_l0_reverse, …, and what a
        subclass has beside them."""
        for name, value in vars(self).items():
            if name == "layers":
                for path, (cell, member) in self._places():
                    yield path, getattr(cell, member)
            else:
                yield name, value

    def _places(self) -> Iterator[tuple[str, tuple[Any, str]]]:
        """The cells' attributes by PyTorch's names: in which cell, and under which name there."""
        for ending, run in self._runs():
            for name, _ in run.cell._members():
                yield f"{name}_{ending}", (run.cell, name)

    def _runs(self) -> list[tuple[str, Recurrent]]:
        """All cells as layers, by what ends PyTorch's names of their parameters."""
        return [
            (f"l{k}{'_reverse' if run.options['reverse'] else ''}", run)
            for k, layer in enumerate(self.layers)
            for run in layer
        ]

    def _place(self, name: str) -> tuple[Any, str] | None:
        return dict(self._places()).get(name) if "_l" in name and "layers" in vars(self) else None

    def __setattr__(self, name: str, value: Any) -> None:
        """``layer.weight_ih_l0 = …`` is the cell's."""
        place = self._place(name)
        if place is None:
            super().__setattr__(name, value)
        else:
            setattr(*place, value)

    def __getattr__(self, name: str) -> Parameter:
        """``layer.weight_ih_l0`` and its like."""
        place = self._place(name)
        if place is not None:
            return getattr(*place)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def __call__(
        self,
        x: ArrayLike,
        state: Nest | None = None,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> tuple[Tensor, State]:
        """Run over a sequence.

        Args:
            x: (T, B, input_size); (B, T, input_size) if batch_first; (T, input_size) for a single sequence.
            state: before the first step, each tensor (layers · directions, B, size); without B for a single
                sequence. Zeros by default.
            lengths: (B,) integers: how many steps each sample has; the outputs beyond are as
                ``masked_output`` says.
            mask: (T, B) booleans, laid out as x: where False, a sample keeps its state.

        Returns:
            The outputs of the last layer, (T, B, directions · size) laid out as x, and the state after the
                last step, shaped as before it.

        Raises:
            ShapeError, DtypeError: x, the state, lengths or mask does not fit.
        """
        if not thread.recording and lengths is mask is None and state is not None:
            done = self._repeated(x, state)
            if done is not None:
                return done
        x = lift(not_a_pair(type(self).__name__, x), self.layers[0][0].cell.weight_ih._backend)
        if x.ndim not in (2, 3):
            raise ShapeError(
                f"{type(self).__name__}: the input has shape {x.shape}: expected (T, B, {self.input_size}) "
                f"or (T, {self.input_size})"
            )
        single = x.ndim == 2
        if single and not (lengths is None and mask is None):
            raise ShapeError(
                f"{type(self).__name__}: a single sequence takes neither lengths nor a mask: cut it"
            )
        swap = self.batch_first and not single
        x = ops.expand_dims(x, 1) if single else swapped(x) if swap else x
        mask = mask_time_first(mask) if swap else mask
        y, last = self._run(x, self._states(x, state, single), lengths, mask)
        if single:
            return ops.squeeze(y, 1), tree.map_leaves(lambda leaf: ops.squeeze(leaf, 1), last)
        return swapped(y) if swap else y, last

    def stepper(self, state: Nest | None = None) -> Stepper[Tensor, State]:
        """All layers one step at a time, without a tape: ``y = stepper(x)`` for x (B, input_size), with the
        state kept inside.

        Args:
            state: before the first step, as a call takes it; zeros by default. ``stepper.state`` is laid out
                alike.

        Raises:
            ArgumentError: the layer is bidirectional, or would draw dropout: say ``.eval()`` before.

        Example:
            >>> stepper = nn.LSTM(3, 8).stepper()
            >>> y = stepper(tg.zeros((1, 3)))
        """
        if self.bidirectional:
            raise ArgumentError(
                f"{type(self).__name__}.stepper: a layer that also runs from the end takes no single steps"
            )
        if self.dropout.p and self.dropout.training:
            raise ArgumentError(
                f"{type(self).__name__}.stepper: dropout is drawn for whole sequences: say .eval() before"
            )
        column = Column([layer[0].cell for layer in self.layers], self.input_size)
        return Stepper(column, state, self._first_states, self._apart, _together)

    def _first_states(self, x: Any) -> list[Any]:
        """Zeros before a step's input."""
        return [layer[0]._first_state(x) for layer in self.layers]

    def _apart(self, state: Any) -> list[Any]:
        """The state of each cell, from that of all of them."""
        weight = self.layers[0][0].cell.weight_ih
        batch = max([1, *(leaf.shape[1] for leaf in tree.leaves(state) if leaf.ndim == 3)])
        zeros = weight._backend.zeros((1, batch, self.input_size), weight.dtype)
        return self._states(Tensor(zeros, weight._backend), state, False)

    def explain(self, x: Any = None, state: Any = None, **options: Any) -> str:
        """How each layer's cell was last run, or, with what the layer is called with, how it would; see
        :func:`tinygrad_rnn.explain`."""
        if x is not None:
            return explain(self, x, state, **options)
        runs = self._runs()
        return "\n".join(
            run.explain() if len(runs) == 1 else f"{name}, {run.explain()}" for name, run in runs
        )

    def _is_plain(self) -> bool:
        """Whether a call is nothing but a scan of each cell: no other direction or axis, no dropout, no
        option, and no method of somebody else's."""
        if (
            self.bidirectional
            or self.batch_first
            or type(self)._run is not _RUN
            or Recurrent.__call__ is not _CALL
        ):
            return False
        if type(self.dropout) is not Dropout or (self.dropout.p and self.dropout.training):
            return False
        return all(
            type(run) is Recurrent and not run.batch_first and run.options == _PLAIN for (run,) in self.layers
        )

    def _repeated(self, x: Any, state: Any) -> tuple[Any, Any] | None:
        """A call of one step that is like one before, without a way through rows, which takes longer than the
        step; None where it is none, as :func:`repeated_scan` has it."""
        if type(x) is not Tensor or x._data.ndim != 3 or not self._is_plain():
            return None
        leaves, count = tree.leaves(state), len(self.layers)
        rows = count, x._data.shape[1]
        if any(type(leaf) is not Tensor or leaf._data.shape[:-1] != rows for leaf in leaves):
            return None
        after = []
        for k, (run,) in enumerate(self.layers):
            parts = [Tensor(leaf._data[k], leaf._backend) for leaf in leaves]
            before = parts[0] if len(parts) == 1 else tuple(parts)
            done = repeated_scan(run.cell, x, before)
            if done is None:
                return None
            x = done[0]
            after.append(tree.leaves(done[1]))
        together = [
            Tensor(
                parts[0]._data[None] if count == 1 else x._backend.stack([p._data for p in parts]), x._backend
            )
            for parts in zip(*after, strict=True)
        ]
        return x, tree.unflatten(before, together)

    def _run(self, x: Tensor, states: list[Any], lengths: Any, mask: Any) -> tuple[Tensor, Any]:
        """Layer by layer, with one state for each cell."""
        waiting, after = iter(states), []
        for k, layer in enumerate(self.layers):
            x = self.dropout(x) if k else x
            ys = []
            for run in layer:
                y, state = run(x, next(waiting), lengths, mask)
                ys.append(y)
                after.append(state)
            x = ops.concatenate(ys, -1) if self.bidirectional else ys[0]
        return x, _together(after)

    def _states(self, x: Tensor, state: Any, single: bool) -> list[Any]:
        """The state of each cell."""
        size = self.layers[0][0].cell.state_size
        count = sum(map(len, self.layers))
        if state is None:
            return [None] * count
        leaves, dtype = tree.leaves(state), x.dtype
        rows = (count,) if single else (count, x.shape[1])
        shapes = [(*rows, n) for n in tree.leaves(size)]
        if len(leaves) != len(shapes):
            raise ShapeError(
                f"{type(self).__name__}: the state is {len(shapes)} tensors of shapes {shapes}, got "
                f"{len(leaves)}"
            )
        parts = []
        for leaf, shape in zip(leaves, shapes, strict=True):
            leaf = lift(leaf, x._backend)
            if leaf.shape != shape:
                raise ShapeError(
                    f"{type(self).__name__}: a tensor of the state has shape {leaf.shape}: expected "
                    f"{shape}, (layers · directions, …)"
                )
            if leaf.dtype != dtype:
                raise DtypeError(
                    f"{type(self).__name__}: a tensor of the state has dtype {leaf.dtype}, the input has "
                    f"{x.dtype}"
                )
            leaf = ops.expand_dims(leaf, 1) if single else leaf
            parts.append(ops.unstack(leaf) if count > 1 else [ops.reshape(leaf, leaf.shape[1:])])
        return [tree.unflatten(size, one) for one in zip(*parts, strict=True)]


def _together(states: list[Any]) -> Any:
    """The states of all cells, one above the other."""
    together = zip(*map(tree.leaves, states), strict=True)
    stacked = [
        ops.reshape(leaves[0], (1, *leaves[0].shape)) if len(leaves) == 1 else ops.stack(leaves)
        for leaves in together
    ]
    return tree.unflatten(states[0], stacked)


_RUN, _CALL, _PLAIN = Stack._run, Recurrent.__call__, {**_OPTIONS, "reverse": False}
"""What a call of a plain stack runs, and the options of its cells."""
