"""The gradient of a score at every time step by every input before it, as sizes: (T, T).

One backward pass for each score would be T passes of up to T steps. Here the sequence is cut into windows,
and the scores of all later windows go back through a window together, as samples of one batch:

    window k:   inputs ──[ model ]── outputs ── its own scores
                           │  ↑
                 residuals ↓  │ state, from one forward pass
                         window k − 1

The way back is linear, so never more residuals go through a window than its state has numbers: where there
are more, those of the numbers themselves go, and the others are their sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from .. import ops, tree
from ..backends import Backend
from ..errors import ArgumentError, ShapeError
from ..tape import no_grad
from ..tensor import Tensor
from ..transforms import gradients
from .probe import same, state_axes

WINDOW = 64
"""Time steps of a window, and samples that go through it together: with fewer, products are small; with more,
a window's own scores, which go back one by one, take longer."""

AT_ONCE = 1 << 17
"""Time steps of all samples together that a pass may have: what it keeps for the way back stays small."""

FEATURES, MOST = 12, 1 << 25
"""Features that are looked at one by one, and how many sizes of them at most."""

Score = Callable[[Tensor, numpy.ndarray], Tensor]


@dataclass
class _Window:
    """Some time steps.

    Attributes:
        first, last: the first step, and the one after the last.
        state: what the model begins with, of one sample; None for its own beginning.
    """

    first: int
    last: int
    state: Any


