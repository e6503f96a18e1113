"""Products that belong to a scan although they are recorded: those before and after the loops of its
derivative.

NumPy's threads go on spinning for some 25 ms after a product, on the cores that the next loop needs, which
then takes several times as long. So these products are made as a scan's are, by the same threads as its
loops; and so are the products of their derivatives, of any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from .. import ops
from ..backends import Backend
from ..backends.products import Products
from ..chain_rule import Row
from ..chain_rule.weighting import MATMUL
from ..tape import apply, choose, thread
from .program import Instruction


class _Namespace:
    """The names that rules are written in, with a product of matrices that is the scan's."""

    def __init__(self, names: Any) -> None:
        self._names = names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._names, name)

    def matmul(self, a: Any, b: Any) -> Any:
        if not isinstance(self._names, Backend):
            return matmul(a, b)
        with self._names.products() as products:
            return products.matmul(a, b) if a.ndim == 2 else products.rowwise(a, b)


def _with_own(rule: Callable[..., Any]) -> Callable[..., Any]:
    return lambda np, *operands: rule(_Namespace(np), *operands)


_OWN = replace(
    MATMUL,
    forward=_with_own(MATMUL.forward),
    pull=_with_own(MATMUL.pull),
    push=_with_own(MATMUL.push),
    named=False,
)


def applied(instruction: Instruction, xs: Sequence[Any]) -> Any:
    """Run an instruction, recorded; a product is the scan's."""
    if instruction.stopped:
        return choose(instruction.row, xs, instruction.params)
    return _apply(instruction.row, xs, instruction.params)


def _apply(row: Row, xs: Sequence[Any], params: tuple[Any, ...] = ()) -> Any:
    """As :func:`~tinygrad_rnn.tape.apply`. In a trace a product is as any other: there the plan decides."""
    return apply(_OWN if row.multiplies_matrices and thread.tracing is None else row, xs, params)


def matmul(a: Any, b: Any) -> Any:
    """As ``ops.matmul``, of two matrices the scan's."""
    return _apply(MATMUL, (a, b)) if a.ndim == b.ndim == 2 else ops.matmul(a, b)


def recorded_products() -> Products:
    """Products of tensors, none of which waits."""
    return Products(_Namespace(ops))
