"""Numbers that tell how good outputs are, over all batches of an evaluation.

Each counts along: ``reset``, ``update(outputs, targets)`` for each batch, ``value``. Outputs and targets are
NumPy arrays there. Targets may be a pair of padded targets and lengths: what is padding does not count.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from .. import arguments
from ..errors import ArgumentError, DtypeError, ShapeError
from .padded import counted

_LARGEST = 709.0
"""exp of more is no float."""


class Metric:
    """What metrics share. One of your own has these three methods. Outputs and targets come to it nested as
    the batch has them, a pair of padded targets and lengths as that pair.

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

    greater_is_better: bool = False
    """Whether training that looks at it keeps the model where it is largest."""

    def reset(self) -> None:
        """Begin to count."""
        raise NotImplementedError

    def update(self, outputs: Any, targets: Any) -> None:
        """Count a batch."""
        raise NotImplementedError

    def value(self) -> Any:
        """What was counted: a number; a :class:`ConfusionMatrix` has a table."""
        raise NotImplementedError


class Confusion(Metric):
    """A metric of the table of true and predicted classes; targets below 0 do not count."""

    greater_is_better = True

    def __init__(self, classes: int | None = None, batch_first: bool = False) -> None:
        name = type(self).__name__
        self.classes: int | None = arguments.optional(arguments.size, f"{name}: classes", classes, 1)
        self.batch_first: bool = arguments.flag(f"{name}: batch_first", batch_first)
        self.reset()

    def reset(self) -> None:
        size = self.classes or 0
        self.table: numpy.ndarray = numpy.zeros((size, size), numpy.int64)

    def update(self, outputs: Any, targets: Any) -> None:
        """Count a batch.

        Args:
            outputs: (…, classes) scores, the largest of which is the prediction; or predicted classes as
                ``targets``.
            targets: (…) whole numbers, the true classes; those below 0 do not count, as padding. Or a pair of
                them, padded (T, B) or with ``batch_first`` (B, T), and their lengths (B,).

        Raises:
            ShapeError, DtypeError: they do not belong together.
        """
        name = type(self).__name__
        outputs, targets = counted(name, outputs, targets, self.batch_first)
        if targets.dtype.kind not in "iub":
            raise DtypeError(f"{name}: targets are classes, whole numbers, not {targets.dtype}")
        if outputs.ndim == targets.ndim + 1 and outputs.shape[:-1] == targets.shape and outputs.shape[-1] > 1:
            classes, outputs = outputs.shape[-1], outputs.argmax(-1)
        elif outputs.shape == targets.shape and outputs.dtype.kind in "iub":
            classes = 1
        else:
            raise ShapeError(
                f"{name}: outputs must be scores (…, classes) beside targets (…), or classes as they are; "
                f"got {outputs.dtype}{list(outputs.shape)} and {targets.dtype}{list(targets.shape)}"
            )
        known = targets >= 0
        if (outputs[known] < 0).any():
            raise ShapeError(f"{name}: outputs hold a class below 0, which is none")
        true, predicted = targets[known].astype(numpy.int64), outputs[known].astype(numpy.int64)
        size = max(classes, len(self.table), *(int(x.max()) + 1 for x in (true, predicted) if x.size))
        if self.classes is not None and size > self.classes:
            raise ShapeError(f"{name}: there are classes beyond the {self.classes} that it was made for")
        grown = numpy.zeros((size, size), numpy.int64)
        grown[: len(self.table), : len(self.table)] = self.table
        numpy.add.at(grown, (true, predicted), 1)
        self.table = grown


class Accuracy(Confusion):
    """The share of predictions that are right.

    >>> accuracy = tg.train.Accuracy()
    >>> accuracy.update([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    >>> accuracy.value()
    0.5
    >>> accuracy.reset()
    >>> accuracy.update([[1, 2], [0, 1]], ([[1, 1], [0, 0]], [2, 1]))
    >>> round(accuracy.value(), 3)
    0.667

    Args:
        classes: how many there are; by default as many as were seen.
        batch_first: whether padded targets are (B, T) instead of (T, B).
    """

    def value(self) -> float:
        """NaN where nothing was counted."""
        total = int(self.table.sum())
        return float(numpy.trace(self.table)) / total if total else math.nan


