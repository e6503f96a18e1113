"""Schedules of the learning rate, with PyTorch's meaning: each sets the ``lr`` of an optimiser."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import arguments
from ..errors import ArgumentError, CheckpointError
from .groups import Group
from .optimizer import Optimizer


class Schedule:
    """Sets the learning rate of each group of an optimiser to its first one times ``factor(n)``, where n
    counts the calls of ``step``.

    >>> sgd = tg.optim.SGD([tg.zeros(2).requires_grad_()], lr=1.0)
    >>> class Halving(tg.optim.Schedule):
    ...     def factor(self, n):
    ...         return 0.5**n
    >>> Halving(sgd).step()
    >>> sgd.lr
    0.5

    Args:
        optimizer: whose ``lr`` is set.
        base_lr: the first rate, or one for each group; None is the groups' own, or what another schedule
            began from, if that has set them.
    """

    cycle_momentum: bool = False
    """Whether the momentum is set, too."""

    def __init__(self, optimizer: Optimizer, base_lr: float | Sequence[float] | None = None) -> None:
        name = type(self).__name__
        self.optimizer: Optimizer = trained(name, optimizer)
        self.base_lrs: tuple[float, ...] = ()
        self.count: int = 0
        self._set(
            [group.lr if group._first_lr is None else group._first_lr for group in optimizer.groups]
            if base_lr is None
            else for_each_group(f"{name}: base_lr", base_lr, optimizer),
            0,
        )

    def __repr__(self) -> str:
        rates = ", ".join(f"{group.lr:.6g}" for group in self.optimizer.groups)
        return f"{type(self).__name__}(after {self.count} steps, lr {rates})"

    @property
    def base_lr(self) -> float:
        """The first rate, where the groups have one.

        Raises:
            ArgumentError: they have several, which are ``base_lrs``.
        """
        if len(set(self.base_lrs)) > 1:
            raise ArgumentError(f"{type(self).__name__}: the groups have several first rates: write base_lrs")
        return self.base_lrs[0]

    def factor(self, n: int) -> float:
        """What the first learning rate is multiplied by after n steps."""
        raise NotImplementedError("a schedule is a subclass of Schedule with a factor(n) of its own")

    def _factors(self, n: int) -> list[float]:
        """The factor of each group."""
        return [self.factor(n)] * len(self.optimizer.groups)

    def _beside(self, group: Group, n: int) -> dict[str, Any]:
        """What options of a group are after n steps, beside the learning rate."""
        return {}

    def step(self) -> None:
        """Go on by one: after each step, or each epoch, of training."""
        self._set(self.base_lrs, self.count + 1)

    def _set(self, base_lrs: Sequence[float], count: int) -> None:
        name, groups = type(self).__name__, self.optimizer.groups
        if len(base_lrs) != len(groups):
            raise ArgumentError(
                f"{name}: the optimizer has {len(groups)} groups, the schedule {len(base_lrs)}: make it "
                "after the last group was added"
            )
        factors = [arguments.rate(f"{name}: factor({count})", factor) for factor in self._factors(count)]
        rates = [
            arguments.rate(f"{name}: the learning rate after {count} steps", base * factor)
            for base, factor in zip(base_lrs, factors, strict=True)
        ]
        changes = [
            {"lr": rate, **self._beside(group, count)} for rate, group in zip(rates, groups, strict=True)
        ]
        self.optimizer._change(changes, base_lrs)
        self.base_lrs, self.count = tuple(base_lrs), count

    def state_dict(self) -> dict[str, Any]:
        """``base_lrs``, the first rate of each group, and ``count``, the steps that were made."""
        return {"base_lrs": list(self.base_lrs), "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another schedule of the same kind stood.

        One that was saved before there were groups, with one ``base_lr``, is one group's.

        Raises:
            CheckpointError: the state is not a schedule's, or one of other groups.
        """
        name = type(self).__name__
        if not isinstance(state, Mapping) or set(state) not in ({"base_lrs", "count"}, {"base_lr", "count"}):
            raise CheckpointError(f"{name}: the state dict is not one of a schedule")
        try:
            base_lrs = arguments.several("base_lrs", state.get("base_lrs", [state.get("base_lr")]))
            self._set(
                [arguments.rate("base_lr", rate) for rate in base_lrs],
                arguments.whole("count", state["count"], 0),
            )
        except ArgumentError as error:
            raise CheckpointError(f"{name}: the state dict is not one of a schedule: {error}") from error


