"""What a model still has of earlier inputs when it predicts: ``tg.memory``."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy

from .. import arguments, atomic, pages
from ..cleanup import no_collection
from ..errors import ArgumentError, DataError, DrawError, ShapeError
from ..ops import ArrayLike
from ..tape import recording
from ..tensor import Tensor, tensor
from . import memory_page
from .input_gradients import InputGradients, Score
from .step_values import step_values
from .track import REACH

LIMIT = 5000
"""Time steps at most: their sizes take memory, and the page room, by the square."""

Guesses = Sequence[Sequence[tuple[str, float]]]


class Memory:
    """How much each prediction depends on each earlier input. See :func:`memory`.

    >>> tg.random.seed(0)
    >>> memory = tg.memory(tg.nn.RNN(1, 1), np.ones((40, 1), np.float32))
    >>> memory.array.shape, memory.array[0, 1]
    ((40, 40), np.float32(0.0))
    >>> memory.save("memory.html")

    Attributes:
        array: (T, T): at [t, s] the norm of the gradient of the score at step t by the input at step s; 0
            where s is after t.
        by_feature: (T, T, features): the sizes for each feature of the inputs by itself; None where there is
            one alone, or there are more than 12, or the series is too long for it.
        inputs, outputs: what the model read and what it returned: (T, …).
        tokens: what each input stands for, in a text; else None.
        values: for each state and gate by name what it was at each step: (T, units).
        guesses: for each step the likeliest tokens after it and their probabilities, which the page shows;
            empty if nobody gave them.
        title: the heading of the page.
    """

    def __init__(
        self,
        found: InputGradients,
        inputs: numpy.ndarray,
        values: dict[str, numpy.ndarray],
        tokens: Sequence[str] | None,
    ) -> None:
        self.array: numpy.ndarray = found.sizes
        self.by_feature: numpy.ndarray | None = found.parts
        self.inputs: numpy.ndarray = inputs
        self.outputs: numpy.ndarray = found.outputs
        self.tokens: Sequence[str] | None = tokens
        self.values: dict[str, numpy.ndarray] = values
        self.guesses: Guesses = []
        self.title: str = "What the predictions remember"

    @cached_property
    def relative(self) -> numpy.ndarray:
        """(T, T): the array, each row as a part of its largest size; 0 where that is 0 or NaN. Where it is
        infinite, so large are the infinite ones, and the others 0."""
        largest = self.array.max(axis=1, keepdims=True)
        known = (largest > 0) & numpy.isfinite(largest)
        with numpy.errstate(invalid="ignore"):
            parts: numpy.ndarray = numpy.where(known, self.array / numpy.where(known, largest, 1), 0)
        parts[numpy.isinf(self.array) & numpy.isinf(largest)] = 1
        return parts

    @cached_property
    def horizon(self) -> numpy.ndarray:
        """(T,): how many steps back the furthest input lies whose gradient is 1 % of the largest."""
        felt = self.relative >= REACH
        first = numpy.where(felt.any(axis=1), felt.argmax(axis=1), numpy.arange(len(felt)))
        back: numpy.ndarray = numpy.arange(len(felt)) - first
        return back

    @cached_property
    def remaining(self) -> numpy.ndarray:
        """(T,): what is left so many steps back, as a part of the largest, on average over all steps that
        have so many before them."""
        return numpy.array([self.relative.diagonal(-back).mean() for back in range(len(self.array))])

    def html(self) -> str:
        """A page that loads nothing: point at a step, and the earlier ones are shaded."""
        return memory_page.page(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file that ends in .html.

        Raises:
            DrawError: another ending, or no permission to write there. What stood at ``path`` is then as
                before.
        """
        target = pathlib.Path(arguments.path("save: path", path))
        if target.suffix.lower() != ".html":
            raise DrawError(f"save: {target.name!r} does not end in .html: a memory is a page")
        atomic.write(target, self.html(), DrawError)

    def _repr_html_(self) -> str:
        """For what shows HTML: the page, in a frame."""
        return pages.framed(str(self), self.html(), height=560)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": str(self)}

    def __str__(self) -> str:
        count, furthest = len(self.array), int(self.horizon.argmax())
        ahead = self.tokens is not None  # in a text, what was predicted is one further
        unit = "step" if self.tokens is None else "character" if max(map(len, self.tokens)) == 1 else "token"
        broken = int((~numpy.isfinite(self.array)).any(axis=1).sum())
        not_finite = f"; the gradients of {broken:,} are not finite" if broken else ""
        return (
            f"memory over {count:,} {unit}{'s' * (count > 1)}: 1 % of the largest gradient reaches "
            f"{self.horizon.mean() + ahead:,.1f} {unit}s back on average, "
            f"{self.horizon[furthest] + ahead:,} at most (from {unit} {furthest + ahead:,}){not_finite}"
        )

    def __repr__(self) -> str:
        return f"<{self}>"


