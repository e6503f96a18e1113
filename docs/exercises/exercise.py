"""What an exercise is: random inputs, the library's residuals for them, and the mistakes that are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_rnn as tg

Arrays = dict[str, Any]


@dataclass(frozen=True)
class Drawn:
    """One random input of an exercise: what the student's function is given, and what is right."""

    arguments: tuple[Any, ...]
    values: Arrays
    residuals: Arrays
    """In the order of the way back: a residual depends only on those before it."""


@dataclass(frozen=True)
class Mistake:
    """A typical mistake: what to say of it, and the residuals that it leads to."""

    hint: str
    wrong: Callable[[Arrays, Arrays], Arrays]
    """From the values and the right residuals, by name; those it does not name may be anything."""


@dataclass(frozen=True)
class Exercise:
    title: str
    file: str
    """The name of its solution, and of the student's file."""
    wanted: tuple[str, ...]
    """What the function returns; of further values that the exercise knows it may, and they are compared."""
    draw: Callable[[np.random.Generator], Drawn]
    mistakes: tuple[Mistake, ...]


def drawn(
    forward: Callable[..., Arrays], leaves: Arrays, arguments: Callable[[Arrays], tuple[Any, ...]]
) -> Drawn:
    """Runs an exercise's forward pass in the library, and its backward pass.

    Args:
        forward: from the leaves, as tensors, to the values by name, in the order of the forward pass; the
            last is the loss. A value may be a list of tensors: its residual is the stack of theirs.
        arguments: from all values to what the student's function is given.
    """
    tensors = {name: tg.tensor(value, requires_grad=True, name=name) for name, value in leaves.items()}
    found = forward(**tensors)
    *_, loss = found.values()
    everything = tensors | found
    values = {name: _array(value) for name, value in everything.items()}
    residuals = {name: _residual(loss, value) for name, value in reversed(everything.items())}
    return Drawn(arguments(values), values, residuals)


def _array(value: Any) -> Any:
    return np.stack([part.numpy() for part in value]) if isinstance(value, list) else value.numpy()


def _residual(loss: Any, value: Any) -> Any:
    return _array(tg.gradients(loss, value))
