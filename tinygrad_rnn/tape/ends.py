"""The ends of a backward pass: the residual that it starts from, and the leaves that it adds to."""

from __future__ import annotations

import threading
from typing import Any

from ..chain_rule.addition import ASTYPE
from ..errors import DtypeError, ShapeError, TapeError
from .entry import Node
from .record import apply, lift
from .residuals import Residuals


def seed(result: Any, grad: Any, recorded: bool) -> Any:
    """The residual that a backward pass starts from.

    Raises:
        TapeError: the result was not recorded.
        ShapeError: several values and no ``grad``, or one of another shape.
    """
    if not result.requires_grad:
        raise TapeError(
            "backward: nothing was recorded that leads here: make a tensor with requires_grad=True, and do "
            "not compute under no_grad; of gradients to be differentiated again, ask gradients for "
            "create_graph=True"
        )
    if grad is None:
        if result.size != 1:
            raise ShapeError(
                f"backward: a tensor of shape {result.shape} has {result.size} values: sum it, or give "
                "grad= of that shape"
            )
        grad = Node.result_type(
            result._backend.full(result._data.shape, 1, result._data.dtype), result._backend
        )
    else:
        grad = lift(grad, result._backend)
        if grad._data.dtype != result._data.dtype:
            grad = apply(ASTYPE, (grad,), (result._data.dtype,))
        if grad.shape != result.shape:
            raise ShapeError(f"backward: grad has shape {grad.shape}, the result has {result.shape}")
    return grad if recorded else grad._data


adding: threading.RLock = threading.RLock()
"""Held while residuals are added to leaves, so that none is lost where several threads do so."""


def add_to_leaves(residuals: Residuals) -> None:
    """Accumulate the gradients of leaves: add what has arrived to their ``grad``.

    Raises:
        DtypeError: one of them is no float; then nothing is added.
    """
    for leaf in residuals.leaves.values():
        require_float(leaf._data.dtype, True)
    with adding:
        for key, leaf in residuals.leaves.items():
            _add_to_grad(leaf, residuals.by_key[key], key in residuals.owned)


def _add_to_grad(leaf: Node, residual: Any, owned: bool) -> None:
    """Accumulate a gradient. A recorded residual is a tensor, another one an array, which is kept without a
    copy if it is ours."""
    if isinstance(residual, Node):
        leaf._grad = residual if leaf._grad is None else leaf._grad + residual
        return
    if leaf._grad is not None:
        residual = leaf._grad._data + residual
    elif not owned:
        residual = leaf._backend.copy(residual)
    leaf._grad = Node.result_type(leaf._backend.asarray(residual), leaf._backend)


def require_float(dtype: Any, required: bool) -> None:
    if required and dtype.kind != "f":
        raise DtypeError(f"only float tensors have gradients, not {dtype}: convert with .astype('float32')")
