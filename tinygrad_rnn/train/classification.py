"""Metrics that compare predicted classes with true ones."""

from __future__ import annotations

import math
from typing import Any

import numpy

from .. import arguments
from ..errors import DataError, DtypeError, ShapeError
from .metrics import Metric, arrays


def logits_of(outputs: numpy.ndarray, targets: numpy.ndarray) -> numpy.ndarray | None:
    """One logit for each target, of the shape of targets; None where outputs are something else."""
    if outputs.dtype.kind != "f":
        return None
    if outputs.shape == (*targets.shape, 1):
        return outputs[..., 0]
    return outputs if outputs.shape == targets.shape else None


def decisions(name: str, targets: numpy.ndarray) -> numpy.ndarray:
    """Targets of logits as whole numbers.

    Raises:
        DataError: one is neither 0 nor 1, nor below 0.
    """
    whole = (
        targets.astype(numpy.int64) if targets.dtype.kind != "f" or numpy.isfinite(targets).all() else None
    )
    if whole is None or (whole > 1).any() or (whole != targets).any():
        raise DataError(
            f"{name}: outputs are a logit for each target, so targets must be 0 or 1, or below 0 where they "
            f"do not count; got {arguments.shown(targets)}"
        )
    return whole


class Confusion(Metric):
    """A metric of the table of true and predicted classes; targets below 0 do not count."""

    greater_is_better: bool | None = True

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
                ``targets``; or floats as ``targets``, or (…, 1): a logit for each decision between two
                classes, as :func:`tinygrad_rnn.bce_with_logits` takes it. Above 0 it is for class 1.
            targets: (…) whole numbers, the true classes; those below 0 do not count, as padding. Of two
                classes also bools, or floats that are 0 or 1. Or a pair of them, padded (T, B) or with
                ``batch_first`` (B, T), and their lengths (B,). One-hot vectors are no classes: each element
                would be a decision by itself. Give ``argmax(-1)`` of them.

        Raises:
            ShapeError, DtypeError: they do not belong together.
            DataError: targets of a logit are neither 0 nor 1.
        """
        name, outputs, targets = arrays(self, outputs, targets, self.batch_first)
        logits = logits_of(outputs, targets)
        if logits is not None:
            classes, outputs, targets = 2, logits > 0, decisions(name, targets)
        elif targets.dtype.kind not in "iub":
            raise DtypeError(f"{name}: targets are classes, whole numbers, not {targets.dtype}")
        elif (
            outputs.ndim == targets.ndim + 1 and outputs.shape[:-1] == targets.shape and outputs.shape[-1] > 1
        ):
            classes, outputs = outputs.shape[-1], outputs.argmax(-1)
        elif outputs.shape == targets.shape and outputs.dtype.kind in "iub":
            classes = 1
        else:
            raise ShapeError(
                f"{name}: outputs must be scores (…, classes) beside targets (…), classes as they are, or a "
                "logit for each; "
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


class Averages(Confusion):
    """A metric with a value for each class, and their mean, as scikit-learn has it. A class that neither
    occurs nor is predicted has none, and does not count.

    Args:
        average: the mean over classes ("macro"), all decisions together ("micro"), or class 1 ("binary").
        classes, batch_first: as of :class:`Accuracy`.

    Raises:
        ArgumentError: another ``average``.
    """

    def __init__(self, average: str = "macro", classes: int | None = None, batch_first: bool = False) -> None:
        self.average: str = arguments.choice(
            f"{type(self).__name__}: average", average, ("macro", "micro", "binary")
        )
        super().__init__(classes, batch_first)

    def _share(self, right: numpy.ndarray, true: numpy.ndarray, predicted: numpy.ndarray) -> Any:
        """A part of the decisions that are right, and how many they are counted among."""
        raise NotImplementedError

    def value(self) -> float:
        """NaN where nothing was counted."""
        table = self.table.astype(float)
        counts = [numpy.diagonal(table), table.sum(1), table.sum(0)]
        if self.average == "micro":
            counts = [count.sum(keepdims=True) for count in counts]
        elif self.average == "binary":
            counts = [count[1:2] for count in counts]
        seen = counts[1] + counts[2] > 0
        part, whole = self._share(*(count[seen] for count in counts))
        return float((part / numpy.maximum(whole, 1)).mean()) if seen.any() else math.nan


class F1(Averages):
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

    def _share(self, right: numpy.ndarray, true: numpy.ndarray, predicted: numpy.ndarray) -> Any:
        return 2 * right, true + predicted


class Precision(Averages):
    """The share of predictions of a class that are right: of class 1 ("binary"), the mean over classes
    ("macro"), or of all decisions together ("micro"). It is 0 for a class that occurs and is never predicted.

    >>> precision = tg.train.Precision("binary")
    >>> precision.update([1, 1, 0, 0], [1, 0, 0, 1])
    >>> precision.value()
    0.5

    Args:
        average: "macro", "micro" or "binary".
        classes, batch_first: as of :class:`Accuracy`.

    Raises:
        ArgumentError: another ``average``.
    """

    def _share(self, right: numpy.ndarray, true: numpy.ndarray, predicted: numpy.ndarray) -> Any:
        return right, predicted


class Recall(Averages):
    """The share of a class that is found: of class 1 ("binary"), the mean over classes ("macro"), or of all
    decisions together ("micro"). It is 0 for a class that is predicted and never occurs.

    >>> recall = tg.train.Recall("binary")
    >>> recall.update([1.5, 2.0, -0.3, -1.0], [1.0, 0.0, 1.0, 1.0])
    >>> round(recall.value(), 3)
    0.333

    Args:
        average: "macro", "micro" or "binary".
        classes, batch_first: as of :class:`Accuracy`.

    Raises:
        ArgumentError: another ``average``.
    """

    def _share(self, right: numpy.ndarray, true: numpy.ndarray, predicted: numpy.ndarray) -> Any:
        return right, true


class ConfusionMatrix(Confusion):
    """How often each true class (line) was taken for each class (column). Training cannot go by it: it is a
    table.

    >>> matrix = tg.train.ConfusionMatrix(2)
    >>> matrix.update([1, 1, 0], [1, 0, 0])
    >>> matrix.value().tolist()
    [[1, 1], [0, 1]]

    Args:
        classes, batch_first: as of :class:`Accuracy`.
    """

    def value(self) -> numpy.ndarray:
        return self.table.copy()
