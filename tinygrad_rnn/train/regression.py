"""Metrics of numbers: how far outputs are from targets. Targets that are NaN do not count."""

from __future__ import annotations

import math
from typing import Any

import numpy

from .. import arguments
from ..errors import ShapeError
from .metrics import Averaged, Metric, arrays


def known_numbers(
    metric: Any, outputs: Any, targets: Any
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Outputs and targets as float64, of one shape, and where targets are no NaN.

    Raises:
        ShapeError: outputs and targets have different shapes.
    """
    name, outputs, targets = arrays(metric, outputs, targets, metric.batch_first)
    if outputs.shape != targets.shape:
        raise ShapeError(f"{name}: outputs {outputs.shape} and targets {targets.shape} differ in shape")
    outputs, targets = outputs.astype(float), targets.astype(float)
    return outputs, targets, ~numpy.isnan(targets)


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
        outputs, targets, there = known_numbers(self, outputs, targets)
        self._count(float(numpy.abs(outputs - targets)[there].sum()), int(there.sum()))


class RootMeanSquaredError(Averaged):
    """The root of the mean of ``(output − target)²`` over all elements, of all batches together; targets that
    are NaN do not count.

    >>> rmse = tg.train.RootMeanSquaredError()
    >>> rmse.update([1.0, 2.0], [1.0, 2.0])
    >>> rmse.update([3.0, 4.0], [5.0, 6.0])
    >>> round(rmse.value(), 3)
    1.414

    Args:
        batch_first: whether padded targets are (B, T, …) instead of (T, B, …).
    """

    def update(self, outputs: Any, targets: Any) -> None:
        """Count a batch; as :meth:`MeanAbsoluteError.update`."""
        outputs, targets, there = known_numbers(self, outputs, targets)
        self._count(float(((outputs - targets)[there] ** 2).sum()), int(there.sum()))

    def value(self) -> float:
        """NaN where nothing was counted."""
        return math.sqrt(super().value())


class R2(Metric):
    """The coefficient of determination, ``1 − Σ(output − target)² / Σ(target − mean of targets)²``: 1 for one
    who knows, 0 for one who always says the mean. Targets that are NaN do not count.

    >>> r2 = tg.train.R2()
    >>> r2.update([2.5, 0.0], [3.0, -0.5])
    >>> r2.update([2.0, 8.0], [2.0, 7.0])
    >>> round(r2.value(), 4)
    0.9486

    Args:
        features: whether the last axis are features, each with a mean and an R² of its own, of which the mean
            is taken; by default all elements are one series.
        batch_first: whether padded targets are (B, T, …) instead of (T, B, …).
    """

    greater_is_better: bool | None = True

    def __init__(self, features: bool = False, batch_first: bool = False) -> None:
        name = type(self).__name__
        self.features: bool = arguments.flag(f"{name}: features", features)
        self.batch_first: bool = arguments.flag(f"{name}: batch_first", batch_first)
        self.reset()

    def reset(self) -> None:
        self._parts: numpy.ndarray | None = None

    def update(self, outputs: Any, targets: Any) -> None:
        """Count a batch; as :meth:`MeanAbsoluteError.update`.

        Raises:
            ShapeError: outputs and targets have different shapes, or other features than before.
        """
        outputs, targets, there = known_numbers(self, outputs, targets)
        width = targets.shape[-1] if self.features and targets.ndim else 1
        y, t, known = (x.reshape(-1, width) for x in (outputs, targets, there))
        count = known.sum(0)
        mean = numpy.where(known, t, 0).sum(0) / numpy.maximum(count, 1)
        parts = numpy.stack([count, mean, _squares(t - mean, known), _squares(y - t, known)])
        if self._parts is None:
            self._parts = parts
        elif self._parts.shape != parts.shape:
            raise ShapeError(
                f"{type(self).__name__}: targets have {width} features, and had {self._parts.shape[1]} before"
            )
        else:
            self._parts = _together(self._parts, parts)

    def value(self) -> float:
        """NaN where nothing was counted, or a target never changes."""
        if self._parts is None:
            return math.nan
        _, _, spread, errors = self._parts
        return float((1 - errors / spread).mean()) if (spread > 0).all() else math.nan


def _squares(x: numpy.ndarray, known: numpy.ndarray) -> numpy.ndarray:
    return (numpy.where(known, x, 0) ** 2).sum(0)


def _together(first: numpy.ndarray, second: numpy.ndarray) -> numpy.ndarray:
    """Count, mean, squares around the mean and squared errors of two parts as one (Chan, Golub & LeVeque
    1979)."""
    (n, mean, spread, errors), (m, other, more, others) = first, second
    count = n + m
    whole, apart = numpy.maximum(count, 1), other - mean
    return numpy.stack(
        [count, mean + apart * m / whole, spread + more + apart**2 * n * m / whole, errors + others]
    )
