"""Clipping of residuals, between the backward pass and the step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from .. import arguments
from ..errors import BackendError
from ..tensor import Tensor
from .parameters import tensors_of, wide


def clip_grad_norm(parameters: Tensor | Iterable[Tensor], max_norm: float) -> float:
    """Scale all residuals together so that their joint Euclidean norm is at most max_norm (Pascanu, Mikolov &
    Bengio 2013).

    >>> w = tg.zeros(2).requires_grad_()
    >>> w.grad = tg.tensor([3.0, 4.0])
    >>> tg.optim.clip_grad_norm([w], 1.0)
    5.0

    Args:
        parameters: tensors, or a single one.
        max_norm: 0 or more; at infinity nothing is clipped.

    Returns:
        The norm before. If it is not finite the residuals are left as they are, and whoever called decides.

    Raises:
        ArgumentError: parameters are no tensors, or max_norm is negative or NaN.
        BackendError: the residuals lie on different backends.
    """
    max_norm = arguments.bound("clip_grad_norm: max_norm", max_norm)
    clipped = _with_residuals("clip_grad_norm", parameters)
    if not clipped:
        return 0.0
    backend = clipped[0]._backend
    if any(p._backend is not backend for p in clipped):
        raise BackendError(
            "clip_grad_norm: the residuals of parameters lie on different backends: clip those of each by "
            "themselves"
        )
    residuals = [wide(p._grad._data) for p in clipped]
    with backend.quiet():
        squares = [backend.sum(g * g) for g in residuals]
        # one wait for a device, not one for each parameter
        norm = math.sqrt(float(sum(squares[1:], squares[0])))
    scale = max_norm / (norm + 1e-6)  # as in PyTorch
    if math.isfinite(norm) and scale < 1:
        for p, g in zip(clipped, residuals, strict=True):
            _replace_grad(p, g * scale)
    return norm


def clip_grad_value(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Hold every element of the residuals between ∓ clip_value.

    >>> w = tg.zeros(2).requires_grad_()
    >>> w.grad = tg.tensor([0.5, -4.0])
    >>> tg.optim.clip_grad_value([w], 1.0)
    >>> w.grad
    tensor([ 0.5, -1. ], dtype=float32)

    Raises:
        ArgumentError: parameters are no tensors, or clip_value is negative or NaN.
    """
    clip_value = arguments.bound("clip_grad_value: clip_value", clip_value)
    for p in _with_residuals("clip_grad_value", parameters):
        _replace_grad(p, p._backend.clip(p._grad._data, -clip_value, clip_value))


def _with_residuals(name: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """Those of the tensors that have a residual, each once."""
    tensors = (
        [parameters] if isinstance(parameters, Tensor) else tensors_of(f"{name}: parameters", parameters)
    )
    return [
        tensor for tensor in {id(tensor): tensor for tensor in tensors}.values() if tensor._grad is not None
    ]


def _replace_grad(parameter: Tensor, residual: Any) -> None:
    parameter._grad = Tensor(
        parameter._backend.asarray(residual, dtype=parameter._grad._data.dtype), parameter._backend
    )
