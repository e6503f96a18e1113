"""Metrics of scores: how they rank what is true, and how sure they are of it."""

from __future__ import annotations

import math
from typing import Any

import numpy

from .. import arguments
from ..errors import DataError, ShapeError
from .classification import decisions, logits_of
from .metrics import Averaged, Metric, arrays

_LARGEST = 709.0
"""exp of more is no float."""


class AreaUnderCurve(Metric):
    """The area under the ROC curve: how often, of one sample of each class, that of class 1 has the greater
    score; equal scores count half. It is computed from ranks (Mann & Whitney 1947), without thresholds, and
    holds all scores until it is reset.

    >>> area = tg.train.AreaUnderCurve()
    >>> area.update([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    >>> area.value()
    0.75

    Args:
        batch_first: whether padded targets are (B, T) instead of (T, B).
    """

    greater_is_better: bool | None = True

    def __init__(self, batch_first: bool = False) -> None:
        self.batch_first: bool = arguments.flag(f"{type(self).__name__}: batch_first", batch_first)
        self.reset()

    def reset(self) -> None:
        self._scores: list[numpy.ndarray] = []
        self._targets: list[numpy.ndarray] = []

    def update(self, outputs: Any, targets: Any) -> None:
        """Count a batch.

        Args:
            outputs: scores or logits for class 1, as ``targets`` or (…, 1); or those of both classes (…, 2).
            targets: (…), 0 or 1, as whole numbers, floats or bools; those below 0 do not count. Or a pair of
                them, padded (T, B), and their lengths (B,).

        Raises:
            ShapeError: they do not belong together.
            DataError: a target is neither 0 nor 1, or a score is NaN.
        """
        name, outputs, targets = arrays(self, outputs, targets, self.batch_first)
        scores = outputs.astype(float)
        if scores.shape == (*targets.shape, 2):
            scores = scores[..., 1] - scores[..., 0]
        logits = logits_of(scores, targets)
        if logits is None:
            raise ShapeError(
                f"{name}: outputs must be a score for each target, or (…, 1), or (…, 2) of both classes; got "
                f"{list(outputs.shape)} and {list(targets.shape)}"
            )
        targets = decisions(name, targets)
        known = targets >= 0
        _refuse_nan(name, logits[known])
        self._scores.append(logits[known])
        self._targets.append(targets[known] == 1)

    def value(self) -> float:
        """NaN where one of the classes was not seen."""
        scores, of_one = (numpy.concatenate([[], *parts]) for parts in (self._scores, self._targets))
        ones = int(of_one.sum())
        pairs = ones * (len(of_one) - ones)
        if not pairs:
            return math.nan
        _, places, counts = numpy.unique(scores, return_inverse=True, return_counts=True)
        twice = 2 * counts.cumsum() - counts + 1  # twice the mean rank of equal scores
        above = int(twice[places][of_one == 1].sum()) - ones * (ones + 1)
        return above / (2 * pairs)


class TopK(Averaged):
    """The share of samples whose true class is among the k with the largest scores. Where further classes
    have the same score as the true one, it counts by the share of them that has a place.

    >>> top = tg.train.TopK(2)
    >>> top.update([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]], [1, 2])
    >>> top.value()
    0.5

    Args:
        k: how many classes.
        batch_first: whether padded targets are (B, T) instead of (T, B).
    """

    greater_is_better: bool | None = True

    def __init__(self, k: int = 5, batch_first: bool = False) -> None:
        self.k: int = arguments.size(f"{type(self).__name__}: k", k, 1)
        super().__init__(batch_first)

    def update(self, outputs: Any, targets: Any) -> None:
        """Count a batch.

        Args:
            outputs: (…, classes) scores.
            targets: (…) whole numbers, the classes; those below 0 do not count. Or a pair of them, padded
                (T, B), and their lengths (B,).

        Raises:
            ShapeError: they do not belong together, or there are less than k classes.
            DataError: a score is NaN.
        """
        name, rows, classes = known_rows(self, outputs, targets)
        if self.k > rows.shape[-1]:
            raise ShapeError(f"{name}: k is {self.k}, and outputs have {rows.shape[-1]} classes")
        _refuse_nan(name, rows)
        true = rows[numpy.arange(len(rows)), classes][:, None]
        places = (self.k - (rows > true).sum(-1)) / (rows == true).sum(-1)
        self._count(float(places.clip(0, 1).sum()), len(rows))


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
        _, rows, classes = known_rows(self, outputs, targets)
        most = rows.max(-1, keepdims=True, initial=-math.inf)
        logs = rows - most - numpy.log(numpy.exp(rows - most).sum(-1, keepdims=True))
        self._count(-float(logs[numpy.arange(len(rows)), classes].sum()), len(rows))

    def value(self) -> float:
        """NaN where nothing was counted."""
        if not self._weight:
            return math.nan
        mean = super().value()
        return math.exp(mean) if mean < _LARGEST else math.inf


def known_rows(metric: Any, outputs: Any, targets: Any) -> tuple[str, numpy.ndarray, numpy.ndarray]:
    """The metric's name, scores (n, classes) and classes (n,): those that count.

    Raises:
        ShapeError: they do not belong together.
    """
    name, outputs, targets = arrays(metric, outputs, targets, metric.batch_first)
    if outputs.shape[:-1] != targets.shape or targets.dtype.kind not in "iub" or not outputs.ndim:
        raise ShapeError(
            f"{name}: outputs must be (…, classes) scores beside classes (…): got "
            f"{outputs.dtype}{list(outputs.shape)} and {targets.dtype}{list(targets.shape)}"
        )
    known = targets >= 0
    rows, classes = outputs[known].astype(float), targets[known].astype(numpy.int64)
    if classes.size and int(classes.max()) >= rows.shape[-1]:
        raise ShapeError(f"{name}: a class is beyond the {rows.shape[-1]} of outputs")
    return name, rows, classes


def _refuse_nan(name: str, scores: numpy.ndarray) -> None:
    if numpy.isnan(scores).any():
        raise DataError(f"{name}: outputs hold NaN, which has no rank")
