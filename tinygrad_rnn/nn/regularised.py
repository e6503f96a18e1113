"""Noise inside a recurrence, in training: recurrent dropout and zoneout, of any cell.

What is random is drawn before the loop, from ``tinygrad_rnn.random``, and goes into it as further inputs: so
the loop is compiled as without it, and runs again, for a derivative or a picture, with the same numbers.

Recurrent dropout (Gal & Ghahramani 2016, "A theoretically grounded application of dropout in recurrent neural
networks") takes some units of h away from the recurrent weights, the same ones at every step of a sequence,
and divides the others by 1 − p. Zoneout (Krueger et al. 2017) lets some units of a state be as they were,
others at every step; in evaluation each is what it is in expectation, z · old + (1 − z) · new.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import arguments, ops, random, tree
from ..errors import ArgumentError
from ..tensor import Tensor, tensor
from .given_cells import name_of


def checked_zoneout(what: str, zoneout: Any) -> float | tuple[float, ...]:
    """One probability, or one for each tensor of a state."""
    if not isinstance(zoneout, (tuple, list)):
        return arguments.probability(what, zoneout)
    if not zoneout:
        raise arguments.refused(what, "a probability, or one for each tensor of the state", zoneout)
    return tuple([arguments.probability(f"{what}[{i}]", z) for i, z in enumerate(zoneout)])


def rates_of(zoneout: float | tuple[float, ...], state: Any) -> list[float]:
    """The probability for each tensor of a state; 0 for one that holds no floats.

    Raises:
        ArgumentError: there are others than tensors, or another number of them.
    """
    leaves = tree.leaves(state)
    if not all(isinstance(leaf, Tensor) for leaf in leaves):
        raise ArgumentError("zoneout and recurrent_dropout need a state of tensors: give the layer zeros")
    if isinstance(zoneout, tuple) and len(zoneout) != len(leaves):
        raise ArgumentError(
            f"zoneout has {len(zoneout)} probabilities, and the state of the cell {len(leaves)} tensors: "
            "give one for each, or a number for all"
        )
    rates = zoneout if isinstance(zoneout, tuple) else (zoneout,) * len(leaves)
    return [z if leaf.dtype.kind == "f" else 0.0 for z, leaf in zip(rates, leaves, strict=True)]


class Expected:
    """A cell in evaluation, whose state is the expectation over zoneout.

    Args:
        cell: ``y, state = cell(x, state)``.
        zoneout: a probability, or one for each tensor of the state.
    """

    def __init__(self, cell: Any, zoneout: float | tuple[float, ...]) -> None:
        self.cell = cell
        self.zoneout = zoneout
        self.__name__: str = f"{name_of(cell)} with zoneout"

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        y, new = self.cell(x, state)
        mixed = [
            after + z * (before - after) if z else after
            for z, before, after in zip(
                rates_of(self.zoneout, state), tree.leaves(state), tree.leaves(new), strict=True
            )
        ]
        return _replaced(y, new, mixed)


class Noisy:
    """A cell in training. Its input is (x, what h is multiplied by or None, for each tensor of the state
    where it stays as it was or None)."""

    def __init__(self, cell: Any) -> None:
        self.cell = cell
        self.__name__: str = f"{name_of(cell)} with noise"

    def __call__(self, inputs: Any, state: Any) -> tuple[Any, Any]:
        x, dropped, stays = inputs["x"], inputs.get("dropped"), inputs["stays"]
        if dropped is None:
            y, new = self.cell(x, state)
        elif _knows_dropout(type(self.cell)):
            y, new = self.cell.step_dropped(x, state, dropped)
        else:
            first, *others = tree.leaves(state)
            y, new = self.cell(x, tree.unflatten(state, [first * dropped, *others]))
        after = tree.leaves(new)
        mixed = list(after)
        for i, mask in stays.items():
            mixed[i] = ops.where(mask, tree.leaves(state)[i], after[i])
        return _replaced(y, new, mixed)


def _knows_dropout(kind: type) -> bool:
    """Whether ``step_dropped`` of a class is about what its ``__call__`` does, which a subclass may have
    written anew."""
    classes = kind.__mro__

    def place(name: str) -> int:
        return next((i for i, each in enumerate(classes) if name in vars(each)), len(classes))

    known = min(place("step_dropped"), place("_step"))
    return place("step_dropped") < len(classes) and known <= place("__call__")


def _replaced(y: Any, new: Any, mixed: Sequence[Any]) -> tuple[Any, Any]:
    """Output and state with other tensors in the state, and in the output where that is one of the state."""
    others = {id(before): after for before, after in zip(tree.leaves(new), mixed, strict=True)}
    return tree.map_leaves(lambda leaf: others.get(id(leaf), leaf), y), tree.unflatten(new, mixed)


def noise(x: Any, state: Any, dropout: float, zoneout: float | tuple[float, ...]) -> dict[str, Any]:
    """The inputs of :class:`Noisy` for all steps.

    Args:
        x: the cell's own, each leaf (T, …).
        state: before the first step.
        dropout, zoneout: the probabilities.
    """
    rates, leaves, steps = rates_of(zoneout, state), tree.leaves(state), tree.leaves(x)[0].shape[0]
    inputs: dict[str, Any] = {"x": x}
    if dropout:
        h = leaves[0]
        if h.dtype.kind != "f":
            raise ArgumentError(
                f"recurrent_dropout acts on the first tensor of the state, which is of dtype {h.dtype}: "
                "floats come first"
            )
        kept = random.generator().random(h.shape) >= dropout
        scale = 1 / (1 - dropout) if dropout < 1 else 0.0
        mask = tensor(kept * scale, h.dtype, backend=h.backend)
        inputs["dropped"] = ops.broadcast_to(mask, (steps, *h.shape))
    inputs["stays"] = {
        i: tensor(random.generator().random((steps, *leaf.shape)) < z, backend=leaf.backend)
        for i, (z, leaf) in enumerate(zip(rates, leaves, strict=True))
        if z
    }
    return inputs