def trained(name: str, optimizer: Any) -> Optimizer:
    """What a schedule is for: an optimiser with a learning rate."""
    if not isinstance(optimizer, Optimizer) or "lr" not in optimizer._options:
        raise arguments.refused(f"{name}: optimizer", "an optimiser with an lr", optimizer)
    return optimizer


def for_each_group(what: str, value: Any, optimizer: Optimizer) -> list[float]:
    """Rates of all groups, from one for all of them or one for each."""
    count = len(optimizer.groups)
    if arguments.is_one(value):
        return [arguments.rate(what, value)] * count
    return [arguments.rate(f"{what}[{i}]", part) for i, part in enumerate(several_groups(what, value, count))]


def several_groups(what: str, value: Any, count: int) -> tuple[Any, ...]:
    """One of something for each group."""
    parts = arguments.several(what, value)
    if len(parts) != count:
        raise ArgumentError(f"{what} must be one, or one for each of {count} groups, not {len(parts)}")
    return parts


def _power(gamma: float, n: int) -> float:
    try:
        return gamma ** min(n, 1 << 62)  # a float holds no larger n
    except OverflowError:
        return math.inf


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
        return _power(self.gamma, _steps(n) // self.step_size)


class ExponentialLR(Schedule):
    """Times gamma after every step.

    >>> sgd = tg.optim.SGD([tg.zeros(2).requires_grad_()], lr=1.0)
    >>> schedule = tg.optim.ExponentialLR(sgd, gamma=0.5)
    >>> [(schedule.step(), sgd.lr)[1] for _ in range(3)]
    [0.5, 0.25, 0.125]
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma: float = arguments.rate("ExponentialLR: gamma", gamma)
        super().__init__(optimizer)

    def factor(self, n: int) -> float:
        return _power(self.gamma, _steps(n))


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


class _OfEachGroup(Schedule):
    """Says the factors of the groups, which may differ."""

    def factor(self, n: int) -> float:
        first, *others = self._factors(n)
        if any(factor != first for factor in others):
            raise ArgumentError(f"{type(self).__name__}: factor({n}) differs between the groups")
        return first


class LambdaLR(_OfEachGroup):
    """The first rate times what a function says of the number of steps.

    >>> sgd = tg.optim.SGD([tg.zeros(2).requires_grad_()], lr=1.0)
    >>> schedule = tg.optim.LambdaLR(sgd, lambda n: 1 / (1 + n))
    >>> [(schedule.step(), sgd.lr)[1] for _ in range(3)]
    [0.5, 0.3333333333333333, 0.25]

    Args:
        optimizer: whose ``lr`` is set.
        lr_lambda: the function, or one for each group. It is no part of the state dict.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
    ) -> None:
        what, count = "LambdaLR: lr_lambda", len(trained("LambdaLR", optimizer).groups)
        given = [lr_lambda] * count if callable(lr_lambda) else several_groups(what, lr_lambda, count)
        self.functions: tuple[Callable[[int], float], ...] = tuple(
            arguments.function(what, function) for function in given
        )
        super().__init__(optimizer)

    def _factors(self, n: int) -> list[float]:
        n = _steps(n)
        return [function(n) for function in self.functions]


def _joined(what: str, schedule: Any, optimizer: Optimizer) -> Schedule:
    """A schedule as part of another one."""
    if not isinstance(schedule, Schedule):
        raise arguments.refused(what, "another schedule whose factor is of the steps alone", schedule)
    if schedule.cycle_momentum:
        raise ArgumentError(f"{what} sets the momentum, which no joined schedule does: cycle_momentum=False")
    if len(schedule.base_lrs) != len(optimizer.groups):
        raise ArgumentError(f"{what} is of an optimiser with other groups")
    return schedule