class F1(Confusion):
    """2 · precision · recall / (precision + recall) of each class, and their mean ("macro"); or of all
    decisions together ("micro"); or of class 1 ("binary"). A class that neither occurs nor is predicted has
    none, and does not count.

    >>> f1 = tg.train.F1("binary")
    >>> f1.update([1, 1, 0, 0], [1, 0, 0, 0])
    >>> round(f1.value(), 3)
    0.667

    Args:
        average: "macro", "micro" or "binary".
        classes, batch_first: as of :class:`Accuracy`.

    Raises:
        ArgumentError: another ``average``.
    """

    def __init__(self, average: str = "macro", classes: int | None = None, batch_first: bool = False) -> None:
        self.average: str = arguments.choice("F1: average", average, ("macro", "micro", "binary"))
        super().__init__(classes, batch_first)

    def value(self) -> float:
        """NaN where nothing was counted."""
        right = numpy.diagonal(self.table).astype(float)
        either = (self.table.sum(0) + self.table.sum(1)).astype(float)  # true or predicted, twice if both
        if self.average == "micro":
            right, either = right.sum(keepdims=True), either.sum(keepdims=True)
        elif self.average == "binary":
            right, either = right[1:2], either[1:2]
        seen = either > 0
        return float((2 * right[seen] / either[seen]).mean()) if seen.any() else math.nan


class ConfusionMatrix(Confusion):
    """How often each true class (line) was taken for each class (column).

    >>> matrix = tg.train.ConfusionMatrix(2)
    >>> matrix.update([1, 1, 0], [1, 0, 0])
    >>> matrix.value().tolist()
    [[1, 1], [0, 1]]

    Args:
        classes, batch_first: as of :class:`Accuracy`.
    """

    def value(self) -> numpy.ndarray:
        return self.table.copy()


class Averaged(Metric):
    """A metric that is a mean of parts, each with its weight."""

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


class MeanAbsoluteError(Averaged):
    """The mean of ``|output − target|`` over all elements; targets that are NaN do not count.

    >>> mae = tg.train.MeanAbsoluteError()
    >>> mae.update([1.0, 2.0, 3.0], [1.0, 4.0, np.nan])
    >>> mae.value()
    1.0

    Args:
        batch_first: whether padded targets are (B, T, …) instead of (T, B, …).
    """

    def update(self, outputs: Any, targets: Any) -> None:
        """Count a batch.

        Args:
            outputs: as targets.
            targets: an array; or a pair of padded targets (T, B, …) and their lengths (B,).

        Raises:
            ShapeError: outputs and targets have different shapes.
        """
        outputs, targets = counted("MeanAbsoluteError", outputs, targets, self.batch_first)
        if outputs.shape != targets.shape:
            raise ShapeError(
                f"MeanAbsoluteError: outputs {outputs.shape} and targets {targets.shape} differ in shape"
            )
        there = ~numpy.isnan(targets)
        self._count(float(numpy.abs(outputs[there].astype(float) - targets[there]).sum()), int(there.sum()))


class Perplexity(Averaged):
    """exp of the mean cross entropy of classes: 1 for one who knows, the number of classes for one who
    guesses.

    >>> perplexity = tg.train.Perplexity()
    >>> perplexity.update(np.zeros((5, 4)), [0, 1, 2, 3, 0])
    >>> round(perplexity.value(), 6)
    4.0

    Args:
        batch_first: whether padded targets are (B, T) instead of (T, B).
    """

    def update(self, outputs: Any, targets: Any) -> None:
        """Count a batch.

        Args:
            outputs: (…, classes) logits.
            targets: (…) whole numbers, the classes; those below 0 do not count. Or a pair of them, padded
                (T, B), and their lengths (B,).

        Raises:
            ShapeError: they do not belong together.
        """
        outputs, targets = counted("Perplexity", outputs, targets, self.batch_first)
        if outputs.shape[:-1] != targets.shape or targets.dtype.kind not in "iub" or not outputs.ndim:
            raise ShapeError(
                f"Perplexity: outputs must be (…, classes) logits beside classes (…): got "
                f"{outputs.dtype}{list(outputs.shape)} and {targets.dtype}{list(targets.shape)}"
            )
        known = targets >= 0
        rows, classes = outputs[known].astype(float), targets[known]
        if classes.size and int(classes.max()) >= rows.shape[-1]:
            raise ShapeError(f"Perplexity: a class is beyond the {rows.shape[-1]} of outputs")
        most = rows.max(-1, keepdims=True, initial=-math.inf)
        logs = rows - most - numpy.log(numpy.exp(rows - most).sum(-1, keepdims=True))
        self._count(-float(logs[numpy.arange(len(rows)), classes].sum()), len(rows))

    def value(self) -> float:
        """NaN where nothing was counted."""
        if not self._weight:
            return math.nan
        mean = super().value()
        return math.exp(mean) if mean < _LARGEST else math.inf


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
