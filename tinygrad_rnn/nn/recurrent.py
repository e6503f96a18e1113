"""Any cell as a layer, or in several layers and directions: it runs through ``scan``, a user's cell as much
as a built-in one.

    of one cell      cell ─ scan
    of several       layers[0] ─ dropout ─ layers[1] ─ …   each a list: for each direction a Recurrent of one
                                                           cell, whose outputs merge
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, overload

from .. import arguments, ops, tree
from ..errors import ArgumentError, ArgumentWarning, ShapeError
from ..ops import ArrayLike, Nest
from ..sequence import (
    Cell,
    Explanation,
    Output,
    State,
    checked_options,
    explain,
    is_planning,
    is_written,
    live_steps,
    scan,
)
from ..tensor import Tensor
from ..user_code import calling_line
from .carrying import Carrying
from .given_cells import cells_of, sizes_differ
from .layers import Dropout, not_packed
from .outputs import MERGES, last_at, last_of, mask_time_first, merged, swapped
from .regularised import Expected, Noisy, checked_zoneout, noise
from .states import check_state, together

if TYPE_CHECKING:
    from typing_extensions import Unpack


class _Options(TypedDict, total=False):
    variational: bool
    recurrent_dropout: float
    zoneout: float | tuple[float, ...]
    merge: str
    outputs: str
    stateful: bool


class Options(_Options, total=False):
    """What every recurrent layer may be told; see :class:`Recurrent`."""

    reverse: bool
    masked_output: str
    compiled: bool | str
    checkpoint: int | str | None


class _InLayers(_Options, total=False):
    num_layers: int
    bidirectional: bool
    dropout: float


class _OfSeveral(Options, _InLayers, total=False):
    batch_first: bool
    input_size: int | None


class Recurrent(Carrying[Output, State]):
    """Any cell as a layer, or as several with one direction or two.

    >>> layer = tg.nn.Recurrent(tg.nn.GRUCell(2, 3), batch_first=True)
    >>> ys, h = layer(tg.zeros((5, 10, 2)))
    >>> ys.shape, h.shape
    ((5, 10, 3), (5, 3))
    >>> deep = tg.nn.Recurrent(lambda n: tg.nn.GRUCell(n, 3), input_size=2, num_layers=2, bidirectional=True)
    >>> ys, h = deep(tg.zeros((10, 5, 2)))
    >>> ys.shape, h.shape
    ((10, 5, 6), (4, 5, 3))

    The cells of several are ``cell_l0``, ``cell_l0_reverse``, ``cell_l1``, … Their state is, leaf by leaf,
    (layers · directions, B, …), in that order, or a tuple of states where the cells say different sizes.

    Args:
        cell: a function or module, ``y, state = cell(x, state)``. If it has a ``state_size``, the state
            before the first step is zeros by default: the last axis of each tensor of its state, nested as
            the state (``(4, 4)`` for two); or, for more axes than one after the batch, a :class:`Shape`
            (``Shape(4, 4)`` for one matrix). For several layers or directions a list of cells, ``[l0,
            l0_reverse, l1, …]``, or a list for each layer; or, with ``input_size``, what makes a cell for an
            input size, ``make(input_size)``, a class too; or one cell. A cell that stands in several places
            is copied, so that each has parameters of its own, which are equal at first.
        reverse: from the last step to the first; outputs stay at their steps.
        batch_first: sequences are (B, T, …) instead of (T, B, …); states are as ever.
        masked_output, compiled, checkpoint: as in :func:`tinygrad_rnn.scan`.
        num_layers: each one after the first reads the outputs of the one before.
        bidirectional: each layer has a second cell that runs from the end, for each sample from its own.
        dropout: the probability between layers, in training.
        variational: dropout between layers makes one choice for all steps (Gal & Ghahramani 2016).
        recurrent_dropout: the probability that the recurrent weights do not see a unit of h, the first tensor
            of the state, for a whole sequence, in training (Gal & Ghahramani 2016). Cells of the library keep
            h itself for all else; any other cell sees only what is left of h, unless it has
            ``step_dropped(x, state, mask)``, which does the same step with ``h * mask`` for its weights.
        zoneout: the probability that a unit of the state stays as it was, drawn for each step in training; in
            evaluation the expectation (Krueger et al. 2017). A number, or one for each tensor of the state:
            ``(0.05, 0.5)`` for (h, c). An output that is a tensor of the state is what it is afterwards.
        merge: of the outputs of two directions: "concat" side by side, "sum", "mean" or "mul".
        outputs: "all", or "last": of each sample the one that was computed last, which with lengths is at its
            own end, and from the end its first; zeros for a sample without steps.
        stateful: a call without a state begins where the one before ended, with back-propagation cut there;
            :meth:`reset_state` begins anew. It is in no ``state_dict``: after a file is loaded, hand on what
            the last call returned, ``reset_state(state)``.
        input_size: of the first layer: then ``cell`` makes cells.

    Raises:
        ArgumentError: an option has a value that it cannot have, or there are not the cells for it.
    """

    settled: ClassVar[tuple[str, ...]] = ("reverse", "masked_output", "compiled", "checkpoint")
    _in_layers: ClassVar[bool] = False
    """Whether even one cell is in a list of layers."""

    @overload
    def __init__(
        self,
        cell: Cell[State, Output],
        reverse: bool = False,
        batch_first: bool = False,
        masked_output: str = "zero",
        compiled: bool | str = "auto",
        checkpoint: int | str | None = None,
        **options: Unpack[_InLayers],
    ) -> None: ...
    @overload
    def __init__(
        self: Recurrent[Tensor, Any],
        cell: Callable[[int], Any] | Sequence[Any],
        **options: Unpack[_OfSeveral],
    ) -> None: ...
    def __init__(
        self,
        cell: Any,
        reverse: bool = False,
        batch_first: bool = False,
        masked_output: str = "zero",
        compiled: bool | str = "auto",
        checkpoint: int | str | None = None,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        variational: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, ...] = 0.0,
        merge: str = "concat",
        outputs: str = "all",
        stateful: bool = False,
        input_size: int | None = None,
    ) -> None:
        name = type(self).__name__
        options = checked_options(name, reverse, masked_output, compiled, checkpoint)
        self.batch_first: bool = arguments.flag(f"{name}: batch_first", batch_first)
        self.bidirectional: bool = arguments.flag(f"{name}: bidirectional", bidirectional)
        if self.bidirectional and options["reverse"]:
            raise ArgumentError(
                f"{name}: reverse is for one direction: a bidirectional layer has both of them"
            )
        self.merge: str = arguments.choice(f"{name}: merge", merge, MERGES)
        self.outputs: str = arguments.choice(f"{name}: outputs", outputs, ("all", "last"))
        self.stateful: bool = arguments.flag(f"{name}: stateful", stateful)
        self.recurrent_dropout: float = arguments.probability(f"{name}: recurrent_dropout", recurrent_dropout)
        self.zoneout: Any = checked_zoneout(f"{name}: zoneout", zoneout)
        probability = arguments.probability(f"{name}: dropout", dropout)
        shared = (0,) if arguments.flag(f"{name}: variational", variational) else ()
        size = arguments.optional(arguments.size, f"{name}: input_size", input_size)
        layers = arguments.size(f"{name}: num_layers", num_layers, 1)
        cells = cells_of(name, cell, size, layers, 1 + self.bidirectional, self.merge == "concat")
        self.num_layers: int = len(cells)
        if probability and self.num_layers == 1:
            _warn_of_dropout(name)
        self._kept: Any = None
        self._separate: bool = sizes_differ([cell for layer in cells for cell in layer])
        if self._in_layers or self.num_layers > 1 or self.bidirectional:
            self.input_size: int | None = size
            self.dropout: Dropout = Dropout(probability, shared)
            self.layers: list[list[Recurrent[Any, Any]]] = self._laid(cells, options)
        else:
            self.cell: Any = cells[0][0]
            self.options: dict[str, Any] = options
            self._noisy, self._expected = Noisy(self.cell), Expected(self.cell, self.zoneout)

    def _laid(self, cells: list[list[Any]], options: dict[str, Any]) -> list[list[Recurrent[Any, Any]]]:
        """Cells as layers of one."""
        return [
            [
                Recurrent(
                    cell,
                    **{**options, "reverse": options["reverse"] or backwards},
                    recurrent_dropout=self.recurrent_dropout,
                    zoneout=self.zoneout,
                    outputs=self.outputs if k == self.num_layers - 1 else "all",
                )
                for backwards, cell in zip((False, True), layer, strict=False)
            ]
            for k, layer in enumerate(cells)
        ]

    # -- its parts -------------------------------------------------------------------------------------------

    def _members(self) -> Iterator[tuple[str, Any]]:
        """The cells under their names, and what a subclass has beside them."""
        for name, value in vars(self).items():
            if name == "layers":
                for path, (owner, member) in self._places():
                    yield path, getattr(owner, member)
            elif name not in ("_kept", "_noisy", "_expected"):
                yield name, value

    def _places(self) -> Iterator[tuple[str, tuple[Any, str]]]:
        """What the cells are called: of which object, and under which name there."""
        for ending, run in self.parts().items():
            yield f"cell_{ending}", (run, "cell")

    def parts(self) -> dict[str, Recurrent[Any, Any]]:
        """Each cell as a layer of its own, by its place as PyTorch's names of parameters end: l0, l0_reverse,
        l1, …; a layer of one cell is itself "".

        >>> list(tg.nn.GRU(2, 3, bidirectional=True).parts())
        ['l0', 'l0_reverse']
        """
        if "layers" not in vars(self):
            return {"": self}
        return {
            f"l{k}{'_reverse' * i}": run for k, layer in enumerate(self.layers) for i, run in enumerate(layer)
        }

    def _place(self, name: str) -> tuple[Any, str] | None:
        return dict(self._places()).get(name) if "_l" in name and "layers" in vars(self) else None

    def __setattr__(self, name: str, value: Any) -> None:
        """``layer.cell_l0 = …`` is that of the layer."""
        place = self._place(name)
        if place is None:
            super().__setattr__(name, value)
        else:
            setattr(*place, value)

    def __getattr__(self, name: str) -> Any:
        """``layer.cell_l0`` and its like."""
        place = self._place(name)
        if place is not None:
            return getattr(*place)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    # -- over a sequence -------------------------------------------------------------------------------------

    def __call__(
        self,
        x: Nest,
        state: Nest | None = None,
        lengths: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> tuple[Output, State]:
        """Run over a sequence.

        Args:
            x: (T, B, …), or nested tensors of that kind; (T, size) for a single sequence, where the cell has
                an ``input_size``.
            state: the state before the first step: as the cell takes it; of several cells (layers ·
                directions, B, …); without B for a single sequence.
            lengths: (B,) integers: how many steps each sample has; the outputs beyond are as
                ``masked_output`` says.
            mask: (T, B) booleans, laid out as x: where False, a sample keeps its state.

        Returns:
            The outputs, laid out as x, and the state after the last step.

        Raises:
            ShapeError: there is no state, and the cell has no ``state_size``; and what scan raises.
        """
        return self._over(x, state, lengths, mask)

    def _over(self, x: Any, state: Any, lengths: Any, mask: Any) -> tuple[Any, Any]:
        """A call, which a subclass has under another name."""
        x, single = self._sequence(x)
        if single and not (lengths is None and mask is None):
            raise ShapeError(
                f"{type(self).__name__}: a single sequence takes neither lengths nor a mask: cut it"
            )
        swap = self.batch_first and not single
        if single or swap:
            x = tree.map_leaves(_with_batch if single else swapped, x)
            mask = mask_time_first(mask) if swap and not is_written() else mask
        if state is None and self.stateful:
            state = self._kept_for(x, single)
        if "layers" in vars(self):
            y, last = self._run(x, self._states(x, state, single), lengths, mask)
        else:
            if single and state is not None:
                state = tree.map_leaves(lambda leaf: ops.expand_dims(leaf, 0), state)
            y, last = self._alone(x, state, lengths, mask)
        whole = self.outputs == "all"
        if single:
            axis = self._batch_axis()
            y = tree.map_leaves(lambda leaf: ops.squeeze(leaf, int(whole)), y)
            last = tree.map_leaves(lambda leaf: ops.squeeze(leaf, axis), last)
        elif swap and whole:
            y = tree.map_leaves(swapped, y)
        if self.stateful and not is_planning():
            self._keep(last)
        return y, last

    def _sequence(self, x: Any) -> tuple[Any, bool]:
        """The input as tensors, and whether it is a single sequence."""
        x = tree.map_leaves(ops.as_tensor, not_packed(type(self).__name__, x))
        if not isinstance(x, Tensor) or x.ndim != 2 or x.dtype.kind != "f":
            return x, False
        first = self.layers[0][0].cell if "layers" in vars(self) else self.cell
        return x, isinstance(getattr(first, "input_size", None), int)

    def _alone(self, x: Any, state: Any, lengths: Any, mask: Any) -> tuple[Any, Any]:
        """One cell."""
        if state is None:
            state = self._zeros(x)
        else:
            check_state(type(self).__name__, state, getattr(self.cell, "state_size", None), x)
        cell, inputs = self._as_run(), x
        if cell is self._noisy:
            state = tree.map_leaves(ops.as_tensor, state)
            inputs = noise(x, state, self.recurrent_dropout, self.zoneout)
        y, last = scan(cell, inputs, state, lengths, mask=mask, **self.options)
        if self.outputs == "all":
            return y, last
        reverse = self.options["reverse"]
        if is_written():
            return tree.map_leaves(lambda leaf: last_at(leaf, lengths, reverse), y), last
        live = live_steps(lengths, mask, tree.leaves(x)[0].shape)
        return tree.map_leaves(lambda leaf: last_of(leaf, live, reverse), y), last

    def _as_run(self) -> Any:
        """The cell as ``scan`` gets it: with its noise in training, and what is left of that later."""
        zoned = any(self.zoneout) if isinstance(self.zoneout, tuple) else self.zoneout
        if self.training and (zoned or self.recurrent_dropout):
            self._noisy.cell = self.cell
            return self._noisy
        if zoned:
            self._expected.cell = self.cell
            return self._expected
        return self.cell

    def _run(self, x: Any, states: list[Any], lengths: Any, mask: Any) -> tuple[Any, Any]:
        """Layer by layer, with one state for each cell."""
        waiting, after = iter(states), []
        for k, layer in enumerate(self.layers):
            x = tree.map_leaves(self.dropout, x) if k else x
            ys = []
            for run in layer:
                if run.training is not self.training:
                    run.training = self.training
                y, state = run(x, next(waiting), lengths, mask)
                ys.append(y)
                after.append(state)
            x = merged(type(self).__name__, self.merge, ys) if len(ys) > 1 else ys[0]
        return x, tuple(after) if self._separate else together(type(self).__name__, after)

    def explain(self, x: Any = None, state: Any = None, **options: Any) -> str:
        """How each cell was last run, or, with what the layer is called with, how it would; see
        :func:`tinygrad_rnn.explain`."""
        if x is not None:
            return explain(self, x, state, **options)
        if "layers" not in vars(self):
            return explain(self._as_run())
        runs = self.parts()
        return Explanation(
            "\n".join(
                run.explain() if len(runs) == 1 else f"{name}, {run.explain()}" for name, run in runs.items()
            )
        )


def _warn_of_dropout(name: str) -> None:
    advice = (
        "dropout acts between layers, and there is one: give num_layers=2 or more, or put "
        "nn.Dropout behind the layer"
    )
    line = calling_line()
    message = ArgumentWarning(f"{name}: {advice}")
    if line is None:
        warnings.warn(message, stacklevel=3)
    else:
        warnings.warn_explicit(message, ArgumentWarning, line.file, line.number)


def _with_batch(x: Any) -> Tensor:
    """A single sequence as a batch of one."""
    return ops.expand_dims(x, 1)