class InputGradients:
    """All sizes of one sequence.

    Args:
        model: as of :func:`tinygrad_rnn.memory`.
        inputs: (T, …), of a float dtype.
        score: as of :func:`tinygrad_rnn.memory`.
        backend: where the model is.

    Attributes:
        parts: (T, T, features): how large it is by each feature; None where there is one only, or too much.
        sizes: (T, T): the norm of the gradient of score t by input s; 0 where s is after t.
        outputs: (T, …).
    """

    def __init__(self, model: Any, inputs: numpy.ndarray, score: Score, backend: Backend) -> None:
        self._model, self._inputs, self._score, self._backend = model, inputs, score, backend
        length, features = len(inputs), inputs[0].size
        self.sizes: numpy.ndarray = numpy.zeros((length, length), inputs.dtype)
        self.parts: numpy.ndarray | None = (
            numpy.zeros((length, length, features), inputs.dtype)
            if 1 < features <= FEATURES and self.sizes.size * features <= MOST
            else None
        )
        with no_grad():
            self._axes = state_axes(
                model, self._run, lambda first, last, count: self._copies(_Window(first, last, None), count)
            )
            windows = self._forward()
            self._check_score()
        residuals, scores = numpy.zeros((0, 0), inputs.dtype), numpy.arange(0)
        for window in reversed(windows):
            residuals, scores = self._back(window, residuals, scores)
        later = numpy.triu(numpy.ones((length, length), bool), 1)  # 0 times NaN is NaN
        for array in (self.sizes, self.parts):
            if array is not None:
                array[later] = 0

    # -- forward ---------------------------------------------------------------------------------------------

    def _forward(self) -> list[_Window]:
        """The windows, with the states between them; one window where the model hands no state on."""
        length, outputs, state = len(self._inputs), [], None
        windows: list[_Window] = []
        size = length if self._axes is None else WINDOW
        first = length % size or min(length, size)
        for last in range(first, length + 1, size):
            windows.append(_Window(last - size if windows else 0, last, state))
            output, state = self._run(self._copies(windows[-1], 1), state)
            outputs.append(output.numpy()[:, 0])
        self.outputs: numpy.ndarray = numpy.concatenate(outputs)
        return windows

    def _check_score(self) -> None:
        """
        Raises:
            ArgumentError: the score of a step depends on the others.
        """
        outputs = Tensor(self._backend.from_host(self.outputs[:WINDOW]), self._backend)
        steps = numpy.arange(len(self.outputs[:WINDOW]))
        together, last = self._scored(outputs, steps), self._scored(outputs[-1:], steps[-1:])
        if not same(together.reshape(-1)[-1:], last.reshape(-1)):
            raise ArgumentError(
                "memory: the score of a step changes with the outputs of others: let score work on each row "
                "of its outputs by itself, as along axis=-1"
            )

    def _run(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Outputs (steps, samples, …) and the state after them.

        Raises:
            ShapeError: the outputs are no tensor of that kind.
        """
        result = self._model(x) if state is None else self._model(x, state)
        output, state = result if isinstance(result, (tuple, list)) and len(result) == 2 else (result, None)
        if not isinstance(output, Tensor) or output.shape[:2] != x.shape[:2]:
            shape = output.shape if isinstance(output, Tensor) else type(output).__name__
            raise ShapeError(
                f"memory: the model must return outputs (time, samples, …), here {x.shape[:2]} and more, not "
                f"{shape}"
            )
        return output, state

    def _copies(self, window: _Window, count: int, requires_grad: bool = False) -> Tensor:
        part = self._inputs[window.first : window.last, None]
        copies = numpy.repeat(part, count, axis=1)
        return Tensor(self._backend.from_host(copies), self._backend, requires_grad)

    # -- back ------------------------------------------------------------------------------------------------

    def _back(
        self, window: _Window, residuals: numpy.ndarray, scores: numpy.ndarray
    ) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Take all residuals through a window.

        Args:
            residuals: at the state after it, one for each of the scores: (N, numbers of the state).
            scores: their time steps.

        Returns:
            The same at the state before it, with those of its own scores; what is 0 is left out.
        """
        own = numpy.arange(window.first, window.last)
        together = residuals.shape[0] > residuals.shape[1] and bool(numpy.isfinite(residuals).all())
        starts = numpy.eye(residuals.shape[1], dtype=residuals.dtype) if together else residuals
        at_inputs, at_state = self._pulled(window, starts, own)
        count = len(starts)
        later, later_state = at_inputs[:count], at_state[:count]
        if together:
            later, later_state = residuals @ later.reshape(count, -1), residuals @ later_state
        steps = slice(window.first, window.last)
        self._note(scores, steps, later)
        self._note(own, steps, at_inputs[count:])
        residuals = numpy.concatenate([later_state, at_state[count:]])
        scores = numpy.concatenate([scores, own])
        alive = residuals.any(axis=1)
        return residuals[alive], scores[alive]

    def _note(self, scores: numpy.ndarray, steps: slice, gradients: numpy.ndarray) -> None:
        """Take down the sizes of gradients of some scores by the inputs of a window."""
        parts = numpy.abs(gradients.reshape(len(scores), steps.stop - steps.start, self._inputs[0].size))
        self.sizes[scores, steps] = _norms(parts)
        if self.parts is not None:
            self.parts[scores, steps] = parts

    def _pulled(
        self, window: _Window, starts: numpy.ndarray, own: numpy.ndarray
    ) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The residuals at a window's inputs and at the state before it: of those that start at the state
        after it, then of its own scores."""
        count, steps = len(starts) + len(own), len(own)
        # always as many, since scans are compiled for a number
        most = min(len(self._inputs), WINDOW, max(1, AT_ONCE // steps))
        at_inputs, at_state = [], []
        for first in range(0, count, most):
            rows = starts[first : first + most]
            steps_of = own[max(0, first - len(starts)) : max(0, first + most - len(starts))]
            x, state = self._pass(window, rows, steps_of, most)
            size = len(rows) + len(steps_of)
            at_inputs.append(x[:size])
            at_state.append(state[:size])
        return numpy.concatenate(at_inputs), numpy.concatenate(at_state)

    def _pass(
        self, window: _Window, starts: numpy.ndarray, own: numpy.ndarray, count: int
    ) -> tuple[numpy.ndarray, numpy.ndarray]:
        """One pass of so many samples, of which those come first that start at the state after the window."""
        x = self._copies(window, count, requires_grad=True)
        state, wanted = self._state(window.state, count)
        output, after = self._run(x, state)
        outputs, seeds = [], []
        if len(starts):
            for leaf, seed in self._seeds(starts, after, count):
                outputs.append(leaf)
                seeds.append(seed)
        if len(own):
            samples = numpy.arange(len(starts), len(starts) + len(own))
            score = self._scored(output[own - window.first, samples], own)
            if not score.requires_grad:
                raise ArgumentError(
                    "memory: the score does not depend on the inputs by any way that has a gradient: leave "
                    "out no_grad, stop_gradient, detach and argmax between them"
                )
            outputs.append(score)
            seeds.append(ops.ones_like(score))
        at_input, *at_state = gradients(outputs, [x, *wanted], seeds)
        joined = self._joined(window.state, at_state, count) if wanted else numpy.zeros((count, 0))
        return numpy.moveaxis(at_input.numpy(), 1, 0), joined

    def _scored(self, outputs: Tensor, steps: numpy.ndarray) -> Tensor:
        """
        Raises:
            ShapeError: it is not one number for each step.
        """
        value = self._score(outputs, steps)
        if not isinstance(value, Tensor) or value.size != len(steps):
            shape = value.shape if isinstance(value, Tensor) else type(value).__name__
            raise ShapeError(
                f"memory: a score is one number for each time step, here {len(steps)}, not {shape}: choose "
                "one of several outputs with score=, such as lambda outputs, steps: outputs[:, 0]"
            )
        return value

    # -- the state as one vector -----------------------------------------------------------------------------

    def _state(self, state: Any, count: int) -> tuple[Any, list[Tensor]]:
        """A state of one sample as that of many, and what of it has gradients."""
        if state is None:
            return None, []
        leaves = [
            Tensor(
                self._backend.from_host(numpy.repeat(leaf.numpy(), count, axis=axis)),
                self._backend,
                leaf.dtype.kind == "f",
            )
            for leaf, axis in zip(tree.leaves(state), self._axes or [], strict=True)
        ]
        return tree.unflatten(state, leaves), [leaf for leaf in leaves if leaf.requires_grad]

    def _seeds(self, rows: numpy.ndarray, after: Any, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The tensors of a state that have gradients, and residuals of them: the rows at the first samples, 0
        at the others."""
        column = 0
        for leaf, axis in zip(tree.leaves(after), self._axes or [], strict=True):
            if leaf.dtype.kind != "f":
                continue
            seed = numpy.zeros((count, *leaf.shape[:axis], *leaf.shape[axis + 1 :]), rows.dtype)
            size = leaf.size // count
            seed[: len(rows)] = rows[:, column : column + size].reshape(len(rows), *seed.shape[1:])
            column += size
            if leaf.requires_grad:
                yield leaf, Tensor(self._backend.from_host(numpy.moveaxis(seed, 0, axis)), self._backend)

    def _joined(self, state: Any, residuals: Sequence[Tensor], count: int) -> numpy.ndarray:
        """Residuals of a state as rows, one for each sample."""
        floats = [
            axis
            for leaf, axis in zip(tree.leaves(state), self._axes or [], strict=True)
            if leaf.dtype.kind == "f"
        ]
        rows = [
            numpy.moveaxis(residual.numpy(), axis, 0).reshape(count, -1)
            for residual, axis in zip(residuals, floats, strict=True)
        ]
        return numpy.concatenate([numpy.zeros((count, 0), self._inputs.dtype), *rows], axis=1)


def _norms(parts: numpy.ndarray) -> numpy.ndarray:
    """Along the last axis; where squares are too large or too small for the dtype, by way of parts of the
    largest."""
    with numpy.errstate(over="ignore", invalid="ignore"):
        norms: numpy.ndarray = numpy.linalg.norm(parts, axis=-1)
    limits = numpy.finfo(parts.dtype)
    unsure = ~((norms > 1e3 * float(limits.tiny) ** 0.5) & (norms < numpy.inf))
    few = parts[unsure]
    largest = few.max(axis=-1, keepdims=True, initial=0.0)
    there = (largest > 0) & (largest < numpy.inf)
    with numpy.errstate(over="ignore", invalid="ignore"):
        scaled = numpy.linalg.norm(few / numpy.where(there, largest, 1), axis=-1)
        norms[unsure] = scaled * numpy.where(there, largest, 1)[..., 0]
    return norms
