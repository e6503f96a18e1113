"""What the optimisers share: checked options, the step, the state dict.

A step puts a new array in the place of a parameter's old one. Writing into the old one would be wrong
wherever a tape, a state dict or a checkpointed segment still refers to it, and would save nothing: the update
has to be computed into an array of its own anyway, and that array becomes the parameter. What only the
optimiser sees, its running averages, it does change in place.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, ClassVar, TypeAlias

from .. import arguments
from ..backends import Backend
from ..effects import effect
from ..errors import ArgumentError, ArgumentWarning, CheckpointError, DtypeError, ShapeError
from ..tape import host_values
from ..tensor import Tensor
from .machine_code import pays, update_loop
from .parameters import tensors_of, wide

Check: TypeAlias = Callable[[str, Any], Any]
"""Of an option: from what to call it and its value to the value that the method goes on with."""


class Optimizer:
    """What the optimisers share.

    >>> optimizer = tg.optim.SGD(tg.nn.Linear(2, 3).parameters(), lr=0.5)
    >>> optimizer.lr = 0.25
    >>> isinstance(optimizer, tg.optim.Optimizer)
    True

    Args:
        parameters: the tensors to train; those without a residual are left as they are.
        options: the numbers of the method; each is an attribute, and may be changed between steps.

    Numbers narrower than float32 are widened for the update and rounded after it: the usual eps is 0 in
    float16, and squares of small residuals are, too. Running averages are then kept in float32.

    Raises:
        ArgumentError: there is nothing to train, something is not a leaf tensor, or an option has a value
            that it cannot have.

    Warns:
        ArgumentWarning: a parameter stands there twice; it is then stepped twice.
    """

    lr: float
    checks: ClassVar[Mapping[str, Check]] = {}
    """What each option must be, in the terms of ``arguments``; one that is not named here is a number that is
    not negative."""
    averages: ClassVar[Mapping[str, str | None]] = {}
    """What the method keeps of each parameter, zeros at first, with the option that asks for it; None where
    each step does."""

    _options: tuple[str, ...] = ()

    def __init__(self, parameters: Iterable[Tensor], **options: Any) -> None:
        name = type(self).__name__
        self.parameters: list[Tensor] = list(tensors_of(name, parameters))
        if not self.parameters:
            raise ArgumentError(f"{name}: there are no parameters to train")
        for parameter in self.parameters:
            if parameter.entry is not None:
                raise ArgumentError(
                    f"{name}: parameters must be leaf tensors, not results of an operation such as "
                    f"{parameter!r}"
                )
        self._options = tuple(options)
        self._set(options)
        self._steps = [0] * len(self.parameters)
        ids = [id(parameter) for parameter in self.parameters]
        self._turns = [ids[:i].count(ids[i]) for i in range(len(ids))]
        """For each parameter how often it stands before: its updates follow one another."""
        if any(self._turns):
            warnings.warn(
                f"{name}: a parameter stands twice among the parameters: it is stepped twice",
                ArgumentWarning,
                stacklevel=3,
            )
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
        checked = {
            option: self.checks.get(option, _plain)(f"{name}: {option}", value)
            for option, value in options.items()
        }
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
                groups.setdefault(
                    (self._turns[i], parameter._backend, self._steps[i], parameter._data.dtype), []
                ).append(i)
        names = [name for name, option in self.averages.items() if option is None or getattr(self, option)]
        for (_turn, backend, n, dtype), members in groups.items():
            self._step(members, names, self._numbers(n), backend, dtype)

    def _step(
        self,
        members: Sequence[int],
        names: Sequence[str],
        numbers: Sequence[float],
        backend: Backend,
        dtype: Any,
    ) -> None:
        """Change parameters that have come as far as each other, of one dtype."""

        def formula(np: Any, arrays: Sequence[Any], scalars: Sequence[Any]) -> list[Any]:
            p, g, *held = arrays
            averages = dict(zip(names, held, strict=True))
            return [self._updated(np, p, g, averages, scalars), *averages.values()]

        sets = [self._arrays(i, names) for i in members]
        loop = None
        if pays(backend, dtype, sets):
            key = type(self), tuple([self._choice(name) for name in self._options]), dtype
            loop = update_loop(formula, key, backend, dtype, len(sets[0]), len(numbers))
        if loop is not None:
            for i, new in zip(members, loop.run(sets, numbers), strict=True):
                self.parameters[i]._data = new
            return
        for i, arrays in zip(members, sets, strict=True):
            new, *held = formula(backend, arrays, numbers)
            for name, array in zip(names, held, strict=True):
                # NumPy makes a number of a result without axes
                self._buffers[i][name] = backend.asarray(array)
            self.parameters[i]._data = backend.asarray(new, dtype=dtype)

    def _choice(self, name: str) -> Any:
        """What an option decides over the form of the update: rates whether they are 0; any other one by all
        that it is."""
        value, rate = getattr(self, name), name == "lr" or self.checks.get(name) in _RATES
        return (
            repr(value) if not rate else tuple(map(bool, value)) if isinstance(value, tuple) else bool(value)
        )

    def _arrays(self, i: int, names: Sequence[str]) -> list[Any]:
        """A parameter, its residual and its averages."""
        parameter, held = self.parameters[i], self._buffers[i]
        p = wide(parameter._data)
        for name in names:
            if name not in held:
                held[name] = parameter._backend.zeros_like(p)
        return [p, wide(parameter._grad._data), *(held[name] for name in names)]

    def _numbers(self, n: int) -> tuple[float, ...]:
        """What the update takes at the n-th step."""
        raise NotImplementedError

    def _updated(self, np: Any, p: Any, g: Any, averages: dict[str, Any], numbers: Any) -> Any:
        """The new value of a parameter p with the residual g; new averages are put in the place of the old
        ones. ``np`` has the functions.

        Options only choose what is computed, those that ``checks`` calls rates or decays only by being 0 or
        not; what goes into it is among the numbers.
        """
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget the residuals."""
        for parameter in self.parameters:
            parameter._grad = None

    def state_dict(self) -> dict[str, Any]:
        """``options``, ``steps`` of each parameter, and ``buffers``: copies of the running averages, under
        "number of parameter.name"."""
        buffers = {}
        for i, (parameter, held) in enumerate(zip(self.parameters, self._buffers, strict=True)):
            # an option asks for them since the last step
            late = self._needed(i, self._steps, vars(self)) - held.keys()
            arrays = {
                **held,
                **{name: parameter._backend.zeros_like(wide(parameter._data)) for name in sorted(late)},
            }
            buffers.update(
                {f"{i}.{name}": Tensor(array.copy(), parameter._backend) for name, array in arrays.items()}
            )
        return {
            "options": {name: getattr(self, name) for name in self._options},
            "steps": list(self._steps),
            "buffers": buffers,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another optimiser of the same kind stood; all of it or, if anything does not fit,
        nothing.

        Raises:
            CheckpointError: the state is another kind's, or its buffers are not those that its steps have
                left, of the parameters' shapes.
        """
        name = type(self).__name__
        options, arrays = dict(_part(name, state, "options")), _part(name, state, "buffers")
        if set(state) != {"options", "steps", "buffers"} or set(self._options) != set(options):
            raise CheckpointError(f"{name}: the state dict is not one of this optimiser")
        try:
            options = self._checked(options)
            steps = [
                arguments.size("a number of steps", n) for n in arguments.several("steps", state["steps"])
            ]
        except ArgumentError as error:
            raise CheckpointError(f"{name}: the state dict is not one of this optimiser: {error}") from error
        if len(steps) != len(self.parameters):
            raise CheckpointError(
                f"{name}: the state dict is of {len(steps)} parameters, there are {len(self.parameters)}"
            )
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
        averages = self.averages if steps[i] else {}
        return {name for name, option in averages.items() if option is None or options[option]}

    def _check_names(self, i: int, names: Set[str], steps: Sequence[int], options: Mapping[str, Any]) -> None:
        """Whether a state dict has the averages that its steps have left; those of options that are off now
        may be there too."""
        needed, known = self._needed(i, steps, options), self.averages.keys() if steps[i] else set()
        if not needed <= names <= known:
            wrong = ", ".join(f"{i}.{name}" for name in sorted(needed - names or names - known))
            said = (
                f"lacks the buffers {wrong}"
                if needed - names
                else f"has the buffers {wrong}, which the method does not keep"
            )
            raise CheckpointError(f"{type(self).__name__}: the state dict {said} after {steps[i]} steps")

    def _buffer_of(self, i: int, key: str, value: Any) -> Any:
        """A buffer of a state dict where and as the step wants it."""
        name, parameter = type(self).__name__, self.parameters[i]
        try:
            array = host_values(value)
        except (DtypeError, ShapeError) as error:
            raise CheckpointError(f"{name}: the buffer {key!r} holds no numbers: {error}") from error
        if array.shape != parameter.shape:
            raise CheckpointError(
                f"{name}: the buffer {key!r} has shape {array.shape}, its parameter {parameter.shape}"
            )
        return wide(
            parameter._backend.from_host(
                array.astype(parameter.dtype if parameter.dtype.itemsize >= 4 else "float32")
            )
        )


_RATES = (arguments.rate, arguments.decay, arguments.decays)


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
