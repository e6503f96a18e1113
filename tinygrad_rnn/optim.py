"""Optimisers with PyTorch's meaning, and clipping; schedules of the learning rate are next door.

A step puts a new array in the place of a parameter's old one. Writing into the old one would be wrong wherever a tape, a state dict or a
checkpointed segment still refers to it, and would save nothing: the update has to be computed into an array of its own anyway, and that
array becomes the parameter. What only the optimiser sees, its running averages, it does change in place.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, ClassVar

from . import arguments, chain_rule
from .backends import base
from .backends.formula import Loop
from .backends.native import compiler, emit
from .caches import Recent, recent
from .effects import effect
from .errors import ArgumentError, ArgumentWarning, BackendError, CheckpointError, DtypeError, ShapeError
from .schedules import CosineLR, Schedule, StepLR, WarmupLR
from .tape import host_values
from .tensor import Tensor


def _tensors(name: str, parameters: Any) -> list[Tensor]:
    """The tensors that an optimiser or a clipping is for.

    Raises:
        ArgumentError: they are none; says what to write for a module and for a single tensor.
    """
    what = f"{name}: parameters"
    if isinstance(parameters, Tensor):
        raise ArgumentError(f"{what} is a single tensor: write [tensor]")
    if hasattr(parameters, "parameters"):
        raise ArgumentError(f"{what} must be tensors, not a module, {type(parameters).__name__}: write its .parameters()")
    expected = "a list of tensors, such as module.parameters()"
    tensors = parameters if type(parameters) is list else list(arguments.several(what, parameters, expected))
    for i, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise arguments.refused(f"{what}[{i}]", "a tensor, as in module.parameters()", tensor)
    return tensors


class Optimizer:
    """What the optimisers share.

    Args:
        parameters: the tensors to train; those without a residual are left as they are.
        options: the numbers of the method; each is an attribute, and may be changed between steps.

    Numbers narrower than float32 are widened for the update and rounded after it: the usual eps is 0 in float16, and squares of small
    residuals are, too. Running averages are then kept in float32.

    Raises:
        ArgumentError: there is nothing to train, something is not a leaf tensor, or an option has a value that it cannot have.

    Warns:
        ArgumentWarning: a parameter stands there twice; it is then stepped twice.
    """

    lr: float
    checks: ClassVar[Mapping[str, Callable[[str, Any], Any]]] = {}
    """What each option must be, in the terms of ``arguments``; one that is not named here is a number that is not negative."""
    averages: ClassVar[Mapping[str, str | None] | None] = None
    """What the method keeps of each parameter, zeros at first: by name the option that asks for it, None where each step does; None in all
    where the method does not say, and a state dict's are not looked at."""

    _options: tuple[str, ...] = ()

    def __init__(self, parameters: Iterable[Tensor], **options: Any) -> None:
        name = type(self).__name__
        self.parameters = list(_tensors(name, parameters))
        if not self.parameters:
            raise ArgumentError(f"{name}: there are no parameters to train")
        for parameter in self.parameters:
            if parameter.entry is not None:
                raise ArgumentError(f"{name}: parameters must be leaf tensors, not results of an operation such as {parameter!r}")
        self._options = tuple(options)
        self._set(options)
        self._steps = [0] * len(self.parameters)
        ids = [id(parameter) for parameter in self.parameters]
        self._turns = [ids[:i].count(ids[i]) for i in range(len(ids))]
        """For each parameter how often it stands before: its updates follow one another."""
        if any(self._turns):
            warnings.warn(f"{name}: a parameter stands twice among the parameters: it is stepped twice", ArgumentWarning, stacklevel=3)
        self._buffers: list[dict[str, Any]] = [{} for _ in self.parameters]

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._options:
            self._set({name: value})
        else:
            super().__setattr__(name, value)

    def _set(self, options: Mapping[str, Any]) -> None:
        """Change options, all of them or, if one does not fit, none."""
        vars(self).update(self._checked(options))

    def _checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options as the method goes on with them.

        Raises:
            ArgumentError: one has a value that it cannot have, or not beside the others.
        """
        name = type(self).__name__
        checked = {option: self.checks.get(option, _plain)(f"{name}: {option}", value) for option, value in options.items()}
        self._fit({**vars(self), **checked})
        return checked

    def _fit(self, options: Mapping[str, Any]) -> None:
        """Check options beside each other."""

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
        return [_wide(parameter._data), _wide(parameter._grad._data), *self._buffers[i].values()]

    def _loop(self, backend: Any, n: int, dtype: Any, names: tuple[str, ...], numbers: int, rows: list[list[Any]]) -> Loop | None:
        """The update in machine code; None where it is not worth it, or buffers are still to be made."""
        if n == 1 or backend.name != "numpy" or sum(row[0].size for row in rows) < _MANY or not compiler.available():
            return None
        if dtype not in emit.FLOATS or not all(x.flags.c_contiguous and x.dtype == dtype for row in rows for x in row):
            return None
        chosen = tuple([bool(getattr(self, name)) for name in self._options])
        key = type(self), chosen, names, dtype
        loop = _loops.get(key)
        if loop is None:

            def formula(np: Any, arrays: Any, given: Any) -> Any:
                p, g, *buffers = arrays
                return self._updated(np, p, g, dict(zip(names, buffers, strict=True)), given)

            try:
                loop = Loop(formula, len(rows[0]), numbers, dtype, _LOWERINGS)
            except base.Unsupported as reason:  # a buffer is missing: the state dict had none
                loop = str(reason)
            _loops.put(key, loop)
        return None if isinstance(loop, str) else loop

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
        buffers = {}
        for i, (parameter, held) in enumerate(zip(self.parameters, self._buffers, strict=True)):
            late = self._needed(i, self._steps, vars(self)) - held.keys()  # an option asks for them since the last step
            arrays = {**held, **{name: parameter._backend.zeros_like(_wide(parameter._data)) for name in sorted(late)}}
            buffers.update({f"{i}.{name}": Tensor(array.copy(), parameter._backend) for name, array in arrays.items()})
        return {"options": {name: getattr(self, name) for name in self._options}, "steps": list(self._steps), "buffers": buffers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another optimiser of the same kind stood; all of it or, if anything does not fit, nothing.

        Raises:
            CheckpointError: the state is another kind's, or its buffers are not those that its steps have left, of the parameters' shapes.
        """
        name = type(self).__name__
        options, arrays = dict(_part(name, state, "options")), _part(name, state, "buffers")
        if set(state) != {"options", "steps", "buffers"} or set(self._options) != set(options):
            raise CheckpointError(f"{name}: the state dict is not one of this optimiser")
        try:
            options = self._checked(options)
            steps = [arguments.size("a number of steps", n) for n in arguments.several("steps", state["steps"])]
        except ArgumentError as error:
            raise CheckpointError(f"{name}: the state dict is not one of this optimiser: {error}") from error
        if len(steps) != len(self.parameters):
            raise CheckpointError(f"{name}: the state dict is of {len(steps)} parameters, there are {len(self.parameters)}")
        buffers: list[dict[str, Any]] = [{} for _ in self.parameters]
        numbers = {str(i): i for i in range(len(buffers))}
        for key, value in arrays.items():
            number, _, part = str(key).partition(".")
            if number not in numbers:
                raise CheckpointError(f"{name}: the buffer {key!r} belongs to no parameter")
            buffers[numbers[number]][part] = self._buffer_of(numbers[number], key, value)
        for i, held in enumerate(buffers):
            self._check_names(i, held.keys(), steps, options)
        vars(self).update(options, _steps=steps, _buffers=buffers)

    def _needed(self, i: int, steps: Sequence[int], options: Mapping[str, Any]) -> Set[str]:
        """The averages that steps leave of a parameter."""
        averages = self.averages if self.averages and steps[i] else {}
        return {name for name, option in averages.items() if option is None or options[option]}

    def _check_names(self, i: int, names: Set[str], steps: Sequence[int], options: Mapping[str, Any]) -> None:
        """Whether a state dict has the averages that its steps have left; those of options that are off now may be there too."""
        if self.averages is None:
            return
        needed, known = self._needed(i, steps, options), self.averages.keys() if steps[i] else set()
        if not needed <= names <= known:
            wrong = ", ".join(f"{i}.{name}" for name in sorted(needed - names or names - known))
            said = f"lacks the buffers {wrong}" if needed - names else f"has the buffers {wrong}, which the method does not keep"
            raise CheckpointError(f"{type(self).__name__}: the state dict {said} after {steps[i]} steps")

    def _buffer_of(self, i: int, key: str, value: Any) -> Any:
        """A buffer of a state dict where and as the step wants it."""
        name, parameter = type(self).__name__, self.parameters[i]
        try:
            array = host_values(value)
        except (DtypeError, ShapeError) as error:
            raise CheckpointError(f"{name}: the buffer {key!r} holds no numbers: {error}") from error
        if array.shape != parameter.shape:
            raise CheckpointError(f"{name}: the buffer {key!r} has shape {array.shape}, its parameter {parameter.shape}")
        return _wide(parameter._backend.from_host(array.astype(parameter.dtype if parameter.dtype.itemsize >= 4 else "float32")))


