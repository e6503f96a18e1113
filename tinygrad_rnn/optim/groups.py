"""Parameters that are trained with options of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from .. import arguments
from ..errors import ArgumentError
from ..tensor import Tensor
from .parameters import tensors_of

Parameters: TypeAlias = "Iterable[Tensor] | Iterable[Mapping[str, Any]]"
"""Tensors to train; or groups of them, dicts with ``params`` and options."""


class Group:
    """Parameters of an optimiser and their options, which are attributes and may be changed between steps.

    >>> w, b = tg.zeros((2, 2)).requires_grad_(), tg.zeros(2).requires_grad_()
    >>> optimizer = tg.optim.SGD([{"params": [w], "weight_decay": 0.1}, {"params": [b]}], lr=0.5)
    >>> optimizer.groups[1].lr = 0.25
    >>> [(group.lr, group.weight_decay) for group in optimizer.groups]
    [(0.5, 0.1), (0.25, 0.0)]

    Attributes:
        params: the tensors.

    Raises:
        ArgumentError: an option is set to a value that it cannot have, or is none of the optimiser's.
    """

    params: tuple[Tensor, ...]
    _key: tuple[Any, ...]
    """Equal in groups of one optimiser whose options are: these are stepped together."""
    _first_lr: float | None
    """The rate that a schedule began from; None where the rate was set otherwise since."""

    def __init__(
        self,
        params: tuple[Tensor, ...],
        options: Mapping[str, Any],
        check: Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]],
    ) -> None:
        vars(self).update(params=params, _names=tuple(options), _check=check)
        self._take(check(options, {}))

    def __getattr__(self, name: str) -> Any:
        known = ", ".join(vars(self).get("_names", ()))
        raise AttributeError(f"a group has no option {name!r}: it has params, {known}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._names:
            raise ArgumentError(f"a group has no option {name!r} to set: it has {', '.join(self._names)}")
        self._take(self._checked({name: value}))

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options().items())
        return f"Group({len(self.params)} params, {options})"

    def options(self) -> dict[str, Any]:
        """All options by name."""
        return {name: vars(self)[name] for name in self._names}

    def _checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """New values of some options, as the method goes on with them.

        Raises:
            ArgumentError: one has a value that it cannot have, or not beside the others.
        """
        new: dict[str, Any] = self._check(options, self.options())
        return new

    def _take(self, checked: Mapping[str, Any], first_lr: float | None = None) -> None:
        """Put checked values in the place of the old ones.

        Args:
            checked: values by name.
            first_lr: where a schedule sets them, the rate that it began from.
        """
        held = vars(self)
        held.update(checked)
        if "lr" in checked:
            held["_first_lr"] = first_lr
        # floats as they are; 1 and True are equal, and may choose different updates
        held["_key"] = tuple(
            [held[name] if type(held[name]) is float else repr(held[name]) for name in self._names]
        )


def described(name: str, parameters: Any) -> list[dict[str, Any]]:
    """The groups that an optimiser is given, as dicts with a list of ``params``; one if they are tensors.

    Raises:
        ArgumentError: they are neither tensors nor groups.
    """
    if isinstance(parameters, Mapping):
        raise ArgumentError(f"{name}: parameters is a single dict: write a list of groups, [dict, …]")
    if not isinstance(parameters, Tensor) and not hasattr(parameters, "parameters"):
        expected = "a list of tensors, such as module.parameters(), or of groups"
        parameters = list(arguments.several(f"{name}: parameters", parameters, expected))
        if any(isinstance(part, Mapping) for part in parameters):
            return [described_group(name, f"parameters[{i}]", part) for i, part in enumerate(parameters)]
        if not parameters:
            raise ArgumentError(f"{name}: there are no parameters to train")
    return [{"params": tensors_of(f"{name}: parameters", parameters)}]


def described_group(name: str, what: str, group: Any) -> dict[str, Any]:
    """A group as a dict with a list of ``params``, at least one.

    Raises:
        ArgumentError: it is no dict with ``params``, or these are no tensors.
    """
    what = f"{name}: {what}"
    if not isinstance(group, Mapping):
        raise arguments.refused(what, 'a group: a dict such as {"params": [tensor], "lr": 0.1}', group)
    if "params" not in group:
        raise ArgumentError(f'{what} has no tensors: name them by "params"')
    params = group["params"]
    found = [params] if isinstance(params, Tensor) else tensors_of(f'{what}["params"]', params)
    if not found:
        raise ArgumentError(f'{what}["params"] is empty: there are no parameters to train')
    return {**group, "params": found}
