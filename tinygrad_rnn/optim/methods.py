"""The methods, with PyTorch's meaning: how a residual changes a parameter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from .. import arguments
from ..errors import ArgumentError
from .groups import Group, Parameters
from .optimizer import Check, Optimizer


def _rates(options: str) -> dict[str, Check]:
    return dict.fromkeys(options.split(), arguments.rate)


class SGD(Optimizer):
    """p ← p − lr · v with v ← momentum · v + (1 − dampening) · g, and g + momentum · v in place of v if
    Nesterov's.

    >>> w = tg.tensor(1.0, requires_grad=True)
    >>> (w * w).backward()
    >>> tg.optim.SGD([w], lr=0.25).step()
    >>> w
    tensor(0.5, dtype=float32, requires_grad=True)
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
        )

    checks: ClassVar[Mapping[str, Check]] = {
        **_rates("lr momentum dampening weight_decay"),
        "nesterov": arguments.flag,
    }
    averages: ClassVar[Mapping[str, str | None]] = {"velocity": "momentum"}
    momentum: float
    dampening: float
    weight_decay: float
    nesterov: bool

    def _fit(self, options: Mapping[str, Any]) -> None:
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ArgumentError("SGD: nesterov needs a momentum and no dampening")

    def _numbers(self, options: Group, n: int) -> tuple[float, ...]:
        share = 1 - options.dampening if n > 1 else 1.0  # not dampened at first, as in PyTorch
        return options.lr, options.momentum, share, options.weight_decay

    def _updated(
        self, options: Group, np: Any, p: Any, g: Any, averages: dict[str, Any], numbers: Any
    ) -> Any:
        rate, momentum, share, decay = numbers
        if options.weight_decay:
            g = g + p * decay
        if options.momentum:
            velocity = averages["velocity"] = averages["velocity"] * momentum + g * share
            g = g + velocity * momentum if options.nesterov else velocity
        return p - g * rate


class Adam(Optimizer):
    """p ← p − lr · m̂ / (√v̂ + eps), running means m of g and v of g², each divided by 1 − βⁿ (Kingma & Ba
    2015, algorithm 1).

    >>> w = tg.tensor(1.0, requires_grad=True)
    >>> (w * w).backward()
    >>> tg.optim.Adam([w], lr=0.5, eps=0.0).step()
    >>> print(f"{w:.3f}")
    0.500

    Args:
        weight_decay: added to g, as weight_decay · p; :class:`AdamW` takes it from p itself.
        amsgrad: √ of the largest v so far (Reddi, Kale & Kumar 2018).
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad)

    checks: ClassVar[Mapping[str, Check]] = {
        **_rates("lr eps weight_decay"),
        "betas": arguments.decays,
        "amsgrad": arguments.flag,
    }
    averages: ClassVar[Mapping[str, str | None]] = {"mean": None, "square": None, "largest": "amsgrad"}
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    amsgrad: bool

    def _numbers(self, options: Group, n: int) -> tuple[float, ...]:
        first, second = options.betas
        rate, scale = options.lr / (1 - first**n), 1 / math.sqrt(1 - second**n)
        return self._decay(options), rate, scale, options.eps, first, 1 - first, second, 1 - second

    def _decay(self, options: Group) -> float:
        return options.weight_decay

    def _updated(
        self, options: Group, np: Any, p: Any, g: Any, averages: dict[str, Any], numbers: Any
    ) -> Any:
        return self._adapted(
            options, np, p, g + p * numbers[0] if options.weight_decay else g, averages, numbers
        )

    def _adapted(
        self, options: Group, np: Any, p: Any, g: Any, averages: dict[str, Any], numbers: Any
    ) -> Any:
        _, rate, scale, eps, first, first_share, second, second_share = numbers
        mean = averages["mean"] = averages["mean"] * first + g * first_share
        square = averages["square"] = averages["square"] * second + g * g * second_share
        if options.amsgrad:
            square = averages["largest"] = np.maximum(averages["largest"], square)
        return p - mean * np.reciprocal(np.sqrt(square) * scale + eps) * rate


class AdamW(Adam):
    """Adam with a decay that does not go through the averages: p ← (1 − lr · weight_decay) · p first
    (Loshchilov & Hutter 2019).

    >>> w = tg.tensor(1.0, requires_grad=True)
    >>> (w * w).backward()
    >>> tg.optim.AdamW([w], lr=0.5, eps=0.0, weight_decay=0.5).step()
    >>> print(f"{w:.3f}")
    0.250
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, amsgrad)

    def _decay(self, options: Group) -> float:
        return 1 - options.lr * options.weight_decay

    def _updated(
        self, options: Group, np: Any, p: Any, g: Any, averages: dict[str, Any], numbers: Any
    ) -> Any:
        return self._adapted(options, np, p * numbers[0], g, averages, numbers)


