"""Schedules of the learning rate, with PyTorch's meaning: each sets the ``lr`` of an optimiser."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .. import arguments
from ..errors import ArgumentError, CheckpointError
from .optimizer import Optimizer


class Schedule:
    """Sets an optimiser's learning rate to its first one times ``factor(n)``, where n counts the calls of
    ``step``.

    >>> sgd = tg.optim.SGD([tg.zeros(2).requires_grad_()], lr=1.0)
    >>> class Halving(tg.optim.Schedule):
    ...     def factor(self, n):
    ...         return 0.5**n
    >>> Halving(sgd).step()
    >>> sgd.lr
    0.5

    Args:
        optimizer: whose ``lr`` is set.
        base_lr: the first rate; None is the optimiser's own.
    """

    def __init__(self, optimizer: Optimizer, base_lr: float | None = None) -> None:
        name = type(self).__name__
        self.base_lr: float
        if not hasattr(optimizer, "lr"):
            raise arguments.refused(f"{name}: optimizer", "an optimiser", optimizer)
        self.optimizer = optimizer
        self.count: int = 0
        self._set(
            arguments.rate(f"{name}: the lr of optimizer", optimizer.lr if base_lr is None else base_lr), 0
        )

    def factor(self, n: int) -> float:
        """What the first learning rate is multiplied by after n steps."""
        raise NotImplementedError("a schedule is a subclass of Schedule with a factor(n) of its own")

    def step(self) -> None:
        """Go on by one: after each step, or each epoch, of training."""
        self._set(self.base_lr, self.count + 1)

    def _set(self, base_lr: float, count: int) -> None:
        name = type(self).__name__
        factor = arguments.rate(f"{name}: factor({count})", self.factor(count))
        rate = arguments.rate(f"{name}: the learning rate after {count} steps", base_lr * factor)
        self.base_lr, self.count, self.optimizer.lr = base_lr, count, rate

    def state_dict(self) -> dict[str, Any]:
        return {"base_lr": self.base_lr, "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another schedule of the same kind stood.

        Raises:
            CheckpointError: the state is not a schedule's.
        """
        if not isinstance(state, Mapping) or set(state) != {"base_lr", "count"}:
            raise CheckpointError(f"{type(self).__name__}: the state dict is not one of a schedule")
        try:
            self._set(
                arguments.rate("base_lr", state["base_lr"]), arguments.whole("count", state["count"], 0)
            )
        except ArgumentError as error:
            raise CheckpointError(
                f"{type(self).__name__}: the state dict is not one of a schedule: {error}"
            ) from error


def _steps(n: Any) -> int:
    return arguments.whole("factor: n", n, 0)


class StepLR(Schedule):
    """Times gamma after every step_size steps.

    >>> sgd = tg.optim.SGD([tg.zeros(2).requires_grad_()], lr=1.0)
    >>> schedule = tg.optim.StepLR(sgd, step_size=2, gamma=0.5)
    >>> [(schedule.step(), sgd.lr)[1] for _ in range(4)]
    [1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size: int = arguments.size("StepLR: step_size", step_size, 1)
        self.gamma: float = arguments.rate("StepLR: gamma", gamma)
        super().__init__(optimizer)

    def factor(self, n: int) -> float:
        try:
            return self.gamma ** (_steps(n) // self.step_size)
        except OverflowError:
            return math.inf


class CosineLR(Schedule):
    """Down half a cosine to ``least`` times the first rate at the given number of steps, and on there
    (Loshchilov & Hutter 2017).

    >>> sgd = tg.optim.SGD([tg.zeros(2).requires_grad_()], lr=1.0)
    >>> schedule = tg.optim.CosineLR(sgd, steps=2)
    >>> [(schedule.step(), round(sgd.lr, 3))[1] for _ in range(3)]
    [0.5, 0.0, 0.0]
    """

    def __init__(self, optimizer: Optimizer, steps: int, least: float = 0.0) -> None:
        self.steps: int = arguments.size("CosineLR: steps", steps, 1)
        self.least: float = arguments.rate("CosineLR: least", least)
        super().__init__(optimizer)

    def factor(self, n: int) -> float:
        return (
            self.least
            + (1 - self.least) * (1 + math.cos(math.pi * min(_steps(n), self.steps) / self.steps)) / 2
        )


class WarmupLR(Schedule):
    """Up in a line to the first rate, 1/steps, 2/steps, … 1; then on as another schedule would from its
    start, or level.

    ``WarmupLR(optimizer, 100, then=CosineLR(optimizer, 900))``: only the outer one is stepped.

    >>> sgd = tg.optim.SGD([tg.zeros(2).requires_grad_()], lr=1.0)
    >>> schedule = tg.optim.WarmupLR(sgd, steps=4)
    >>> [sgd.lr, *((schedule.step(), sgd.lr)[1] for _ in range(4))]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """

    def __init__(self, optimizer: Optimizer, steps: int, then: Schedule | None = None) -> None:
        self.steps: int = arguments.size("WarmupLR: steps", steps)
        if then is not None and not isinstance(then, Schedule):
            raise arguments.refused("WarmupLR: then", "another schedule, or None", then)
        self.then = then  # it has set the optimiser's rate already, by its own first factor
        super().__init__(
            optimizer, then.base_lr if then is not None and then.optimizer is optimizer else None
        )

    def factor(self, n: int) -> float:
        if _steps(n) < self.steps:
            return (n + 1) / self.steps
        return self.then.factor(n - self.steps) if self.then else 1.0
