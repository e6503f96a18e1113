"""One step at a time: the plan, its memory and its addresses are bound once, and the state stays inside.

A call copies the input in, runs one function of machine code, which knows where everything lies, and copies
the output out: nothing is traced, looked up, recorded or taken out of the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeAlias

from .. import arguments, tree
from ..backends.base import Unsupported
from ..errors import ShapeError, TraceError
from ..ops import Nest, Tensor, as_tensor
from ..reading.links import Links
from ..tape import Node, no_grad
from .bound_step import BoundStep
from .eager import checked_step
from .trace import TracedCell
from .traces import traced_cell

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Output = TypeVar("Output", default=Tensor)
    State = TypeVar("State", default=Any)
else:
    from typing import TypeVar

    Output, State = TypeVar("Output"), TypeVar("State")

Cell: TypeAlias = (
    "Callable[[Tensor, State], tuple[Output, State]] | Callable[[Any, State], tuple[Output, State]]"
)
"""``y, state = cell(x, state)``, whatever x is nested as; the x of ``lambda x, h: …`` is a tensor."""


class Stepper(Generic[Output, State]):
    """A cell that is run a step at a time, without a tape.

    ``y = stepper(x)`` is ``y, state = cell(x, state)`` under ``no_grad``, with the state kept inside. Weights
    may change between steps, in place or for others; what else the cell reads, its numbers say, is what it
    was at the first step. Two threads need two steppers: a copy of one goes on from the same state by itself.

    A weight whose ``.data`` somebody has is compared at each step, since it may have been written into: this
    takes longer than the step. :meth:`explain` tells.

    >>> stepper = tg.nn.GRU(2, 3).stepper()
    >>> stepper(tg.zeros((1, 2))).shape
    (1, 3)

    Args:
        cell: a function or module, ``y, state = cell(x, state)``.
        state: the state before the first step, nested tensors.
        first: makes one from the first input, where there is none.
        taken, shown: from the state as users give it to that of the cell, and back, where they differ.

    Raises:
        ArgumentError: the cell cannot be called.
    """

    def __init__(
        self,
        cell: Callable[..., tuple[Output, Any]],
        state: Nest | None,
        first: Callable[[Any], Any],
        taken: Callable[[Any], Any] | None = None,
        shown: Callable[[Any], Any] | None = None,
    ) -> None:
        self.cell: Any = arguments.function("Stepper: cell", cell, instance=True)
        self._first: Any = first
        self._taken, self._shown = taken, shown
        self._state: Any = None if state is None else self._given(state)
        self._begun: Any = self._state
        self._unbind()

    def _given(self, state: Any) -> Any:
        """A state as users give it, as copies."""
        state = tree.map_leaves(as_tensor, state)
        return _copied(state if self._taken is None else self._taken(state))

    def _unbind(self) -> None:
        self._bound: BoundStep | None = None
        self._kind: Any = None
        self._outside: list[Any] = []
        self._links: Links | None = None
        self._traced: TracedCell | None = None
        self._reason = "not run yet"

    def __getstate__(self) -> dict[str, Any]:
        """For a copy, and for another process: the cell and the state; it is bound at its first step."""
        names = "cell", "_first", "_taken", "_shown", "_begun"
        return {**{name: vars(self)[name] for name in names}, "_state": self._now()}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        vars(self).update(saved)
        self._unbind()

    @property
    def state(self) -> State | None:
        """The state after the last step, as copies; None before the first one, where there is none yet."""
        state = self._now()
        return state if state is None or self._shown is None else self._shown(state)

    def before(self, x: Any) -> Any:
        """The state before a step with an input, nested tensors as the cell takes them; that of a first step
        where none was taken."""
        return _copied(self._first(x)) if self._state is None else self._now()

    def reset(self, state: Nest | None = None) -> None:
        """Begin again, with nothing compiled anew.

        Args:
            state: before the next step; by default the one before the first.

        Raises:
            ShapeError: it is no state of the cell.
        """
        new = self._begun if state is None else self._given(state)
        if self._bound is not None and _kinds(new) == _kinds(self._state):
            self._bound.put([leaf._data for leaf in tree.leaves(new)])
        else:
            self._unbind()
        self._state = new

    def explain(self) -> str:
        """How it runs: "machine code", or step by step and why."""
        if self._bound is not None and self._bound.weights.compares():
            return f"{self._reason}; weights whose .data was read are compared at each step"
        return self._reason

    def __call__(self, x: Nest) -> Output:
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
        given: Any = x
        if bound is not None and type(x) is bound.tensor and bound.takes(given._data) and self._holds(bound):
            return bound.one(given._data)
        return self._other(x)

    def _other(self, x: Any) -> Any:
        """The first step, one after the weights have changed, one with nested inputs or another kind of
        them."""
        x = tree.map_leaves(as_tensor, x)
        kind = _kinds(x)
        first = self._bound is None and self._state is None
        try:
            if kind != self._kind or (self._bound is not None and not self._holds(self._bound)):
                self._bind(x, kind)
            if self._bound is not None:
                return self._bound.step([leaf._data for leaf in tree.leaves(x)])
            with no_grad():
                y, self._state = checked_step(self.cell, x, self._state)
        except BaseException:
            if first:  # the state was made for an input that does not fit
                self._state = self._begun = None
                self._unbind()
            raise
        return y

    def _holds(self, bound: BoundStep) -> bool:
        """Whether the cell reads the weights that are bound, and they are what they were."""
        links = self._links
        if not (self._known_places() if links is None else links.hold()):
            return False
        return bound.weights.holds(self._outside)

    def _known_places(self) -> bool:
        """The same as :meth:`Links.hold` of a cell that holds tensors where no link leads: all that it reads
        is read anew."""
        assert self._traced is not None
        outside = self._traced.bound(self.cell, tree.leaves(self._state))
        return outside is not None and all(a is b for a, b in zip(outside, self._outside, strict=True))

    def _bind(self, x: Any, kind: Any) -> None:
        self._state = self._now()
        if self._state is None:
            self._state = self._begun = _copied(self._first(x))
        self._bound, self._kind = None, kind
        try:
            with no_grad():
                self._bound, self._reason = self._bound_to(x), "machine code"
        except (Unsupported, TraceError) as reason:
            self._reason = f"step by step: {reason}"

    def _now(self) -> Any:
        """The state after the last step, as copies."""
        if self._bound is None:
            return None if self._state is None else _copied(self._state)
        arrays = zip(tree.leaves(self._state), self._bound.states(), strict=True)
        return tree.unflatten(self._state, [Node.result_type(array, leaf._backend) for leaf, array in arrays])

    def _bound_to(self, x: Any) -> BoundStep:
        xs, states = (
            tree.map_leaves(lambda leaf: Node.result_type(leaf._data[None], leaf._backend), x),
            tree.leaves(self._state),
        )
        traced, self._outside = traced_cell(self.cell, xs, self._state, tree.leaves(xs), states)
        read = traced.reading
        links = Links(self.cell, read.names, read.every, read.contents)
        self._traced, self._links = traced, links if links.complete else None
        bound = BoundStep(traced, tree.leaves(x), states, self._outside)
        bound.put([leaf._data for leaf in states])
        return bound


class Column:
    """Cells above each other as one: each one after the first reads the output of the one before.

    Args:
        features: of the input of the first one; None where only that one knows what it takes.
    """

    def __init__(self, cells: Sequence[Any], features: int | None) -> None:
        self.cells = cells
        self.features = features

    def __call__(self, x: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        if self.features is not None:
            x, rows = as_tensor(x), {leaf.shape[0] for leaf in tree.leaves(states)}
            if x.ndim != 2 or x.shape[1] != self.features:
                raise ShapeError(f"stepper: x must be (B, {self.features}), got {x.shape}")
            if rows != {x.shape[0]}:
                raise ShapeError(f"stepper: x is of {x.shape[0]} samples, the state of {max(rows)}")
        new = []
        for cell, state in zip(self.cells, states, strict=True):
            x, state = cell(x, state)
            new.append(state)
        return x, new


def _kinds(nested: Any) -> Any:
    """The nesting of tensors, their shapes and dtypes."""
    return tree.structure(nested), [(leaf.shape, leaf.dtype) for leaf in tree.leaves(nested)]


def _copied(state: Any) -> Any:
    return tree.map_leaves(
        lambda leaf: Node.result_type(as_tensor(leaf)._data.copy(), as_tensor(leaf)._backend), state
    )