class Adagrad(Optimizer):
    """p ← p − lr / (1 + (n − 1) · lr_decay) · g / (√s + eps) at the n-th step, with the sum s of g² so far
    (Duchi, Hazan & Singer 2011).

    >>> w = tg.tensor(1.0, requires_grad=True)
    >>> (w * w).backward()
    >>> tg.optim.Adagrad([w], lr=0.5).step()
    >>> print(f"{w:.3f}")
    0.500

    Args:
        lr_decay: how the rate falls with the steps.
        weight_decay: added to g, as weight_decay · p.
        initial_accumulator_value: what s begins with.
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )

    checks: ClassVar[Mapping[str, Check]] = _rates("lr lr_decay weight_decay initial_accumulator_value eps")
    averages: ClassVar[Mapping[str, str | None]] = {"sum": None}
    lr_decay: float
    weight_decay: float
    initial_accumulator_value: float
    eps: float

    def _numbers(self, options: Group, n: int) -> tuple[float, ...]:
        # buffers begin with zeros: what the sum begins with comes with its first term
        start = options.initial_accumulator_value if n == 1 else 0.0
        return options.lr / (1 + (n - 1) * options.lr_decay), start, options.eps, options.weight_decay

    def _updated(
        self, options: Group, np: Any, p: Any, g: Any, averages: dict[str, Any], numbers: Any
    ) -> Any:
        rate, start, eps, decay = numbers
        if options.weight_decay:
            g = g + p * decay
        total = averages["sum"] = averages["sum"] + start + g * g
        return p - g * np.reciprocal(np.sqrt(total) + eps) * rate


class RMSProp(Optimizer):
    """p ← p − lr · g / (√v + eps) with a running mean v of g² (Tieleman & Hinton 2012).

    >>> w = tg.tensor(1.0, requires_grad=True)
    >>> (w * w).backward()
    >>> tg.optim.RMSProp([w], lr=0.5, alpha=0.75, eps=0.0).step()
    >>> print(f"{w:.3f}")
    0.000

    Args:
        alpha: the decay of the mean.
        momentum: of the divided residual.
        centered: the variance of g in place of v (Graves 2013).
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            parameters,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
        )

    checks: ClassVar[Mapping[str, Check]] = {
        **_rates("lr eps weight_decay momentum"),
        "alpha": arguments.decay,
        "centered": arguments.flag,
    }
    averages: ClassVar[Mapping[str, str | None]] = {
        "square": None,
        "mean": "centered",
        "velocity": "momentum",
    }
    alpha: float
    eps: float
    weight_decay: float
    momentum: float
    centered: bool

    def _numbers(self, options: Group, n: int) -> tuple[float, ...]:
        return (
            options.lr,
            options.alpha,
            1 - options.alpha,
            options.eps,
            options.weight_decay,
            options.momentum,
        )

    def _updated(
        self, options: Group, np: Any, p: Any, g: Any, averages: dict[str, Any], numbers: Any
    ) -> Any:
        rate, alpha, share, eps, decay, momentum = numbers
        if options.weight_decay:
            g = g + p * decay
        square = averages["square"] = averages["square"] * alpha + g * g * share
        if options.centered:
            mean = averages["mean"] = averages["mean"] * alpha + g * share
            square = square - mean * mean
        direction = g * np.reciprocal(np.sqrt(square) + eps)
        if options.momentum:
            direction = averages["velocity"] = averages["velocity"] * momentum + direction
        return p - direction * rate
