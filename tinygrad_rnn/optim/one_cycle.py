"""One rise and fall of the learning rate, and of the momentum against it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import arguments
from ..errors import ArgumentError
from .groups import Group
from .optimizer import Optimizer
from .schedules import Schedule, for_each_group, trained


class OneCycleLR(Schedule):
    """Up from max_lr / div_factor to max_lr, and down to max_lr / (div_factor · final_div_factor) at the last
    of total_steps steps (Smith & Topin 2018), with PyTorch's meaning.

    >>> sgd = tg.optim.SGD([tg.zeros(2).requires_grad_()], momentum=0.9)
    >>> schedule = tg.optim.OneCycleLR(sgd, max_lr=1.0, total_steps=5, pct_start=0.6, div_factor=10.0)
    >>> rates = [sgd.lr, *((schedule.step(), sgd.lr)[1] for _ in range(4))]
    >>> " ".join(f"{rate:.3f}" for rate in rates), sgd.momentum
    ('0.100 0.550 1.000 0.500 0.000', 0.95)

    Args:
        optimizer: whose ``lr`` is set; what it is before does not count.
        max_lr: the highest rate, or one for each group.
        total_steps: how many steps training has, the first with the first rate. The call of ``step`` after
            the last one stays at the last rate; a further one is an error.
        pct_start: the share of the steps that the rise takes.
        anneal_strategy: "cos" or "linear", the way from one rate to the next.
        cycle_momentum: also lead the momentum, of SGD and RMSProp, or the first of the betas, of Adam and
            AdamW, from max_momentum down to base_momentum and back, whatever it was before, 0 too.
        base_momentum: the least momentum.
        max_momentum: the first and the last momentum.
        div_factor: max_lr by the first rate.
        final_div_factor: the first rate by the last.
        three_phase: down to the first rate as long as it went up, and then to the last.

    Raises:
        ArgumentError: also where the momentum shall be cycled and the optimiser has none.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        name = "OneCycleLR"
        options = trained(name, optimizer)._options
        rates = for_each_group(f"{name}: max_lr", max_lr, optimizer)
        self.total_steps: int = arguments.size(f"{name}: total_steps", total_steps, 1)
        self.pct_start: float = arguments.probability(f"{name}: pct_start", pct_start)
        self.anneal_strategy: str = arguments.choice(
            f"{name}: anneal_strategy", anneal_strategy, ("cos", "linear")
        )
        self.cycle_momentum: bool = arguments.flag(f"{name}: cycle_momentum", cycle_momentum)
        self.base_momentum: float = arguments.decay(f"{name}: base_momentum", base_momentum)
        self.max_momentum: float = arguments.decay(f"{name}: max_momentum", max_momentum)
        self.div_factor: float = arguments.positive(f"{name}: div_factor", div_factor)
        self.final_div_factor: float = arguments.positive(f"{name}: final_div_factor", final_div_factor)
        self.three_phase: bool = arguments.flag(f"{name}: three_phase", three_phase)
        if self.cycle_momentum and not options.keys() & {"momentum", "betas"}:
            raise ArgumentError(
                f"{name}: {type(optimizer).__name__} has no momentum to cycle: pass cycle_momentum=False"
            )
        super().__init__(optimizer, rates)

    def factor(self, n: int) -> float:
        first = 1 / self.div_factor
        return self._between(n, [first, 1.0, first, first / self.final_div_factor])

    def _beside(self, group: Group, n: int) -> dict[str, Any]:
        if not self.cycle_momentum:
            return {}
        most = self.max_momentum
        momentum = self._between(n, [most, self.base_momentum, most, most])
        if "betas" in group.options():
            return {"betas": (momentum, group.betas[1])}
        return {"momentum": momentum}

    def _between(self, n: int, values: list[float]) -> float:
        """Where n steps lead on the way through values: the first, the highest, the first again and the last;
        the third is passed by if there are two phases."""
        if arguments.whole("factor: n", n, 0) > self.total_steps:
            raise ArgumentError(
                f"OneCycleLR: factor: n is {arguments.shown(n)}, and total_steps are {self.total_steps}"
            )
        rise = self.pct_start * self.total_steps
        ends = [rise - 1, 2 * rise - 2, self.total_steps - 1]
        if not self.three_phase:
            ends, values = [ends[0], ends[2]], [*values[:2], values[3]]
        phase = next((i for i, end in enumerate(ends[:-1]) if n <= end), len(ends) - 1)
        begin, end = ends[phase - 1] if phase else 0.0, ends[phase]
        share = min((n - begin) / (end - begin), 1.0) if end > begin else 1.0
        start, stop = values[phase], values[phase + 1]
        if self.anneal_strategy == "linear":
            return start + (stop - start) * share
        return stop + (start - stop) / 2 * (1 + math.cos(math.pi * share))
