"""What lengths and masks cut off never enters a product, whatever it holds: before anything is computed,
other values stand there.

A cell computes all samples at every step, and what comes out of a step that does not count is thrown away:
its residual is 0. But 0 times the NaN of a padding is NaN, log(0) is infinite, and −1 is no word. So a step
that does not count repeats the input of the nearest one that does, on which the cell is known to work; and a
sample without any goes along with another one.
"""

from __future__ import annotations

from typing import Any

import numpy

from .. import ops, tree
from ..tape import no_grad
from ..tensor import Tensor, tensor


class Padding:
    """The steps that do not count.

    Args:
        live: (T, B) booleans on the host, not empty: the steps that count for each sample.
    """

    def __init__(self, live: numpy.ndarray) -> None:
        self._live = live
        self._present = numpy.any(live, axis=0)
        present, samples = self._present.all(), numpy.arange(live.shape[1])
        self._some_absent = not present and self._present.any()
        self._samples = samples if present else numpy.where(self._present, samples, self._present.argmax())
        steps = numpy.arange(len(live))[:, None]
        if live[0].all() and (live[:-1] >= live[1:]).all():  # lengths: what counts comes first
            steps = numpy.minimum(steps, numpy.count_nonzero(live, axis=0) - 1)
        else:
            steps = numpy.maximum.accumulate(numpy.where(live, steps, -1), axis=0)
            steps = numpy.where(steps < 0, live.argmax(axis=0), steps)
        if not present:
            steps = steps[:, self._samples]
        self._rows = (steps * live.shape[1] + self._samples).reshape(-1)

    def filled(self, xs: Any) -> Any:
        """Inputs, each leaf (T, B, …), with values that count in place of padding. Residuals reach what
        counts, and only that."""

        def fill(x: Tensor) -> Any:
            if x.shape[:2] != self._live.shape:
                return x
            with no_grad():
                values = (
                    ops.reshape(ops.take(ops.reshape(x, (-1, *x.shape[2:])), self._rows, 0), x.shape)
                    if self._present.any()
                    else ops.full_like(x, x.dtype.kind == "f")
                )
            if x.requires_grad:
                return ops.where(reaching(self._live, x), x, values)
            values.name = x.name
            return values

        return tree.map_leaves(fill, xs)

    def started(self, state: Any) -> Any:
        """The state before the first step, each leaf (B, …): that of another sample where no step counts, if
        there is another."""
        if not self._some_absent:
            return state
        with no_grad():
            others = tree.map_leaves(lambda leaf: ops.getitem(leaf, self._samples), state)
        return self._where_present(state, others)

    def ended(self, state: Any, first: Any) -> Any:
        """The state after the last step: the one before the first where no step counts."""
        return self._where_present(state, first) if self._some_absent else state

    def _where_present(self, state: Any, other: Any) -> Any:
        pairs = zip(tree.leaves(state), tree.leaves(other), strict=True)
        return tree.unflatten(
            state, [ops.where(reaching(self._present, leaf), leaf, before) for leaf, before in pairs]
        )


def reaching(live: numpy.ndarray, leaf: Tensor) -> Any:
    """A mask with as many axes as a tensor, where that is."""
    return tensor(live.reshape(live.shape + (1,) * (leaf.ndim - live.ndim)), backend=leaf.backend)


def nothing(dtype: Any) -> Any:
    """What comes out beyond lengths: 0, or False."""
    return dtype.type(0).item()
