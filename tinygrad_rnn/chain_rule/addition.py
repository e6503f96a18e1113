"""Case 2, addition:  y = x₁ + x₂, and every linear routing   ⇒   dx₁ = dy, dx₂ = dy.

The residual passes unchanged and is only routed: to both sides of a sum, back to the places a slice was cut
from, summed where a value was copied, copied where values were summed. A row is (forward, adjoint); pushing a
tangent forward is the operation itself on the tangent. Adjoint pairs define each other: sum ↔ broadcast,
getitem ↔ scatter, take ↔ scatter_take, concatenate ↔ split, stack ↔ unstack.

Some rows route by a choice that the values make (where, maximum, max, clip, sort). Their ``linear`` map is
the forward pass with that choice held fixed. Ties of maximum, minimum, max and min share equally; clip passes
at its bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import batching, routing
from .lowering import arithmetic
from .lowering.lowered import Lowering
from .registry import rows
from .routing import Accumulated, LookedUp, Reduced, Reshaped, Routed
from .row import Row


def addition(
    name: str,
    adjoint: Callable[..., Any],
    symbol: str = "",
    linear: Callable[..., Any] | None = None,
    forward: Callable[..., Any] | None = None,
    operands: int = 1,
    variadic: bool = False,
    lowering: Lowering | None = None,
    **traits: Any,
) -> Row:
    """File a linear operation by its adjoint.

    Args:
        adjoint: adjoint(np, g, y, *xs, *params) → the residual of x, or a tuple of one for each operand.
            Variadic rows take (np, g, y, xs, *params) instead.
        linear: linear(np, tangents, y, xs, *params) → tangent, for rows that choose a route from the values;
            else it is ``forward``.
        forward: where it is not the namespace's function of that name.
        lowering: of what is elementwise, how it is computed in code.
        traits: what else a :class:`Row` says.
    """

    def call_by_name(np: Any, *args: Any) -> Any:
        return getattr(np, name)(*args)

    def call_variadic(np: Any, xs: Any, params: Any) -> Any:
        return getattr(np, name)(xs, *params)

    def pull_one(np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
        return (adjoint(np, g, y, *xs, *params),)

    def pull_many(np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
        return adjoint(np, g, y, *xs, *params)

    def pull_variadic(np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
        return adjoint(np, g, y, xs, *params)

    def push(np: Any, tangents: Any, y: Any, xs: Any, params: Any) -> Any:
        # elementwise the number 0 broadcasts, and takes any dtype
        tangents = [
            (0 if lowering else np.zeros_like(x)) if t is None else t
            for t, x in zip(tangents, xs, strict=True)
        ]
        if linear is not None:
            return linear(np, tangents, y, xs, *params)
        return call_variadic(np, tangents, params) if variadic else call(np, *tangents, *params)

    call = forward or call_by_name
    pull = pull_variadic if variadic else pull_one if operands == 1 else pull_many
    traits.setdefault("says", "dy, routed back to where it came from")
    return rows.add(
        Row(
            name,
            "addition",
            symbol or name,
            call_variadic if variadic else call,
            pull,
            push,
            linear=linear is None,
            lowering=lowering,
            variadic=variadic,
            named=forward is None and not variadic,
            **traits,
        )
    )


# -- sums ----------------------------------------------------------------------------------------------------

ADD = addition(
    "add", lambda np, g, y, a, b: (g, g), "+", operands=2, lowering=arithmetic.add, formula="a + b",
    says="da = dy, db = dy", sums=True,
)  # fmt: skip
SUBTRACT = addition(
    "subtract", lambda np, g, y, a, b: (g, -g), "−", operands=2, lowering=arithmetic.subtract,
    formula="a − b", says="da = dy, db = −dy",
)  # fmt: skip
NEGATIVE = addition("negative", lambda np, g, y, x: -g, "−", lowering=arithmetic.negative, says="dx = −dy")
ASTYPE = addition(
    "astype", lambda np, g, y, x, dtype: np.astype(g, x.dtype), "cast", lowering=arithmetic.astype
)


def _spread(np: Any, g: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """Give a reduced array its lost axes back as axes of length 1."""
    return g if keepdims else np.reshape(g, tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


def _over(name: str) -> Callable[..., Any]:
    """A reduction by keywords, since array modules have other parameters between axis and keepdims."""
    return lambda np, x, axes, keepdims: getattr(np, name)(x, axis=axes, keepdims=keepdims)


def _sum_adjoint(np: Any, g: Any, y: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    return np.broadcast_to(g if g.ndim == 0 else _spread(np, g, x, axes, keepdims), x.shape)


def _cumsum_adjoint(np: Any, g: Any, y: Any, x: Any, axis: int) -> Any:
    return np.flip(np.cumsum(np.flip(g, axis), axis), axis)


SUM = addition(
    "sum", _sum_adjoint, "Σ", forward=_over("sum"), verb="copied",
    loops=Reduced("sum", routing.over_axes), batching=batching.first_is_axes,
    says="dx = dy, copied to every summand",
)  # fmt: skip
CUMSUM = addition("cumsum", _cumsum_adjoint, loops=Accumulated(), batching=batching.first_is_axis)
BROADCAST_TO = addition(
    "broadcast_to", lambda np, g, y, x, shape: np.sum_to(g, x.shape), "broadcast", verb="added up",
    loops=Routed(routing.broadcast_to), batching=batching.broadcast_to,
    says="dx = dy, summed over the copies",
)  # fmt: skip
SUM_TO = addition(
    "sum_to", lambda np, g, y, x, shape: np.broadcast_to(g, x.shape), "Σ", verb="copied",
    loops=Reduced("sum", routing.to_shape, broadcast=True), batching=batching.sum_to,
)  # fmt: skip

# -- shapes --------------------------------------------------------------------------------------------------


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


def _pad_adjoint(np: Any, g: Any, y: Any, x: Any, widths: tuple[tuple[int, int], ...]) -> Any:
    return np.getitem(
        g, tuple(slice(before, before + n) for (before, _after), n in zip(widths, x.shape, strict=True))
    )


RESHAPE = addition(
    "reshape", lambda np, g, y, x, shape: np.reshape(g, x.shape), loops=Reshaped(), batching=batching.reshape
)
TRANSPOSE = addition(
    "transpose",
    lambda np, g, y, x, axes: np.transpose(g, _inverse(axes)),
    "ᵀ",
    loops=Routed(routing.transpose, permutes=True),
    batching=batching.transpose,
)
FLIP = addition(
    "flip",
    lambda np, g, y, x, axes: np.flip(g, axes),
    loops=Routed(routing.flip),
    batching=batching.first_is_axes,
)
ROLL = addition(
    "roll",
    lambda np, g, y, x, shifts, axes: np.roll(g, tuple(-s for s in shifts), axes),
    loops=Routed(routing.roll),
    batching=batching.last_is_axes,
)
PAD = addition("pad", _pad_adjoint, loops=Routed(routing.pad), batching=batching.pad)
TRIL = addition(
    "tril",
    lambda np, g, y, x, k: np.tril(g, k),
    selects=True,
    loops=Routed(routing.tril),
    batching=batching.same,
)
TRIU = addition(
    "triu",
    lambda np, g, y, x, k: np.triu(g, k),
    selects=True,
    loops=Routed(routing.triu),
    batching=batching.same,
)

# -- joining and splitting -----------------------------------------------------------------------------------


def _gathered(np: Any, g: Any, y: Any) -> list[Any]:
    """The residuals of several outputs, zeros where none arrived."""
    return [
        np.zeros_like(part) if residual is None else residual for residual, part in zip(g, y, strict=True)
    ]


def _concatenate_adjoint(np: Any, g: Any, y: Any, xs: Any, axis: int) -> Any:
    points, end = [], 0
    for x in xs[:-1]:
        end += x.shape[axis]
        points.append(end)
    return np.split(g, tuple(points), axis)


CONCATENATE = addition(
    "concatenate",
    _concatenate_adjoint,
    variadic=True,
    loops=Routed(routing.concatenate, axis=0),
    batching=batching.joining,
)
SPLIT = addition(
    "split", lambda np, g, y, x, points, axis: np.concatenate(_gathered(np, g, y), axis), selects=True,
    several=True, loops=Routed(routing.split, axis=1), batching=batching.last_is_axis,
)  # fmt: skip
STACK = addition(
    "stack",
    lambda np, g, y, xs, axis: np.unstack(g, axis),
    variadic=True,
    loops=Routed(routing.stack),
    batching=batching.joining,
)
UNSTACK = addition(
    "unstack", lambda np, g, y, x, axis: np.stack(_gathered(np, g, y), axis), selects=True, several=True,
    loops=Routed(routing.unstack), batching=batching.first_is_axis,
)  # fmt: skip

# -- indexing ------------------------------------------------------------------------------------------------


def _getitem_into(np: Any, buffer: Any, g: Any, y: Any, x: Any, index: Any) -> None:
    np.add_at(buffer, index, g)


def _take_into(np: Any, buffer: Any, g: Any, y: Any, x: Any, indices: Any, axis: int) -> None:
    np.add_at(buffer, (slice(None),) * axis + (indices,), g)


GETITEM = addition(
    "getitem", lambda np, g, y, x, index: np.scatter(g, index, x.shape), "[ ]", selects=True,
    into=_getitem_into, loops=Routed(routing.getitem, index=0), batching=batching.indexing,
)  # fmt: skip
SCATTER = addition(
    "scatter",
    lambda np, g, y, x, index, shape: np.getitem(g, index),
    loops=Routed(routing.scatter, index=0),
    batching=batching.indexing,
)
TAKE = addition(
    "take", lambda np, g, y, x, indices, axis: (np.scatter_take(g, indices, axis, x.shape), None),
    linear=lambda np, t, y, xs, axis: np.take(t[0], xs[1], axis), operands=2, decides=1,
    outline=lambda np, x, indices, axis: np.take(x, np.zeros_like(indices), axis), selects=True,
    into=_take_into, loops=LookedUp(), batching=batching.looking_up, formula="take(x, i)",
)  # fmt: skip
SCATTER_TAKE = addition(
    "scatter_take", lambda np, g, y, x, indices, axis, shape: (np.take(g, indices, axis), None),
    linear=lambda np, t, y, xs, axis, shape: np.scatter_take(t[0], xs[1], axis, shape), operands=2,
    decides=1, loops=LookedUp(adjoint=True), batching=batching.looking_up, formula="scatter_take(x, i)",
)  # fmt: skip
TAKE_ALONG_AXIS = addition(
    "take_along_axis",
    lambda np, g, y, x, indices, axis: (np.scatter_along_axis(g, indices, axis, x.shape), None),
    linear=lambda np, t, y, xs, axis: np.take_along_axis(t[0], xs[1], axis), operands=2, decides=1,
    outline=lambda np, x, indices, axis: np.take_along_axis(x, np.zeros_like(indices), axis),
    selects=True, loops=LookedUp(along=True), batching=batching.along_axis, formula="take_along_axis(x, i)",
)  # fmt: skip
SCATTER_ALONG_AXIS = addition(
    "scatter_along_axis",
    lambda np, g, y, x, indices, axis, shape: (np.take_along_axis(g, indices, axis), None),
    linear=lambda np, t, y, xs, axis, shape: np.scatter_along_axis(t[0], xs[1], axis, shape), operands=2,
    decides=1, loops=LookedUp(along=True, adjoint=True), batching=batching.along_axis,
    formula="scatter_along_axis(x, i)",
)  # fmt: skip

# -- routing by a choice of the values -----------------------------------------------------------------------

WHERE = addition(
    "where",
    lambda np, g, y, condition, a, b: (None, np.where(condition, g, 0), np.where(condition, 0, g)),
    linear=lambda np, t, y, xs: np.where(xs[0], t[1], t[2]), operands=3, decides=0,
    lowering=arithmetic.where, masks=True, formula="where(c, a, b)",
)  # fmt: skip
CLIP = addition(
    "clip", lambda np, g, y, x, low, high: np.where(y == x, g, 0),
    linear=lambda np, t, y, xs, low, high: np.where(y == xs[0], t[0], 0), lowering=arithmetic.clip,
    masks=True, flattens=True,
)  # fmt: skip
SORT = addition(
    "sort",
    lambda np, g, y, x, axis: np.scatter_along_axis(g, np.argsort(x, axis), axis, x.shape),
    linear=lambda np, t, y, xs, axis: np.take_along_axis(t[0], np.argsort(xs[0], axis), axis),
    batching=batching.first_is_axis,
)


def _share(np: Any, y: Any, a: Any, b: Any) -> Any:
    """The share of the first operand in an extremum of two: 1, 0, or ½ at a tie."""
    wins = np.astype(y == a, y.dtype)
    return wins - 0.5 * np.astype(a == b, y.dtype)


def _shared(np: Any, share: Any, residual: Any) -> Any:
    """The part of a residual or tangent that passes; none at share 0, be it infinite."""
    return np.where(share == 0, 0, share * residual)


def _pair_adjoint(np: Any, g: Any, y: Any, a: Any, b: Any) -> Any:
    share = _share(np, y, a, b)
    return _shared(np, share, g), _shared(np, 1 - share, g)


def _pair_linear(np: Any, t: Any, y: Any, xs: Any) -> Any:
    share = _share(np, y, *xs)
    return _shared(np, share, t[0]) + _shared(np, 1 - share, t[1])


def _shares(np: Any, y: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """The share of each element in an extremum over axes: 1 for the one that wins, equal parts among ties."""
    wins = np.astype(_spread(np, y, x, axes, keepdims) == x, x.dtype)
    return wins * np.reciprocal(np.sum(wins, axis=axes, keepdims=True))


def _extremum_adjoint(np: Any, g: Any, y: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    return _shared(np, _shares(np, y, x, axes, keepdims), _spread(np, g, x, axes, keepdims))


def _extremum_linear(np: Any, t: Any, y: Any, xs: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    return np.sum(_shared(np, _shares(np, y, xs[0], axes, keepdims), t[0]), axis=axes, keepdims=keepdims)


def _of_pair(name: str, lowering: Lowering) -> Row:
    return addition(
        name,
        _pair_adjoint,
        linear=_pair_linear,
        operands=2,
        lowering=lowering,
        masks=True,
        flattens=True,
        formula=f"{name}(a, b)",
    )


def _over_axes(name: str) -> Row:
    return addition(
        name,
        _extremum_adjoint,
        linear=_extremum_linear,
        forward=_over(name),
        masks=True,
        loops=Reduced(name, routing.over_axes),
        batching=batching.first_is_axes,
    )


MAXIMUM, MINIMUM = _of_pair("maximum", arithmetic.maximum), _of_pair("minimum", arithmetic.minimum)
MAX, MIN = _over_axes("max"), _over_axes("min")
