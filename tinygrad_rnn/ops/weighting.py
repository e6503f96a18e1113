"""Case 3, weighting: products of elements, of matrices, and Einstein's sums."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import arguments
from ..chain_rule import weighting as w
from ..errors import ShapeError
from ..tape import Node, apply
from .addition import narrow_sum
from .indexing import getitem
from .operands import ArrayLike, Binary, Tensor, as_tensors, binary
from .shapes import moveaxis, reshape, squeeze, transpose

multiply: Binary = binary(w.MULTIPLY, "x1 · x2", "[1.0, 2.0], 3.0", "[3., 6.]")


def matmul(x1: ArrayLike, x2: ArrayLike) -> Tensor:
    """Matrix product with NumPy's rules: vectors on either side, stacks of matrices broadcast.

    >>> tg.matmul([[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0])
    tensor([3., 7.], dtype=float32)
    """
    if isinstance(x1, Node) and isinstance(x2, Node) and len(x1._data.shape) > 1 and len(x2._data.shape) > 1:
        # one product, not one for each matrix of the stack
        if len(x1._data.shape) > 2 and len(x2._data.shape) == 2:
            rows = reshape(x1, (math.prod(x1._data.shape[:-1]), x1._data.shape[-1]))
            return reshape(apply(w.MATMUL, (rows, x2)), (*x1._data.shape[:-1], x2._data.shape[-1]))
        return apply(w.MATMUL, (x1, x2))
    x1, x2 = as_tensors(x1, x2)
    if x1.ndim == 0 or x2.ndim == 0:
        raise ShapeError(
            f"matmul: operands need at least one axis, got shapes {x1.shape} and {x2.shape}; use * for "
            "numbers"
        )
    row = reshape(x1, (1, *x1.shape)) if x1.ndim == 1 else x1
    column = reshape(x2, (*x2.shape, 1)) if x2.ndim == 1 else x2
    y = apply(w.MATMUL, (row, column))
    lost = ([-2] if x1.ndim == 1 else []) + ([-1] if x2.ndim == 1 else [])
    return squeeze(y, tuple(lost)) if lost else y


def einsum(
    subscripts: str, *operands: ArrayLike, optimize: bool | str | Sequence[str | tuple[int, ...]] = True
) -> Tensor:
    """Einstein summation over any number of operands, explicit (``"ij,jk->ik"``) or implicit, with repeated
    and summed-out indices and ``...``; axes of length 1 are stretched.

    >>> tg.einsum("ij,j->i", [[1.0, 2.0], [3.0, 4.0]], [1.0, 1.0])
    tensor([3., 7.], dtype=float32)

    Raises:
        ShapeError: the subscripts do not fit the operands.
    """
    subscripts = arguments.text("einsum: subscripts", subscripts)
    path = (
        isinstance(optimize, (list, tuple))
        and bool(optimize)
        and isinstance(optimize[0], str)
        and optimize[0] == "einsum_path"
    )
    if not path:
        arguments.choice("einsum: optimize", optimize, (True, False, "greedy", "optimal"))
    xs = as_tensors(*operands)
    inputs, output = _einsum_letters(subscripts, [x.ndim for x in xs])
    if not set(output) <= set("".join(inputs)) or len(set(output)) != len(output):
        raise ShapeError(f"einsum {subscripts!r}: each output index must stand once, and in an operand")
    # diagonals, stretched axes and indices that stand nowhere else are additions: taken out first, they leave
    # the weighting clean
    long = {
        letter
        for part, x in zip(inputs, xs, strict=True)
        for letter, n in zip(part, x.shape, strict=True)
        if n != 1
    }
    for i, part in enumerate(inputs):
        stretched = {letter for letter, n in zip(part, xs[i].shape, strict=True) if n == 1 and letter in long}
        inputs[i], xs[i] = _einsum_diagonal(*_einsum_without(stretched, part, xs[i]))
    for i, part in enumerate(inputs):
        lonely = set(part).difference(output, *inputs[:i], *inputs[i + 1 :])
        inputs[i], xs[i] = _einsum_without(lonely, part, xs[i])
    if len(xs) == 1:
        return transpose(xs[0], tuple(inputs[0].index(letter) for letter in output))
    return apply(w.EINSUM, xs, (tuple(inputs), output))


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Of ``string``, whose import takes as long as that of five of our files."""


def _einsum_letters(subscripts: str, ranks: list[int]) -> tuple[list[str], str]:
    """Subscripts with the output written out and ``...`` replaced by letters of their own."""
    text = subscripts.replace(" ", "")
    left, arrow, output = text.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(ranks):
        raise ShapeError(f"einsum {subscripts!r}: {len(inputs)} subscripts for {len(ranks)} operands")
    unused = [letter for letter in _LETTERS if letter not in text]
    hidden = [
        rank - len(part.replace("...", "")) if "..." in part else 0
        for part, rank in zip(inputs, ranks, strict=True)
    ]
    wide = unused[: max(hidden, default=0)]
    for part, rank, extra in zip(inputs, ranks, hidden, strict=True):
        if extra < 0 or ("..." not in part and len(part) != rank):
            raise ShapeError(f"einsum {subscripts!r}: {part!r} does not fit an operand with {rank} axes")
    inputs = [
        part.replace("...", "".join(wide[len(wide) - extra :]))
        for part, extra in zip(inputs, hidden, strict=True)
    ]
    if any(letter not in _LETTERS for part in (*inputs, output.replace("...", "")) for letter in part):
        raise ShapeError(f"einsum {subscripts!r}: indices are letters, operands are parted by commas")
    if arrow:
        return inputs, output.replace("...", "".join(wide))
    joined = "".join(inputs)
    once = sorted(letter for letter in set(joined) if joined.count(letter) == 1 and letter not in wide)
    return inputs, "".join(wide) + "".join(once)


def _einsum_without(gone: set[str], letters: str, x: Tensor) -> tuple[str, Tensor]:
    """An operand with the axes of some indices summed out."""
    axes = tuple(i for i, letter in enumerate(letters) if letter in gone)
    return (
        ("".join(letter for letter in letters if letter not in gone), narrow_sum(x, axes))
        if axes
        else (letters, x)
    )


def _einsum_diagonal(letters: str, x: Tensor) -> tuple[str, Tensor]:
    """An operand with each index once: the diagonal of those that are repeated."""
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ShapeError(
                    f"einsum: index {letter!r} stands for axes of {x.shape[first]} and {x.shape[second]} "
                    "of one operand"
                )
            x = _diagonal(x, first, second)
            letters = letters[:second] + letters[second + 1 :]
    return letters, x


def _diagonal(x: Tensor, first: int, second: int) -> Tensor:
    """The diagonal of two axes, left in the place of the first."""
    n = x.shape[first]
    rest = [i for i in range(x.ndim) if i not in (first, second)]
    lined = transpose(x, (*rest, first, second))
    flat = reshape(lined, (*lined.shape[:-2], n * n))
    line = getitem(flat, (..., slice(None, None, n + 1)))
    return moveaxis(line, -1, first)


# fmt: off
__all__ = [
    "einsum", "matmul", "multiply",
]
