"""What the optimisers share: checked options, the step, the state dict.

A step puts a new array in the place of a parameter's old one. Writing into the old one would be wrong wherever a
tape, a state dict or a checkpointed segment still refers to it, and would save nothing: the update has to be computed
into an array of its own anyway, and that array becomes the parameter. What only the optimiser sees, its running
averages, it does change in place.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, ClassVar

from .. import arguments
from ..backends.formula import Loop
from ..effects import effect
from ..errors import ArgumentError, ArgumentWarning, CheckpointError, DtypeError, ShapeError
from ..tape import host_values
from ..tensor import Tensor
from .machine_code import update_loop
from .parameters import tensors_of, wide


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
        self.parameters = list(tensors_of(name, parameters))
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
            loop = None if n == 1 else self._loop(backend, dtype, names, len(numbers), rows)  # buffers are made by the first step
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
        return [wide(parameter._data), wide(parameter._grad._data), *self._buffers[i].values()]

    def _loop(self, backend: Any, dtype: Any, names: tuple[str, ...], numbers: int, rows: list[list[Any]]) -> Loop | None:
        """The update in machine code; None where it is not worth it or cannot be."""

        def formula(np: Any, arrays: Any, scalars: Any) -> Any:
            p, g, *buffers = arrays
            return self._updated(np, p, g, dict(zip(names, buffers, strict=True)), scalars)

        choices = tuple([bool(getattr(self, name)) for name in self._options])
        return update_loop(formula, (type(self), choices, names, dtype), backend, dtype, numbers, rows)

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
            arrays = {**held, **{name: parameter._backend.zeros_like(wide(parameter._data)) for name in sorted(late)}}
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
        return wide(parameter._backend.from_host(array.astype(parameter.dtype if parameter.dtype.itemsize >= 4 else "float32")))


def _plain(what: str, value: Any) -> Any:
    """A number that is not negative, a few of them, or a choice between two ways."""
    if isinstance(value, (tuple, list)):
        return tuple(arguments.rate(what, part) for part in value)
    return value if isinstance(value, bool) else arguments.rate(what, value)


def _part(name: str, state: Any, part: str) -> Mapping[str, Any]:
    """A dict inside a state dict."""
    if not isinstance(state, Mapping) or not isinstance(state.get(part), Mapping):
        raise CheckpointError(f"{name}: the state dict is not one of this optimiser: it has no {part}")
    held: Mapping[str, Any] = state[part]
    return held