_MANY = 1 << 13
"""Elements from which an update in machine code pays."""

_LOWERINGS = {name: row.lowering for name, row in chain_rule.rows.items()}

_loops: Recent[Any, Loop | str] = recent(64)
"""Updates in machine code, by what decides over their form, or why there is none."""


def _plain(what: str, value: Any) -> Any:
    """A number that is not negative, a few of them, or a choice between two ways."""
    if isinstance(value, (tuple, list)):
        return tuple(arguments.rate(what, part) for part in value)
    return value if isinstance(value, bool) else arguments.rate(what, value)


def _rates(options: str) -> dict[str, Callable[[str, Any], Any]]:
    return dict.fromkeys(options.split(), arguments.rate)


def _part(name: str, state: Any, part: str) -> Mapping[str, Any]:
    """A dict inside a state dict."""
    if not isinstance(state, Mapping) or not isinstance(state.get(part), Mapping):
        raise CheckpointError(f"{name}: the state dict is not one of this optimiser: it has no {part}")
    held: Mapping[str, Any] = state[part]
    return held


def _wide(array: Any) -> Any:
    """An array of float32 at least."""
    return array if array.dtype.itemsize >= 4 else array.astype("float32")


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


# -- clipping -------------------------------------------------------------------------------------------------------------------------


