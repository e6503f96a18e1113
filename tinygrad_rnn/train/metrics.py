"""What metrics share: numbers that tell how good outputs are, over all batches of an evaluation.

Each counts along: ``reset``, ``update(outputs, targets)`` for each batch, ``value``. Outputs and targets are
NumPy arrays there. Targets may be a pair of padded targets and lengths: what is padding does not count.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from .. import arguments
from ..errors import ArgumentError, TinygradRNNError
from .padded import counted


class Metric:
    """What metrics share. One of your own has these three methods, and ``greater_is_better`` if training is
    to go by it. Outputs and targets come to it nested as the batch has them, a pair of padded targets and
    lengths as that pair.

    Of several outputs a metric takes one in a line of its own:

    >>> class OfTags(tg.train.Accuracy):
    ...     def update(self, outputs, targets):
    ...         super().update(outputs["tags"], targets["tags"])

    >>> class Largest(tg.train.Metric):
    ...     def reset(self):
    ...         self.most = 0.0
    ...     def update(self, outputs, targets):
    ...         self.most = max(self.most, float(abs(outputs - targets).max()))
    ...     def value(self):
    ...         return self.most
    >>> largest = Largest()
    >>> largest.reset()
    >>> largest.update(np.array([1.0, 2.0]), np.array([1.0, 5.0]))
    >>> largest.value()
    3.0
    """

    greater_is_better: bool | None = None
    """Whether training that looks at it keeps the model where it is largest, or where it is smallest; None:
    nothing says, and then training cannot go by it."""

    def reset(self) -> None:
        """Begin to count."""
        raise NotImplementedError

    def update(self, outputs: Any, targets: Any) -> None:
        """Count a batch."""
        raise NotImplementedError

    def value(self) -> Any:
        """What was counted: a number; a :class:`ConfusionMatrix` has a table."""
        raise NotImplementedError


class Averaged(Metric):
    """A metric that is a mean of parts, each with its weight."""

    greater_is_better: bool | None = False

    def __init__(self, batch_first: bool = False) -> None:
        self.batch_first: bool = arguments.flag(f"{type(self).__name__}: batch_first", batch_first)
        self.reset()

    def reset(self) -> None:
        self._total = self._weight = 0.0

    def _count(self, total: float, weight: float) -> None:
        self._total += total
        self._weight += weight

    def value(self) -> float:
        """NaN where nothing was counted."""
        return self._total / self._weight if self._weight else math.nan


def arrays(
    metric: Any, outputs: Any, targets: Any, batch_first: bool
) -> tuple[str, numpy.ndarray, numpy.ndarray]:
    """The metric's name, and outputs and targets on the host, without what is padding.

    Raises:
        ArgumentError: they are several outputs.
        ShapeError, DtypeError: they are no arrays, or do not belong to lengths.
    """
    name = type(metric).__name__
    if isinstance(outputs, dict) or isinstance(targets, dict):
        raise ArgumentError(
            f"{name}: outputs and targets are one array each, and here is a dict: write a class of {name} "
            "whose update takes one of them, as tg.train.Metric shows"
        )
    try:
        return name, *counted(name, outputs, targets, batch_first)
    except TinygradRNNError as error:
        if str(error).startswith(f"{name}: "):
            raise
        raise type(error)(f"{name}: {error}") from error


def checked_metrics(call: str, metrics: Any) -> dict[str, Any]:
    """Metrics by name.

    Raises:
        ArgumentError: one has not the three methods, or its name is taken.
    """
    checked = dict(arguments.mapping(f"{call}: metrics", {} if metrics is None else metrics))
    for name, metric in checked.items():
        methods = [callable(getattr(metric, part, None)) for part in ("reset", "update", "value")]
        if isinstance(metric, type) or not (all(methods) or callable(metric)):
            raise ArgumentError(
                f"{call}: metrics: {name!r} is neither a tg.train.Metric, such as tg.train.Accuracy(), nor "
                f"a function of outputs and targets: {arguments.shown(metric)}"
            )
        if not isinstance(name, str):
            raise arguments.refused(f"{call}: metrics", "by name, a word", name)
        if name in ("step", "epoch", "loss", "norm", "rate", "validation_loss"):
            raise ArgumentError(f"{call}: metrics: {name!r} is no name for one: it is in the history already")
    return checked