def memory(
    model: Callable[..., Any],
    inputs: ArrayLike,
    score: Score | None = None,
    *,
    tokens: str | Sequence[str] | None = None,
) -> Memory:
    """How much a model's prediction at each time step depends on each input before it: the sizes of the
    gradients, ‖∂scoreₜ/∂inputₛ‖, all of them at once.

    What :func:`flow` says of one loss, this says of the prediction at every step. The sizes are those of
    :func:`gradients`. Shading a text by them is due to A. Madsen, *Visualizing memorization in RNNs*, Distill
    (2019), which takes the logit for the score.

    >>> def half(x, h=0.0):
    ...     return tg.scan(lambda x, h: (0.5 * h + x, 0.5 * h + x), x, h + tg.zeros(x.shape[1:]))
    >>> tg.memory(half, np.ones((4, 1), np.float32)).array
    array([[1.   , 0.   , 0.   , 0.   ],
           [0.5  , 1.   , 0.   , 0.   ],
           [0.25 , 0.5  , 1.   , 0.   ],
           [0.125, 0.25 , 0.5  , 1.   ]], dtype=float32)

    Args:
        model: called with inputs (time, samples, …), it returns outputs (time, samples, …), or a pair of them
            and a state with which, as a second argument, it goes on: a layer does. Without a state it takes
            longer, by the square of the time. No sample may depend on another. Switch dropout off before, by
            ``model.eval()``.
        inputs: one sequence, (T, …), of floats: of class numbers their vectors, as ``model.embedding`` gives
            them.
        score: makes one number for each step, (N,), of outputs at N steps, (N, …), and an array of these
            steps: the log-probability of what comes next, for example. By default the output itself, where
            that is one number.
        tokens: for a text what each input stands for: characters or words. The scores are then taken to be
            those of the token that comes next: the page shades, for a token, what it was predicted from.

    Raises:
        ArgumentError: the model is stateful or drops some out, reads backwards too, does not go on from its
            state, or has no gradient; or the score of a step depends on other steps.
        ShapeError: outputs or scores have another shape, or inputs are no sequence.
        DataError: there are more than 5,000 steps, or not as many tokens as inputs.
    """
    model = arguments.function("memory: model", model)
    _refuse_kept_states(model)
    x = tensor(inputs)
    if x.dtype.kind != "f":
        raise arguments.refused(
            "memory: inputs", "floats, of class numbers the vectors of an embedding", inputs
        )
    if x.ndim < 2 or not x.size:
        raise ShapeError(
            f"memory: inputs are (time, …), at least one step and one feature, not {x.shape}: give a series "
            "of one feature as x[:, None]"
        )
    if x.shape[0] > LIMIT:
        raise DataError(f"memory: {x.shape[0]:,} steps are more than {LIMIT:,}: give a part of them")
    score = _itself if score is None else arguments.function("memory: score", score)
    if tokens is not None:
        expected = "a text or a list of strings"
        named = (
            tuple(tokens)
            if isinstance(tokens, str)
            else arguments.several("memory: tokens", tokens, expected)
        )
        tokens = [arguments.text("memory: tokens", token) for token in named]
        if len(tokens) != x.shape[0]:
            raise DataError(f"memory: {len(tokens):,} tokens for {x.shape[0]:,} inputs: give one for each")
    on_host, program = x.numpy(), sys._getframe(1)
    with no_collection(), recording(), x._backend.quiet(), _without_parameters(model):
        found = InputGradients(model, on_host, score, x._backend)
    with no_collection(), recording(), x._backend.quiet():
        return Memory(found, on_host, step_values(model, x, program), tokens)


@contextlib.contextmanager
def _without_parameters(model: Any) -> Iterator[None]:
    """A block in which no residuals are worked out for the parameters of a model, where it has some: nobody
    asks for these, and they are a third of the work."""
    parameters = getattr(model, "parameters", None)
    learned = [p for p in (parameters() if callable(parameters) else ()) if p.requires_grad]
    try:
        for parameter in learned:
            parameter.requires_grad = False
        yield
    finally:
        for parameter in learned:
            parameter.requires_grad = True


def _refuse_kept_states(model: Any) -> None:
    """
    Raises:
        ArgumentError: a layer of the model begins where the call before ended.
    """
    parts = getattr(model, "modules", None)
    for part in parts() if callable(parts) else ():
        if getattr(part, "stateful", False) is True:
            raise ArgumentError(
                f"memory: {type(part).__name__} is stateful and would begin where the last call ended: set "
                "its stateful to False meanwhile, or load its parameters into a layer that is not"
            )


def _itself(outputs: Tensor, steps: numpy.ndarray) -> Tensor:
    return outputs


__all__ = ["Memory", "memory"]
