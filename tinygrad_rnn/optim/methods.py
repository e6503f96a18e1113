"""The methods, with PyTorch's meaning: how a residual changes a parameter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from .. import arguments
from ..errors import ArgumentError
from ..tensor import Tensor
from .optimizer import Optimizer


def _rates(options: str) -> dict[str, Callable[[str, Any], Any]]:
    return dict.fromkeys(options.split(), arguments.rate)


def _buffer(np: Any, buffers: dict[str, Any], name: str, like: Any) -> Any:
    """A running average, zeros at first."""
    if name not in buffers:
        buffers[name] = np.zeros_like(like)
    return buffers[name]


def _average(mean: Any, value: Any, decay: float) -> None:
    """mean ← decay · mean + (1 − decay) · value, in place."""
    mean *= decay
    mean += value * (1 - decay)


def _moved(p: Any, direction: Any, rate: float) -> Any:
    """p − rate · direction, a new array."""
    new = direction * -rate
    new += p
    return new


class SGD(Optimizer):
    """p ← p − lr · v with v ← momentum · v + (1 − dampening) · g, and g + momentum · v in place of v if Nesterov's."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(parameters, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov)

    checks: ClassVar = {**_rates("lr momentum dampening weight_decay"), "nesterov": arguments.flag}
    averages: ClassVar = {"velocity": "momentum"}
    momentum: float
    dampening: float
    weight_decay: float
    nesterov: bool

    def _fit(self, options: Mapping[str, Any]) -> None:
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ArgumentError("SGD: nesterov needs a momentum and no dampening")

    def _numbers(self, n: int) -> tuple[float, ...]:
        return self.lr, self.momentum, self.dampening if n > 1 else 0.0, self.weight_decay  # not dampened at first, as in PyTorch

    def _updated(self, np: Any, p: Any, g: Any, buffers: dict[str, Any], numbers: Any) -> Any:
        rate, momentum, dampening, decay = numbers
        if self.weight_decay:
            g = g + p * decay
        if self.momentum:
            velocity = _buffer(np, buffers, "velocity", p)
            velocity *= momentum
            velocity += g * (1 - dampening)
            g = g + velocity * momentum if self.nesterov else velocity
        return _moved(p, g, rate)


class Adam(Optimizer):
    """p ← p − lr · m̂ / (√v̂ + eps), running means m of g and v of g², each divided by 1 − βⁿ (Kingma & Ba 2015, algorithm 1).

    Args:
        weight_decay: added to g, as weight_decay · p; :class:`AdamW` takes it from p itself.
        amsgrad: √ of the largest v so far (Reddi, Kale & Kumar 2018).
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad)

    checks: ClassVar = {**_rates("lr eps weight_decay"), "betas": arguments.decays, "amsgrad": arguments.flag}
    averages: ClassVar = {"mean": None, "square": None, "largest": "amsgrad"}
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    amsgrad: bool

    def _numbers(self, n: int) -> tuple[float, ...]:
        first, second = self.betas
        return self.lr, self.weight_decay, first, second, self.eps, 1 - first**n, 1 / math.sqrt(1 - second**n)

    def _updated(self, np: Any, p: Any, g: Any, buffers: dict[str, Any], numbers: Any) -> Any:
        return self._adapted(np, p, g + p * numbers[1] if self.weight_decay else g, buffers, numbers)

    def _adapted(self, np: Any, p: Any, g: Any, buffers: dict[str, Any], numbers: Any) -> Any:
        rate, _, first, second, eps, mean_share, square_scale = numbers
        mean, square = _buffer(np, buffers, "mean", p), _buffer(np, buffers, "square", p)
        _average(mean, g, first)
        _average(square, g * g, second)
        if self.amsgrad:
            largest = _buffer(np, buffers, "largest", p)
            square = np.maximum(largest, square, out=largest)
        root = np.sqrt(square)
        root *= square_scale
        root += eps
        return _moved(p, mean / root, rate / mean_share)


class AdamW(Adam):
    """Adam with a decay that does not go through the averages: p ← (1 − lr · weight_decay) · p first (Loshchilov & Hutter 2019)."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, amsgrad)

    def _updated(self, np: Any, p: Any, g: Any, buffers: dict[str, Any], numbers: Any) -> Any:
        rate, decay, *_ = numbers
        return self._adapted(np, p * (1 - rate * decay), g, buffers, numbers)


class RMSProp(Optimizer):
    """p ← p − lr · g / (√v + eps) with a running mean v of g² (Tieleman & Hinton 2012).

    Args:
        alpha: the decay of the mean.
        momentum: of the divided residual.
        centered: the variance of g in place of v (Graves 2013).
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(parameters, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)

    checks: ClassVar = {**_rates("lr eps weight_decay momentum"), "alpha": arguments.decay, "centered": arguments.flag}
    averages: ClassVar = {"square": None, "mean": "centered", "velocity": "momentum"}
    alpha: float
    eps: float
    weight_decay: float
    momentum: float
    centered: bool

    def _numbers(self, n: int) -> tuple[float, ...]:
        return self.lr, self.alpha, self.eps, self.weight_decay, self.momentum

    def _updated(self, np: Any, p: Any, g: Any, buffers: dict[str, Any], numbers: Any) -> Any:
        rate, alpha, eps, decay, momentum = numbers
        if self.weight_decay:
            g = g + p * decay
        square = _buffer(np, buffers, "square", p)
        _average(square, g * g, alpha)
        if self.centered:
            mean = _buffer(np, buffers, "mean", p)
            _average(mean, g, alpha)
            square = square - mean * mean
        root = np.sqrt(square)
        root += eps
        if not self.momentum:
            return _moved(p, g / root, rate)
        velocity = _buffer(np, buffers, "velocity", p)
        velocity *= momentum
        velocity += g / root
        return _moved(p, velocity, rate)
