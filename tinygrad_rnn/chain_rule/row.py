"""A row: everything the library knows of one primitive operation, filed under the one of the three cases that
it is.

    forward    x ──▶ [ tanh ] ──▶ y        forward(np, *xs, *params) → y, or a tuple of them
    reverse    x ◀── [ pull ] ◀── y        pull(np, g, y, xs, params, needs): from the residual g of y to
                                           those of the xs (None where not needed)
    tangents   x ──▶ [ push ] ──▶ y        push(np, tangents, y, xs, params): from the tangents of the xs
                                           (None where zero) to that of y

All of these take a namespace ``np`` first and are written in its names only. Handed a backend they compute
on arrays. Handed the recorded operations (``tinygrad_rnn.ops``) the same lines are recorded, so a derivative
can be derived again. What else is special about the operation, to a compiler, a picture or a diagnosis, is a
trait of its row: nobody else tells operations apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .batching import Batching
from .formula import html_table
from .lowering.lowered import Lowering
from .routing import Contracted, Loops, Reduced, Reshaped, Routed

Case = Literal["composition", "addition", "weighting", "choice"]


@dataclass(frozen=True, eq=False)
class Row:
    """One primitive operation.

    Attributes:
        name: its name, NumPy's where NumPy has it.
        case: which of the three chain-rule cases it is; "choice" for what has no derivative at all.
        symbol: what pictures show.
        formula: y by its operands, where that is not ``name(operands)``: "a + b".
        says: what it does to a residual, where its rule on symbols would not say so.
        forward, pull, push: see the module.
        parts: what the rule table writes down: slopes of a composition, sides of a weighting; none where
            ``says`` has words.
        lowering: how one element is computed where code is written; None for what is not elementwise.
        loops: how it is written as loops, of what is not elementwise; None for what is called.
        masks: some elements of x may not reach y, as the values decide; behind such a row a zero residual
            stays zero even at an infinite or NaN slope.
        selects: some elements of x do not reach y, as their places decide; the same holds for what leads to
            that x.
        spared: of a weighting that adds up products: spared(np, g, xs, params), the operands with 0 where all
            they would meet of g is 0.
        into: an adjoint that touches only part of x, adding itself to a buffer in place: into(np, buffer, g,
            y, *xs, *params).
        batching: of what is not elementwise: how it runs once for many values; None for once for each.
        named: ``forward`` is nothing but the namespace's function of that name.
        variadic: it takes any number of operands.
        outline: outline(np, *xs, *params) → an array like y, whatever the values: where ``forward`` may
            refuse some.
        several: its result is a tuple of arrays, of one also where there is one only.
        flattens: its slope tells of a unit that is saturated or dead: it is bounded, or routes by a kink.
        decides: of an addition, the index of the operand that says where the others go, and goes nowhere
            itself.
        linear: of an addition: y is linear in its operands, whatever their values.
        sums: of an addition: y is the plain sum of its operands.
        verb: of an addition that has fewer or more elements than its operand: what becomes of a residual,
            which no gain says.
    """

    name: str
    case: Case
    symbol: str
    forward: Callable[..., Any]
    pull: Callable[..., Sequence[Any]]
    push: Callable[..., Any]
    parts: tuple[Callable[..., Any], ...] = field(default=(), repr=False)
    lowering: Lowering | None = field(default=None, repr=False)
    loops: Loops | None = field(default=None, repr=False)
    formula: str = ""
    says: str = ""
    masks: bool = False
    selects: bool = False
    spared: Callable[..., Sequence[Any]] | None = field(default=None, repr=False)
    into: Callable[..., None] | None = field(default=None, repr=False)
    batching: Batching | None = field(default=None, repr=False)
    named: bool = False
    variadic: bool = False
    outline: Callable[..., Any] | None = field(default=None, repr=False)
    several: bool = False
    flattens: bool = False
    decides: int | None = None
    linear: bool = False
    sums: bool = False
    verb: str = ""

    @property
    def elementwise(self) -> bool:
        """Whether each element of y depends on one element of every (broadcast) x."""
        return self.lowering is not None

    @property
    def title(self) -> str:
        """Symbol and name, or one of them where they are the same."""
        return self.name if self.symbol == self.name else f"{self.symbol} ({self.name})"

    @property
    def multiplies_matrices(self) -> bool:
        """Whether y is the product of two matrices, or of stacks of them."""
        return isinstance(self.loops, Contracted) and self.loops.matrices

    @property
    def permutes(self) -> bool:
        """Whether y is x with its axes in another order, which is the parameter."""
        return isinstance(self.loops, Routed) and self.loops.permutes

    @property
    def reshapes(self) -> bool:
        """Whether y is x with the same elements in the same order."""
        return isinstance(self.loops, Reshaped)

    @property
    def undoes_broadcast(self) -> bool:
        """Whether it adds up what a broadcast to the shape of x repeated."""
        return isinstance(self.loops, Reduced) and self.loops.broadcast

    def index(self, params: tuple[Any, ...]) -> Any:
        """The index by which it takes elements, or puts them back; None where there is none."""
        loops = self.loops
        return params[loops.index] if isinstance(loops, Routed) and loops.index is not None else None

    def axis(self, params: tuple[Any, ...]) -> int | None:
        """The axis that it cuts an array along, or joins arrays along; None where it does not."""
        loops = self.loops
        return params[loops.axis] if isinstance(loops, Routed) and loops.axis is not None else None

    def __repr__(self) -> str:
        return f"<{self.case} {self.name}>"

    def _repr_html_(self) -> str:
        return html_table([self])
