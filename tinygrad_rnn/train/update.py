"""One update of a model's parameters: the loss's residuals, clipped, and a step of the optimiser."""

from __future__ import annotations

import math
from typing import Any

from .. import optim
from ..errors import TrainingError
from ..tensor import Tensor


def update(
    loss: Tensor | None,
    optimizer: optim.Optimizer,
    clip: float | None,
    schedule: Any = None,
    batches: int = 1,
) -> float:
    """Take a step downhill.

    Args:
        loss: one number, whose residuals are added to those that the parameters have; None to go by these.
        clip: the largest norm that they may have together; None for any.
        schedule: of the learning rate; goes on by one.
        batches: of how many the residuals are the sum; the step goes by their mean.

    Returns:
        Their norm before clipping.

    Raises:
        TrainingError: it is not finite; nothing was changed.
    """
    if loss is not None:
        loss.backward()
    if batches > 1:
        for p in {id(p): p for p in optimizer.parameters if p._grad is not None}.values():
            mean = p._grad._data / batches
            p._grad = Tensor(p._backend.asarray(mean, dtype=p._grad._data.dtype), p._backend)
    norm = optim.clip_grad_norm(optimizer.parameters, math.inf if clip is None else clip)
    if not math.isfinite(norm):
        raise TrainingError(f"the gradient's norm became {norm}: try a smaller learning rate")
    optimizer.step()
    optimizer.zero_grad()
    if schedule is not None:
        schedule.step()
    return norm
