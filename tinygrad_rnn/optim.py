"""Optimisers with PyTorch's meaning, clipping, and schedules of the learning rate.

A step puts a new array in the place of a parameter's old one. Writing into the old one would be wrong wherever a tape, a state dict or a
checkpointed segment still refers to it, and would save nothing: the update has to be computed into an array of its own anyway, and that
array becomes the parameter. What only the optimiser sees, its running averages, it does change in place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from .backends import base
from .backends.formula import Loop
from .backends.native import compiler, emit
from .effects import effect
from .errors import CheckpointError, DtypeError, ShapeError
from .tape import host_array
from .tensor import Tensor


class Optimizer:
    """What the optimisers share.

    Args:
        parameters: the tensors to train; those without a residual are left as they are.
        options: the numbers of the method; each is an attribute, and may be changed between steps.

    Raises:
        ShapeError: there is nothing to train, or an option is negative.
        DtypeError: something to train is not a tensor that requires grad.
    """

    lr: float

    def __init__(self, parameters: Iterable[Tensor], **options: Any) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ShapeError(f"{type(self).__name__}: there are no parameters to train")
        for parameter in self.parameters:
            if not isinstance(parameter, Tensor) or parameter.entry is not None:
                raise DtypeError(f"{type(self).__name__}: parameters are leaf tensors, got {parameter!r}; give module.parameters()")
        for name, value in options.items():
            if any(number < 0 for number in (value if isinstance(value, tuple) else (value,))):
                raise ShapeError(f"{type(self).__name__}: {name} must not be negative, got {value}")
        self.__dict__.update(options)
        self._options = tuple(options)
        self._steps = [0] * len(self.parameters)
        ids = [id(parameter) for parameter in self.parameters]
        self._turns = [ids[:i].count(ids[i]) for i in range(len(ids))]
        """For each parameter how often it stands before: its updates follow one another."""
        self._buffers: list[dict[str, Any]] = [{} for _ in self.parameters]

    @effect("changes parameters")
    def step(self) -> None:
        """Change every parameter that has a residual."""
        groups: dict[Any, list[int]] = {}
        for i, parameter in enumerate(self.parameters):
            if parameter._grad is not None:
                self._steps[i] += 1
                key = (self._turns[i], parameter._backend, self._steps[i], parameter._data.dtype, tuple(self._buffers[i]))
                groups.setdefault(key, []).append(i)
        for (_turn, backend, n, dtype, names), members in groups.items():
            numbers, rows = self._numbers(n), [self._arrays(i) for i in members]
            loop = self._loop(backend, n, dtype, names, len(numbers), rows)
            if loop is None:
                new = [self._updated(backend, p, g, self._buffers[i], numbers) for i, (p, g, *_) in zip(members, rows, strict=True)]
            else:
                new = loop.run(rows, numbers)
            for i, array in zip(members, new, strict=True):
                # a 0-d result is a number in NumPy, and a learning rate that is a NumPy number would widen float32
                self.parameters[i]._data = backend.asarray(array, dtype=dtype)

    def _arrays(self, i: int) -> list[Any]:
        """A parameter, its residual and its buffers."""
        parameter = self.parameters[i]
        return [parameter._data, parameter._grad._data, *self._buffers[i].values()]

    def _loop(self, backend: Any, n: int, dtype: Any, names: tuple[str, ...], numbers: int, rows: list[list[Any]]) -> Loop | None:
        """The update in machine code; None where it is not worth it, or buffers are still to be made."""
        if n == 1 or backend.name != "numpy" or sum(row[0].size for row in rows) < _MANY or not compiler.available():
            return None
        if dtype not in emit.FLOATS or not all(x.flags.c_contiguous and x.dtype == dtype for row in rows for x in row):
            return None
        chosen = tuple([bool(getattr(self, name)) for name in self._options])
        key = type(self), chosen, names, dtype
        if key not in _loops:

            def formula(np: Any, arrays: Any, given: Any) -> Any:
                p, g, *buffers = arrays
                return self._updated(np, p, g, dict(zip(names, buffers, strict=True)), given)

            try:
                _loops[key] = Loop(formula, len(rows[0]), numbers, dtype)
            except base.Unsupported:  # a buffer is missing: the state dict had none
                _loops[key] = None
        return _loops[key]

    def _numbers(self, n: int) -> tuple[float, ...]:
        """What the update takes at the n-th step."""
        raise NotImplementedError

    def _updated(self, np: Any, p: Any, g: Any, buffers: dict[str, Any], numbers: Any) -> Any:
        """The new value, an array of its own, of a parameter p with the residual g; buffers are changed in place.

        Options only choose what is computed; what goes into it is among the numbers.
        """
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget the residuals."""
        for parameter in self.parameters:
            parameter._grad = None

    def state_dict(self) -> dict[str, Any]:
        """``options``, ``steps`` of each parameter, and ``buffers``: copies of the running averages, under "number of parameter.name"."""
        buffers = {
            f"{i}.{name}": Tensor(array.copy(), self.parameters[i]._backend)
            for i, held in enumerate(self._buffers)
            for name, array in held.items()
        }
        return {"options": {name: getattr(self, name) for name in self._options}, "steps": list(self._steps), "buffers": buffers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another optimiser of the same kind stood; all of it or, if anything does not fit, nothing.

        Raises:
            CheckpointError: the state is another kind's, or its buffers do not fit the parameters.
        """
        name = type(self).__name__
        if {"options", "steps", "buffers"} != set(state) or set(self._options) != set(state["options"]):
            raise CheckpointError(f"{name}: the state dict is not one of this optimiser")
        if len(state["steps"]) != len(self.parameters):
            raise CheckpointError(f"{name}: the state dict is of {len(state['steps'])} parameters, there are {len(self.parameters)}")
        buffers: list[dict[str, Any]] = [{} for _ in self.parameters]
        for key, value in state["buffers"].items():
            number, _, part = key.partition(".")
            if not number.isdigit() or int(number) >= len(buffers):
                raise CheckpointError(f"{name}: the buffer {key!r} belongs to no parameter")
            parameter, array = self.parameters[int(number)], host_array(value)
            if array.shape != parameter.shape:
                raise CheckpointError(f"{name}: the buffer {key!r} has shape {array.shape}, its parameter {parameter.shape}")
            buffers[int(number)][part] = parameter._backend.from_host(array.astype(parameter.dtype))
        self.__dict__.update({key: tuple(v) if isinstance(v, list) else v for key, v in state["options"].items()})
        self._steps, self._buffers = [int(n) for n in state["steps"]], buffers


_MANY = 1 << 13
"""Elements from which an update in machine code pays."""

_loops: dict[Any, Loop | None] = {}
"""Updates in machine code, by what decides over their form."""


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
        if nesterov and (momentum == 0 or dampening != 0):
            raise ShapeError("SGD: Nesterov's momentum needs a momentum and no dampening")
        super().__init__(parameters, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov)

    momentum: float
    dampening: float
    weight_decay: float
    nesterov: bool

    def _numbers(self, n: int) -> tuple[float, ...]:
        return self.lr, self.momentum, self.dampening, self.weight_decay

    def _updated(self, np: Any, p: Any, g: Any, buffers: dict[str, Any], numbers: Any) -> Any:
        rate, momentum, dampening, decay = numbers
        if self.weight_decay:
            g = g + p * decay
        if self.momentum:
            if "velocity" in buffers:
                velocity = buffers["velocity"]
                velocity *= momentum
                velocity += g * (1 - dampening)
            else:
                velocity = buffers["velocity"] = np.asarray(g).copy()  # not dampened, as in PyTorch
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
        if max(betas) >= 1:
            raise ShapeError(f"{type(self).__name__}: betas must be below 1, got {betas}")
        super().__init__(parameters, lr=lr, betas=tuple(betas), eps=eps, weight_decay=weight_decay, amsgrad=amsgrad)

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


# -- clipping -------------------------------------------------------------------------------------------------------------------------


def _with_residuals(parameters: Iterable[Tensor]) -> list[Tensor]:
    return [parameter for parameter in parameters if parameter._grad is not None]


def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scale all residuals together so that their joint Euclidean norm is at most max_norm (Pascanu, Mikolov & Bengio 2013).

    Returns:
        The norm before. If it is not finite the residuals are left as they are: whoever called decides.
    """
    clipped = _with_residuals(parameters)
    if not clipped:
        return 0.0
    backend = clipped[0]._backend
    with backend.quiet():
        squares = [backend.sum(p._grad._data * p._grad._data) for p in clipped]
        norm = math.sqrt(float(sum(squares[1:], squares[0])))  # one wait for a device, not one for each parameter
    scale = max_norm / (norm + 1e-6)  # as in PyTorch
    if math.isfinite(norm) and scale < 1:
        for p in clipped:
            _replace_grad(p, p._grad._data * scale)
    return norm


def clip_grad_value(parameters: Iterable[Tensor], clip_value: float) -> None:
    """Hold every element of the residuals between ∓ clip_value."""
    for p in _with_residuals(parameters):
        _replace_grad(p, p._backend.clip(p._grad._data, -clip_value, clip_value))


def _replace_grad(parameter: Tensor, residual: Any) -> None:
    parameter._grad = Tensor(parameter._backend.asarray(residual), parameter._backend)


# -- schedules ------------------------------------------------------------------------------------------------------------------------


class Schedule:
    """Sets an optimiser's learning rate to its first one times ``factor(n)``, where n counts the calls of ``step``."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer, self.base_lr, self.count = optimizer, optimizer.lr, 0
        self._set()

    def factor(self, n: int) -> float:
        """What the first learning rate is multiplied by after n steps."""
        raise NotImplementedError

    def step(self) -> None:
        """Go on by one: after each step, or each epoch, of training."""
        self.count += 1
        self._set()

    def _set(self) -> None:
        self.optimizer.lr = self.base_lr * self.factor(self.count)

    def state_dict(self) -> dict[str, Any]:
        return {"base_lr": self.base_lr, "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another schedule of the same kind stood.

        Raises:
            CheckpointError: the state is not a schedule's.
        """
        if set(state) != {"base_lr", "count"}:
            raise CheckpointError(f"{type(self).__name__}: the state dict is not one of a schedule")
        self.base_lr, self.count = float(state["base_lr"]), int(state["count"])
        self._set()


class StepLR(Schedule):
    """Times gamma after every step_size steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def factor(self, n: int) -> float:
        return self.gamma ** (n // self.step_size)


class CosineLR(Schedule):
    """Down half a cosine to ``least`` times the first rate at the given number of steps, and on there (Loshchilov & Hutter 2017)."""

    def __init__(self, optimizer: Optimizer, steps: int, least: float = 0.0) -> None:
        self.steps, self.least = steps, least
        super().__init__(optimizer)

    def factor(self, n: int) -> float:
        return self.least + (1 - self.least) * (1 + math.cos(math.pi * min(n, self.steps) / self.steps)) / 2


class WarmupLR(Schedule):
    """Up in a line, 1/steps, 2/steps, … 1; then on by another schedule's factor, or level.

    ``WarmupLR(optimizer, 100, then=CosineLR(optimizer, 900))``: only the outer one is stepped.
    """

    def __init__(self, optimizer: Optimizer, steps: int, then: Schedule | None = None) -> None:
        self.steps, self.then = steps, then
        super().__init__(optimizer)

    def factor(self, n: int) -> float:
        if n < self.steps:
            return (n + 1) / self.steps
        return self.then.factor(n - self.steps) if self.then else 1.0


__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CosineLR",
    "Optimizer",
    "RMSProp",
    "Schedule",
    "StepLR",
    "WarmupLR",
    "clip_grad_norm",
    "clip_grad_value",
]
