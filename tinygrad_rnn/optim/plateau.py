"""A lower learning rate where the loss does not fall any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import arguments
from ..errors import ArgumentError, CheckpointError
from .optimizer import Optimizer
from .schedules import for_each_group, trained


class PlateauLR:
    """Times factor after more than patience steps in a row whose loss is not better than the best so far,
    with the meaning of PyTorch's ReduceLROnPlateau.

    >>> sgd = tg.optim.SGD([tg.zeros(2).requires_grad_()], lr=1.0)
    >>> schedule = tg.optim.PlateauLR(sgd, factor=0.5, patience=1)
    >>> [(schedule.step(loss), sgd.lr)[1] for loss in (3.0, 2.0, 2.0, 2.0, 1.0)]
    [1.0, 1.0, 1.0, 0.5, 0.5]

    It goes from the rate that each group has at that time, and is no part of joined schedules: what it does
    depends on more than the number of steps.

    Args:
        optimizer: whose ``lr`` is set.
        mode: "min" if a lower loss is better, "max" if a higher one.
        factor: below 1.
        patience: how many steps without a better loss are borne.
        threshold: by how much a loss must be better to count.
        threshold_mode: "rel", the threshold is a share of the best loss; "abs", it is a difference.
        cooldown: for how many steps after the rate was lowered none is counted as bad.
        min_lr: where the rate stays, or one for each group.
        eps: a change of the rate that is not larger is not made.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        self.optimizer: Optimizer = trained("PlateauLR", optimizer)
        self.mode: str = arguments.choice("PlateauLR: mode", mode, ("min", "max"))
        self.factor: float = arguments.decay("PlateauLR: factor", factor)
        self.patience: int = arguments.whole("PlateauLR: patience", patience, 0)
        self.threshold: float = arguments.rate("PlateauLR: threshold", threshold)
        self.threshold_mode: str = arguments.choice(
            "PlateauLR: threshold_mode", threshold_mode, ("rel", "abs")
        )
        self.cooldown: int = arguments.whole("PlateauLR: cooldown", cooldown, 0)
        self.min_lrs: tuple[float, ...] = tuple(for_each_group("PlateauLR: min_lr", min_lr, optimizer))
        self.eps: float = arguments.rate("PlateauLR: eps", eps)
        self.best: float | None = None
        """The best loss so far; None before the first."""
        self.bad: int = 0
        """How many steps in a row were not better."""
        self.cooling: int = 0
        """For how many steps more none is counted as bad."""

    def __repr__(self) -> str:
        rates = ", ".join(f"{group.lr:.6g}" for group in self.optimizer.groups)
        return f"{type(self).__name__}(patience {self.patience}, lr {rates})"

    def step(self, loss: float) -> None:
        """Tell the loss of a step, or of an epoch, of training.

        Args:
            loss: a number, such as ``loss.item()``.

        Raises:
            ArgumentError: it is NaN or infinite, or the optimiser has other groups by now; nothing is
                changed.
        """
        loss = arguments.real("PlateauLR: loss", loss)
        better = self._better(loss)
        bad = 0 if better or self.cooling else self.bad + 1
        cooling = max(self.cooling - 1, 0)
        if bad > self.patience:
            self._set([self._lowered(group.lr, i) for i, group in enumerate(self.optimizer.groups)])
            bad, cooling = 0, self.cooldown
        self.best, self.bad, self.cooling = loss if better else self.best, bad, cooling

    def _better(self, loss: float) -> bool:
        if self.best is None:
            return True
        sign = 1 if self.mode == "max" else -1
        bound = (
            self.best * (1 + sign * self.threshold)
            if self.threshold_mode == "rel"
            else self.best + sign * self.threshold
        )
        return loss > bound if self.mode == "max" else loss < bound

    def _lowered(self, rate: float, group: int) -> float:
        lower = max(rate * self.factor, self.min_lrs[group]) if group < len(self.min_lrs) else rate
        return lower if rate - lower > self.eps else rate

    def _set(self, rates: Sequence[float]) -> None:
        groups = self.optimizer.groups
        if not len(rates) == len(groups) == len(self.min_lrs):
            raise ArgumentError(
                f"PlateauLR: the optimizer has {len(groups)} groups, the schedule {len(self.min_lrs)}: make "
                "it after the last group was added"
            )
        self.optimizer._change([{"lr": rate} for rate in rates], [group._first_lr for group in groups])

    def state_dict(self) -> dict[str, Any]:
        """``best``, ``bad`` and ``cooling``, and ``lrs``, the rates of the groups."""
        return {
            "best": self.best,
            "bad": self.bad,
            "cooling": self.cooling,
            "lrs": [group.lr for group in self.optimizer.groups],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another schedule of this kind stood.

        Raises:
            CheckpointError: the state is not one of this schedule, or one of other groups.
        """
        if not isinstance(state, Mapping) or set(state) != {"best", "bad", "cooling", "lrs"}:
            raise CheckpointError("PlateauLR: the state dict is not one of this schedule")
        try:
            best = arguments.optional(arguments.real, "best", state["best"])
            bad, cooling = (arguments.whole(part, state[part], 0) for part in ("bad", "cooling"))
            self._set([arguments.rate("lrs", rate) for rate in arguments.several("lrs", state["lrs"])])
        except ArgumentError as error:
            raise CheckpointError(
                f"PlateauLR: the state dict is not one of this schedule: {error}"
            ) from error
        self.best, self.bad, self.cooling = best, bad, cooling
