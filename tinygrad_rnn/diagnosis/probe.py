"""Whether a model is one whose memory can be told: on its first few steps it does the same for equal samples,
reads forwards, and goes on from the state that it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from .. import tree
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor

STEPS = 4
"""So few that rounding does not grow, however fast a model forgets or explodes."""


def state_axes(
    model: Any, run: Callable[[Tensor, Any], tuple[Tensor, Any]], copies: Callable[[int, int, int], Tensor]
) -> list[int] | None:
    """The axis of the samples in each tensor of the state, or None where the model hands none on that it can
    be called with.

    Args:
        model: as of :func:`tinygrad_rnn.memory`.
        run: calls it, with inputs and a state, and returns outputs and a state.
        copies: the inputs from a first step up to another one, of so many equal samples.

    Raises:
        ArgumentError: its outputs differ for equal samples, change with later inputs, or do not go on from
            the state.
        ShapeError: a tensor of the state has no axis for the samples.
    """
    count = len(copies(0, STEPS, 1))
    half = (count + 1) // 2
    whole, state = run(copies(0, count, 2), None)
    if not same(whole[:, 0], whole[:, 1]):
        raise ArgumentError(
            "memory: the model returns different outputs for equal samples: switch dropout off by "
            "model.eval(), and let it take (time, samples, …), not batch_first=True"
        )
    first, middle = run(copies(0, half, 1), None)
    if not same(whole[:half, 0], first[:, 0]):
        raise ArgumentError(
            "memory: what the model returns for a step changes with the steps after it: give one that reads "
            "forwards, not bidirectional=True or reverse=True"
        )
    if not (_carries(middle) and _takes_state(model)):
        return None
    axes = _grown(tree.leaves(middle), tree.leaves(state))
    if half < count:
        second, _ = run(copies(half, count, 1), middle)
        if not same(whole[half:, 0], second[:, 0]):
            raise ArgumentError(
                "memory: the model does not go on from the state that it returned: given it as a second "
                "argument, it must return what it would without a break"
            )
    return axes


def _grown(one: Sequence[Tensor], two: Sequence[Tensor]) -> list[int]:
    """For each tensor the axis that grows with the samples, of which there are one, and two."""
    axes = []
    for small, large in zip(one, two, strict=True):
        grown = [axis for axis, (n, m) in enumerate(zip(small.shape, large.shape, strict=True)) if n != m]
        if len(grown) != 1:
            raise ShapeError(
                f"memory: a tensor of the model's state is {small.shape} for one sample and {large.shape} "
                "for two: one of its axes must be that of the samples"
            )
        axes.append(grown[0])
    return axes


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two arrays differ by rounding alone."""
    a, b = one.numpy(), other.numpy()
    if a.shape != b.shape or a.dtype.kind != "f":
        return numpy.array_equal(a, b)
    close = float(numpy.finfo(a.dtype).eps) ** 0.6
    size = float(numpy.abs(a[numpy.isfinite(a)]).max(initial=0.0))
    return numpy.allclose(a, b, close, close * size, equal_nan=True)


def _takes_state(model: Any) -> bool:
    """Whether it can be called with inputs and a state."""
    try:
        inspect.signature(model).bind(None, None)
    except (TypeError, ValueError):  # one of C tells no signature
        return False
    return True


def _carries(state: Any) -> bool:
    """Whether a model hands a state on that can be given to it again."""
    leaves = [] if state is None else tree.leaves(state)
    return bool(leaves) and all(isinstance(leaf, Tensor) for leaf in leaves)