class _OfSeveral(_OfEachGroup):
    """Joins schedules of one optimiser, which begin from the same rates; only it is stepped."""

    def __init__(self, optimizer: Optimizer, schedules: Sequence[Schedule]) -> None:
        name = type(self).__name__
        what = f"{name}: schedules"
        trained(name, optimizer)
        self.schedules: tuple[Schedule, ...] = tuple(
            _joined(f"{what}[{i}]", schedule, optimizer)
            for i, schedule in enumerate(arguments.several(what, schedules, "a list of schedules"))
        )
        if not self.schedules:
            raise ArgumentError(f"{what} is empty")
        first = self.schedules[0].base_lrs
        for i, schedule in enumerate(self.schedules):
            if schedule.optimizer is not optimizer or schedule.base_lrs != first:
                raise ArgumentError(
                    f"{what}[{i}] is of another optimiser or begins from other rates, {schedule.base_lrs}"
                )
        super().__init__(optimizer, first)


class SequentialLR(_OfSeveral):
    """One schedule after another: each from its start at its milestone. Only the outer one is stepped.

    >>> sgd = tg.optim.SGD([tg.zeros(2).requires_grad_()], lr=1.0)
    >>> parts = [tg.optim.WarmupLR(sgd, 2), tg.optim.ExponentialLR(sgd, 0.5)]
    >>> schedule = tg.optim.SequentialLR(sgd, parts, milestones=[2])
    >>> [sgd.lr, *((schedule.step(), sgd.lr)[1] for _ in range(4))]
    [0.5, 1.0, 1.0, 0.5, 0.25]

    Args:
        optimizer: whose ``lr`` is set.
        schedules: what is joined; each sets the learning rate only.
        milestones: after how many steps each but the first begins, in their order.
    """

    def __init__(
        self, optimizer: Optimizer, schedules: Sequence[Schedule], milestones: Sequence[int]
    ) -> None:
        self.milestones: tuple[int, ...] = arguments.wholes("SequentialLR: milestones", milestones, 0)
        if list(self.milestones) != sorted(self.milestones):
            raise ArgumentError(f"SequentialLR: milestones must rise: {arguments.shown(self.milestones)}")
        schedules = arguments.several("SequentialLR: schedules", schedules, "a list of schedules")
        if len(schedules) != len(self.milestones) + 1:
            raise ArgumentError(
                f"SequentialLR: {len(schedules)} schedules need {len(schedules) - 1} milestones, not "
                f"{len(self.milestones)}"
            )
        super().__init__(optimizer, schedules)

    def _factors(self, n: int) -> list[float]:
        i = bisect_right(self.milestones, _steps(n))
        return self.schedules[i]._factors(n - (self.milestones[i - 1] if i else 0))


class ChainedLR(_OfSeveral):
    """The product of the factors of several schedules. Only the outer one is stepped.

    >>> sgd = tg.optim.SGD([tg.zeros(2).requires_grad_()], lr=1.0)
    >>> parts = [tg.optim.WarmupLR(sgd, 2), tg.optim.ExponentialLR(sgd, 0.5)]
    >>> schedule = tg.optim.ChainedLR(sgd, parts)
    >>> [sgd.lr, *((schedule.step(), sgd.lr)[1] for _ in range(2))]
    [0.5, 0.5, 0.25]

    Args:
        optimizer: whose ``lr`` is set.
        schedules: what is joined; each sets the learning rate only.
    """

    def _factors(self, n: int) -> list[float]:
        n = _steps(n)
        parts = [schedule._factors(n) for schedule in self.schedules]
        return [math.prod(factors) for factors in zip(*parts, strict=True)]


class WarmupLR(_OfEachGroup):
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
        trained("WarmupLR", optimizer)
        # it has set the optimiser's rate already, by its own first factor
        self.then: Schedule | None = None if then is None else _joined("WarmupLR: then", then, optimizer)
        super().__init__(
            optimizer, then.base_lrs if then is not None and then.optimizer is optimizer else None
        )

    def _factors(self, n: int) -> list[float]:
        if self.then is not None and _steps(n) >= self.steps:
            return self.then._factors(n - self.steps)
        factor = (n + 1) / self.steps if _steps(n) < self.steps else 1.0
        return [factor] * len(self.optimizer.groups)
