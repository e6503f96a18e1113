"""Case 3, weighting:  y = w · x, bilinear   ⇒   dw = dy · x, dx = dy · w.

Each side's residual is weighted by the other side, so it changes: by a gate, by a weight, by a matrix. A row
is (forward, one adjoint for each side); pushing tangents forward is the product rule, ẏ = ẇ · x + w · ẋ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import batching, routing
from .lowering import arithmetic
from .lowering.lowered import Lowering
from .registry import rows
from .routing import Contracted
from .row import Row


def weighting(
    name: str,
    *sides: Callable[..., Any],
    symbol: str,
    lowering: Lowering | None = None,
    **traits: Any,
) -> Row:
    """File a bilinear operation.

    Args:
        sides: the adjoint to each side, side(np, g, y, a, b).
        lowering: of an elementwise one, how it is computed in code.
        traits: what else a :class:`Row` says.
    """

    def call(np: Any, a: Any, b: Any) -> Any:
        return getattr(np, name)(a, b)

    def pull(np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
        a, b = xs
        if a is b and lowering and needs[0]:  # x · x: both sides are weighted alike
            part = sides[0](np, g, y, a, b)
            return part, part
        return (
            sides[0](np, g, y, a, b) if needs[0] else None,
            sides[1](np, g, y, a, b) if needs[1] else None,
        )

    def push(np: Any, tangents: Any, y: Any, xs: Any, params: Any) -> Any:
        (ta, tb), (a, b) = tangents, xs
        if tb is None:
            return call(np, ta, b)
        return call(np, a, tb) if ta is None else call(np, ta, b) + call(np, a, tb)

    return rows.add(
        Row(name, "weighting", symbol, call, pull, push, sides, lowering=lowering, named=True, **traits)
    )


def _matmul_spared(np: Any, g: Any, xs: Any, params: Any) -> Any:
    """Rows of a that no residual asks for would weight nothing in aᵀ g, and columns of b nothing in g bᵀ."""
    a, b = xs
    nonzero = g != 0
    return np.where(np.any(nonzero, axis=-1, keepdims=True), a, 0), np.where(
        np.any(nonzero, axis=-2, keepdims=True), b, 0
    )


MULTIPLY = weighting(
    "multiply",
    lambda np, g, y, a, b: g * b,
    lambda np, g, y, a, b: g * a,
    symbol="×",
    lowering=arithmetic.multiply,
    formula="a × b",
)
MATMUL = weighting(
    "matmul",  # of matrices and stacks of them: a vector is made a matrix before
    lambda np, g, y, a, b: np.matmul(g, np.swapaxes(b, -1, -2)),
    lambda np, g, y, a, b: np.matmul(np.swapaxes(a, -1, -2), g),
    symbol="@",
    spared=_matmul_spared,
    loops=Contracted(routing.of_matrices, matrices=True),
    batching=batching.broadcasting,
    formula="a @ b",
)

# -- einsum: any number of sides -----------------------------------------------------------------------------


def _einsum_forward(np: Any, xs: Any, params: Any) -> Any:
    return np.einsum(_subscripts(*params), *xs, optimize=len(xs) > 1)


def _subscripts(inputs: tuple[str, ...], output: str) -> str:
    return f"{','.join(inputs)}->{output}"


def _einsum_side(np: Any, i: int, g: Any, xs: Any, inputs: tuple[str, ...], output: str) -> Any:
    """Swap the output with operand i. Every index of an operand stands in the output or in another operand:
    repeated and lonely ones were taken out before the row was recorded."""
    others = [j for j in range(len(xs)) if j != i]
    return np.einsum(
        _subscripts((output, *(inputs[j] for j in others)), inputs[i]),
        g,
        *(xs[j] for j in others),
        optimize=len(xs) > 1,
    )


def _einsum_spared(np: Any, g: Any, xs: Any, params: Any) -> Any:
    """As for matmul: what is left of g at the indices of an operand says where that is asked for."""
    inputs, output = params
    nonzero = g != 0
    spared = []
    for letters, x in zip(inputs, xs, strict=True):
        live = np.any(nonzero, axis=tuple(i for i, letter in enumerate(output) if letter not in letters))
        left = [letter for letter in output if letter in letters]
        live = np.transpose(live, tuple(left.index(letter) for letter in letters if letter in left))
        live = np.reshape(
            live, tuple(n if letter in left else 1 for letter, n in zip(letters, x.shape, strict=True))
        )
        spared.append(np.where(live, x, 0))
    return spared


def _einsum_pull(np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
    return [_einsum_side(np, i, g, xs, *params) if needed else None for i, needed in enumerate(needs)]


def _einsum_push(np: Any, tangents: Any, y: Any, xs: Any, params: Any) -> Any:
    total = None
    for i, tangent in enumerate(tangents):
        if tangent is not None:
            term = _einsum_forward(np, (*xs[:i], tangent, *xs[i + 1 :]), params)
            total = term if total is None else total + term
    return total


EINSUM = rows.add(
    Row(
        "einsum",
        "weighting",
        "einsum",
        _einsum_forward,
        _einsum_pull,
        _einsum_push,
        spared=_einsum_spared,
        variadic=True,
        loops=Contracted(routing.as_written),
        batching=batching.einsum,
        says="each side: dy and the other sides, output and operand swapped",
    )
)