def _with_residuals(name: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """Those of the tensors that have a residual, each once."""
    tensors = [parameters] if isinstance(parameters, Tensor) else _tensors(name, parameters)
    return [tensor for tensor in {id(tensor): tensor for tensor in tensors}.values() if tensor._grad is not None]


def clip_grad_norm(parameters: Tensor | Iterable[Tensor], max_norm: float) -> float:
    """Scale all residuals together so that their joint Euclidean norm is at most max_norm (Pascanu, Mikolov & Bengio 2013).

    Args:
        parameters: tensors, or a single one.
        max_norm: 0 or more; at infinity nothing is clipped.

    Returns:
        The norm before. If it is not finite the residuals are left as they are: whoever called decides.

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
        raise BackendError("clip_grad_norm: the residuals of parameters lie on different backends: clip those of each by themselves")
    residuals = [_wide(p._grad._data) for p in clipped]
    with backend.quiet():
        squares = [backend.sum(g * g) for g in residuals]
        norm = math.sqrt(float(sum(squares[1:], squares[0])))  # one wait for a device, not one for each parameter
    scale = max_norm / (norm + 1e-6)  # as in PyTorch
    if math.isfinite(norm) and scale < 1:
        for p, g in zip(clipped, residuals, strict=True):
            _replace_grad(p, g * scale)
    return norm


def clip_grad_value(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Hold every element of the residuals between ∓ clip_value.

    Raises:
        ArgumentError: parameters are no tensors, or clip_value is negative or NaN.
    """
    clip_value = arguments.bound("clip_grad_value: clip_value", clip_value)
    for p in _with_residuals("clip_grad_value", parameters):
        _replace_grad(p, p._backend.clip(p._grad._data, -clip_value, clip_value))


def _replace_grad(parameter: Tensor, residual: Any) -> None:
    parameter._grad = Tensor(parameter._backend.asarray(residual, dtype=parameter._grad._data.dtype), parameter._backend)


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
