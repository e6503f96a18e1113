"""Layers of the library's cells under PyTorch's names: base of RNN, LSTM, PeepholeLSTM, GRU and MGU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from .. import arguments, tree
from ..errors import ArgumentError, ShapeError
from ..ops import ArrayLike, Nest
from ..sequence import State, repeated_scan
from ..tape import lift, thread
from ..tensor import Tensor
from .layers import Dropout, not_a_pair, not_packed
from .parameter import Parameter
from .recurrent import Options, Recurrent
from .wording import SCAN_OPTIONS, options_of, options_of_cell


class Stack(Recurrent[Tensor, State]):
    """:class:`Recurrent` of the library's cells, with its options, whose parameters have PyTorch's names:
    weight_ih_l0, …, weight_ih_l0_reverse, … The state of one cell, too, is (layers · directions, B, size).

    Attributes:
        input_size, hidden_size, proj_size: of all its cells but for what a later layer reads; no projection
            is 0.

    Args:
        make: a cell, as ``make(input_size, **options)``.
        of_cell: the names of options that go to the cells.
        options: of the cells, and those of :class:`Recurrent`.
    """

    _in_layers: ClassVar[bool] = True
    input_size: int
    hidden_size: int
    proj_size: int

    def __init__(
        self,
        make: Callable[..., Any],
        of_cell: type,
        input_size: int,
        num_layers: int,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        options: Mapping[str, Any],
    ) -> None:
        cells = {name: value for name, value in options.items() if name in _names(of_cell)}
        rest = {name: value for name, value in options.items() if name not in cells}
        name = type(self).__name__
        if unknown := sorted(rest.keys() - _names(Options)):
            raise ArgumentError(f"{name}: there is no argument {unknown[0]!r}")
        super().__init__(
            partial(make, **cells),
            batch_first=batch_first,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            input_size=arguments.size(f"{name}: input_size", input_size),
            **rest,
        )
        cell = self.layers[0][0].cell
        self.hidden_size = cell.hidden_size
        self.proj_size = cell.output_size if getattr(cell, "weight_hr", None) is not None else 0

    def _options(self) -> list[str]:
        return [*options_of_cell(self.layers[0][0].cell), *options_of(self)]

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Parameter: ...

    def _places(self) -> Iterator[tuple[str, tuple[Any, str]]]:
        """The cells' attributes by PyTorch's names."""
        for ending, run in self.parts().items():
            for name, _ in run.cell._members():
                yield f"{name}_{ending}", (run.cell, name)

    def __call__(  # type: ignore[override]  # one tensor, not nested ones
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
        return self._over(x, state, lengths, mask)

    def _sequence(self, x: Any) -> tuple[Any, bool]:
        name = type(self).__name__
        x = lift(not_a_pair(name, not_packed(name, x)), self.layers[0][0].cell.weight_ih._backend)
        if x.ndim not in (2, 3):
            batch = "B, T" if self.batch_first else "T, B"
            raise ShapeError(
                f"{name}: the input has shape {x.shape}: expected ({batch}, {self.input_size}) "
                f"or (T, {self.input_size})"
            )
        return x, x.ndim == 2

    def _is_plain(self) -> bool:
        """Whether a call is nothing but a scan of each cell: no other direction or axis, no dropout, no
        option, and no method of somebody else's."""
        if (
            self.bidirectional
            or self.batch_first
            or self.stateful
            or self.outputs != "all"
            or type(self)._run is not _RUN
            or Recurrent.__call__ is not _CALL
        ):
            return False
        if type(self.dropout) is not Dropout or (self.dropout.p and self.dropout.training):
            return False
        return all(
            type(run) is Recurrent
            and not run.batch_first
            and run.options == SCAN_OPTIONS
            and run._as_run() is run.cell
            for (run,) in self.layers
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


def _names(options: type) -> frozenset[str]:
    return frozenset(options.__annotations__)


_RUN, _CALL = Stack._run, Recurrent.__call__
"""What a call of a plain stack runs."""
