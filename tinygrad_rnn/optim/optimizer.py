"""What the optimisers share: checked options, the step, the state dict.

A step puts a new array in the place of a parameter's old one. Writing into the old one would be wrong
wherever a tape, a state dict or a checkpointed segment still refers to it, and would save nothing: the update
has to be computed into an array of its own anyway, and that array becomes the parameter. What only the
optimiser sees, its running averages, it does change in place.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, ClassVar, TypeAlias

from .. import arguments
from ..backends import Backend
from ..effects import effect
from ..errors import ArgumentError, ArgumentWarning, CheckpointError
from ..tensor import Tensor
from .groups import Group, Parameters, described, described_group
from .machine_code import pays, update_loop
from .parameters import wide
from .states import buffer_of, grouped, part

Check: TypeAlias = Callable[[str, Any], Any]
"""Of an option: from what to call it and its value to the value that the method goes on with."""


class Optimizer:
    """What the optimisers share.

    >>> optimizer = tg.optim.SGD(tg.nn.Linear(2, 3).parameters(), lr=0.5)
    >>> optimizer.lr = 0.25
    >>> isinstance(optimizer, tg.optim.Optimizer)
    True

    Args:
        parameters: the tensors to train; those without a residual are left as they are. Or groups of them, a
            list of dicts: ``[{"params": [...], "lr": 0.1}, {"params": [...]}]``; what a group does not say is
            as the options here.
        options: the numbers of the method; each is an attribute, and may be changed between steps: of all
            groups, or of one by ``optimizer.groups[i].lr = x``. Read where groups differ, it is an error.

    Numbers narrower than float32 are widened for the update and rounded after it: the usual eps is 0 in
    float16, and squares of small residuals are, too. Running averages are then kept in float32.

    Raises:
        ArgumentError: there is nothing to train, something is not a leaf tensor, a parameter stands in two
            groups, or an option is unknown or has a value that it cannot have.

    Warns:
        ArgumentWarning: a parameter stands twice in a group; it is then stepped twice.
    """

    lr: float
    checks: ClassVar[Mapping[str, Check]] = {}
    """What each option must be, in the terms of ``arguments``; one that is not named here is a number that is
    not negative."""
    averages: ClassVar[Mapping[str, str | None]] = {}
    """What the method keeps of each parameter, zeros at first, with the option that asks for it; None where
    each step does."""

    _options: Mapping[str, Any] = {}
    """What a group has that does not say otherwise."""

    def __init__(self, parameters: Parameters, **options: Any) -> None:
        given = described(type(self).__name__, parameters)
        self.parameters: list[Tensor] = []
        self._groups: list[Group] = []
        self._group_of: list[Group] = []
        self._turns: list[int] = []
        """For each parameter how often it stands before: its updates follow one another."""
        self._steps: list[int] = []
        self._buffers: list[dict[str, Any]] = []
        self._options = dict.fromkeys(options)
        self._options = self._checked(options, {})
        for group in given:
            self._add(group, 4)

    def __getattr__(self, name: str) -> Any:
        if name not in self._options:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        first, *others = [getattr(group, name) for group in self._groups]
        if any(value != first for value in others):
            raise ArgumentError(
                f"{type(self).__name__}: {name} differs between the groups: read optimizer.groups[i].{name}"
            )
        return first

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._options:
            super().__setattr__(name, value)
            return
        options = {**self._options, **self._checked({name: value}, self._options)}
        self._change([{name: value}] * len(self._groups))
        super().__setattr__("_options", options)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups of parameters, one if none were named, each with its options as attributes."""
        return tuple(self._groups)

    def add_group(self, group: Mapping[str, Any]) -> None:
        """Train more parameters, from the next step on.

        >>> optimizer = tg.optim.SGD([tg.zeros(2).requires_grad_()], lr=0.5)
        >>> optimizer.add_group({"params": [tg.zeros(3).requires_grad_()], "lr": 0.1})
        >>> [group.lr for group in optimizer.groups]
        [0.5, 0.1]

        Args:
            group: ``params``, and options of theirs; the others are as those of the optimiser were given, or
                set for all groups since.

        Raises:
            ArgumentError: as from the constructor; nothing is added.
        """
        self._add(described_group(type(self).__name__, "group", group), 3)

    def _add(self, group: Mapping[str, Any], stacklevel: int) -> None:
        name = type(self).__name__
        tensors: list[Tensor] = group["params"]
        for parameter in tensors:
            if parameter.entry is not None:
                raise ArgumentError(
                    f"{name}: parameters must be leaf tensors, not results of an operation such as "
                    f"{parameter!r}"
                )
        ids, before = [id(tensor) for tensor in tensors], {id(tensor) for tensor in self.parameters}
        if before & set(ids):
            raise ArgumentError(
                f"{name}: parameters: one of them stands in two groups: it can be in one only"
            )
        own = {option: value for option, value in group.items() if option != "params"}
        added = Group(tuple(tensors), {**self._options, **own}, self._checked)
        turns = [ids[:i].count(ids[i]) for i in range(len(ids))]
        if any(turns):
            warnings.warn(
                f"{name}: a parameter stands twice among the parameters: it is stepped twice",
                ArgumentWarning,
                stacklevel=stacklevel,
            )
        self._groups.append(added)
        self.parameters += tensors
        self._group_of += [added] * len(tensors)
        self._turns += turns
        self._steps += [0] * len(tensors)
        self._buffers += [{} for _ in tensors]

    def _change(
        self, changes: Sequence[Mapping[str, Any]], first_lrs: Sequence[float | None] | None = None
    ) -> None:
        """Change options of each group, all of them or, if one does not fit, none.

        Args:
            changes: new values by name, for each group.
            first_lrs: where a schedule sets them, the rates that it began from.
        """
        checked = [group._checked(options) for group, options in zip(self._groups, changes, strict=True)]
        firsts: Sequence[float | None] = first_lrs or [None] * len(checked)
        for group, options, first in zip(self._groups, checked, firsts, strict=True):
            group._take(options, first)

    def _checked(self, options: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
        """Options as the method goes on with them.

        Raises:
            ArgumentError: one is unknown, or has a value that it cannot have, or not beside the others.
        """
        name = type(self).__name__
        for option in options:
            if option not in self._options:
                known = ", ".join(self._options)
                raise ArgumentError(f"{name}: unknown option {arguments.shown(option)}: there are {known}")
        checked = {
            option: self.checks.get(option, _plain)(f"{name}: {option}", value)
            for option, value in options.items()
        }
        self._fit({**others, **checked})
        return checked

    def _fit(self, options: Mapping[str, Any]) -> None:
        """Check options beside each other."""

    @effect("changes parameters")
    def step(self) -> None:
        """Change every parameter that has a residual."""
        together: dict[Any, list[int]] = {}
        steps, alike, number = self._steps, {group._key: group for group in self._groups}, 0
        for group in self._groups:
            options = alike[group._key]
            for i, parameter in enumerate(group.params, number):
                if parameter._grad is not None:
                    steps[i] += 1
                    key = self._turns[i], parameter._backend, steps[i], parameter._data.dtype, options
                    together.setdefault(key, []).append(i)
            number += len(group.params)
        for (_turn, backend, n, dtype, options), members in together.items():
            self._step(members, options, self._numbers(options, n), backend, dtype)

    def _step(
        self,
        members: Sequence[int],
        options: Group,
        numbers: Sequence[float],
        backend: Backend,
        dtype: Any,
    ) -> None:
        """Change parameters that have come as far as each other, of one dtype and with equal options."""
        names = [name for name, option in self.averages.items() if option is None or getattr(options, option)]

        def formula(np: Any, arrays: Sequence[Any], scalars: Sequence[Any]) -> list[Any]:
            p, g, *held = arrays
            averages = dict(zip(names, held, strict=True))
            return [self._updated(options, np, p, g, averages, scalars), *averages.values()]

        sets = [self._arrays(i, names) for i in members]
        loop = None
        if pays(backend, dtype, sets):
            key = type(self), tuple([self._choice(options, name) for name in self._options]), dtype
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

    def _choice(self, options: Group, name: str) -> Any:
        """What an option decides over the form of the update: rates whether they are 0; any other one by all
        that it is."""
        value, rate = getattr(options, name), name == "lr" or self.checks.get(name) in _RATES
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

    def _numbers(self, options: Group, n: int) -> tuple[float, ...]:
        """What the update takes at the n-th step."""
        raise NotImplementedError

    def _updated(
        self, options: Group, np: Any, p: Any, g: Any, averages: dict[str, Any], numbers: Any
    ) -> Any:
        """The new value of a parameter p with the residual g; new averages are put in the place of the old
        ones. ``np`` has the functions.

        Options only choose what is computed, those that ``checks`` calls rates or decays only by being 0 or
        not; what goes into it is among the numbers.
        """
        raise NotImplementedError

    def __repr__(self) -> str:
        """A line for each group."""
        name = type(self).__name__
        lines = [
            f"{sum(p.size for p in group.params):,} numbers, "
            + ", ".join(f"{option}={getattr(group, option)!r}" for option in self._options)
            for group in self.groups
        ]
        return f"{name}({lines[0]})" if len(lines) == 1 else "\n  ".join([f"{name}(", *lines]) + "\n)"

    def zero_grad(self) -> None:
        """Forget the residuals."""
        for parameter in self.parameters:
            parameter._grad = None

    def state_dict(self) -> dict[str, Any]:
        """``groups``, the options of each with the numbers of its ``params``; ``options``, what a further
        group begins with; ``steps`` of each parameter; and ``buffers``: copies of the running averages, under
        "number of parameter.name"."""
        buffers = {}
        for i, (parameter, held) in enumerate(zip(self.parameters, self._buffers, strict=True)):
            # an option asks for them since the last step
            late = self._needed(self._steps[i], self._group_of[i].options()) - held.keys()
            arrays = {
                **held,
                **{name: parameter._backend.zeros_like(wide(parameter._data)) for name in sorted(late)},
            }
            buffers.update(
                {f"{i}.{name}": Tensor(array.copy(), parameter._backend) for name, array in arrays.items()}
            )
        return {
            "options": dict(self._options),
            "groups": [
                {**group.options(), "params": numbers}
                for group, numbers in zip(self._groups, self._places(), strict=True)
            ],
            "steps": list(self._steps),
            "buffers": buffers,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another optimiser of the same kind stood; all of it or, if anything does not fit,
        nothing.

        One that was saved before there were groups, without ``groups``, is one group's.

        Raises:
            CheckpointError: the state is another kind's, its groups are others, or its buffers are not those
                that its steps have left, of the parameters' shapes.
        """
        name = type(self).__name__
        options, arrays = dict(part(name, state, "options")), part(name, state, "buffers")
        if set(state) - {"groups"} != {"options", "steps", "buffers"}:
            raise CheckpointError(f"{name}: the state dict is not one of this optimiser")
        try:
            steps = [
                arguments.size("a number of steps", n) for n in arguments.several("steps", state["steps"])
            ]
            if len(steps) != len(self.parameters):
                raise ArgumentError(f"it is of {len(steps)} parameters, there are {len(self.parameters)}")
            alone = [{**options, "params": list(range(len(steps)))}]
            options, *groups = map(
                self._complete, [options, *grouped(state.get("groups", alone), self._places())]
            )
        except ArgumentError as error:
            raise CheckpointError(f"{name}: the state dict is not one of this optimiser: {error}") from error
        buffers: list[dict[str, Any]] = [{} for _ in self.parameters]
        numbers = {str(i): i for i in range(len(buffers))}
        for key, value in arrays.items():
            number, _, which = str(key).partition(".")
            if number not in numbers:
                raise CheckpointError(f"{name}: the buffer {key!r} belongs to no parameter")
            buffers[numbers[number]][which] = buffer_of(name, self.parameters[numbers[number]], key, value)
        for own, places in zip(groups, self._places(), strict=True):
            for i in places:
                self._check_names(i, buffers[i].keys(), steps[i], own)
        for group, own in zip(self._groups, groups, strict=True):
            group._take(own)
        vars(self).update(_options=options, _steps=steps, _buffers=buffers)

    def _places(self) -> list[list[int]]:
        """The numbers of the parameters of each group."""
        ends = list(itertools.accumulate(len(group.params) for group in self._groups))
        return [
            list(range(end - len(group.params), end)) for group, end in zip(self._groups, ends, strict=True)
        ]

    def _complete(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """All options, checked.

        Raises:
            ArgumentError: one is missing, unknown, or has a value that it cannot have.
        """
        if missing := self._options.keys() - options.keys():
            raise ArgumentError(f"it lacks the options {', '.join(sorted(missing))}")
        return self._checked(options, {})

    def _needed(self, steps: int, options: Mapping[str, Any]) -> Set[str]:
        """The averages that steps leave of a parameter."""
        averages = self.averages if steps else {}
        return {name for name, option in averages.items() if option is None or options[option]}

    def _check_names(self, i: int, names: Set[str], steps: int, options: Mapping[str, Any]) -> None:
        """Whether a state dict has the averages that its steps have left; those of options that are off now
        may be there too."""
        needed, known = self._needed(steps, options), self.averages.keys() if steps else set()
        if not needed <= names <= known:
            wrong = ", ".join(f"{i}.{name}" for name in sorted(needed - names or names - known))
            said = (
                f"lacks the buffers {wrong}"
                if needed - names
                else f"has the buffers {wrong}, which the method does not keep"
            )
            raise CheckpointError(f"{type(self).__name__}: the state dict {said} after {steps} steps")


_RATES = (arguments.rate, arguments.decay, arguments.decays)


def _plain(what: str, value: Any) -> Any:
    """A number that is not negative, a few of them, or a choice between two ways."""
    if isinstance(value, (tuple, list)):
        return tuple(arguments.rate(what, part) for part in value)
    return value if isinstance(value, bool) else arguments.rate(what, value)
