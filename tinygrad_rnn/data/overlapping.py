"""Windows that overlap, each a sample with what follows it."""

from __future__ import annotations

import numpy
from numpy.lib.stride_tricks import sliding_window_view

from .. import arguments
from ..errors import DataError, ShapeError
from ..ops import ArrayLike
from .padding import array_of


def sliding(
    series: ArrayLike, length: int, horizon: int = 1, stride: int = 1, targets: ArrayLike | None = None
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Windows that slide over a series, and for each what follows it: samples for a forecast, each read with
    a new state.

    Both are views that nobody can write into: nothing is copied, and of a memory-mapped series only what is
    asked for is read. Samples overlap, so cut a series into training and validation first, and let windows
    slide over each part: shuffled and split afterwards, nearly every sample of validation would have been
    seen in training.

    >>> x, y = tg.data.sliding(np.arange(6), 3, horizon=2)
    >>> x.tolist(), y.tolist()
    ([[0, 1, 2], [1, 2, 3]], [[3, 4], [4, 5]])
    >>> series = np.zeros((100, 5), "float32")
    >>> x, y = tg.data.sliding(series, 24, stride=4, targets=series[:, 0])
    >>> x.shape, y.shape
    ((19, 24, 5), (19, 1))
    >>> [x.shape for x, y in tg.data.batches((x, y), 16)]
    [(16, 24, 5), (3, 24, 5)]

    Args:
        series: (N, …): (N, features), or (N,) for tokens. Layers take floats with an axis of features: give a
            series of one feature as ``x[:, None]``.
        length: how many steps a window has.
        horizon: how many steps after a window are its target.
        stride: how many steps lie between the starts of two windows.
        targets: (N, …), another series of the same steps, which is to be told; by default ``series``.

    Returns:
        Windows (samples, length, …) and targets (samples, horizon, …). Batches of them are (B, T, …): for
        layers with ``batch_first=True``.

    Raises:
        DataError: there are not ``length + horizon`` steps.
        ShapeError: the series is a number, or targets have another number of steps.
        ArgumentError, DtypeError: an argument is of the wrong kind.
    """
    length, horizon, stride = (
        arguments.size(f"sliding: {name}", value, 1)
        for name, value in (("length", length), ("horizon", horizon), ("stride", stride))
    )
    array = array_of("sliding: series", series)
    if not array.ndim:
        raise ShapeError("sliding: series is a number: its first axis are its steps")
    steps = len(array)
    told = array if targets is None else array_of("sliding: targets", targets)
    if told.shape[:1] != (steps,):
        raise ShapeError(
            f"sliding: targets have shape {told.shape}, and series has {steps} steps: give as many"
        )
    if steps < length + horizon:
        raise DataError(
            f"sliding: series has {steps} steps; a window of {length} and the {horizon} after it need "
            f"{length + horizon}"
        )
    return _windows(array[:-horizon], length, stride), _windows(told[length:], horizon, stride)


def _windows(array: numpy.ndarray, length: int, stride: int) -> numpy.ndarray:
    """(samples, length, …), a view."""
    return numpy.moveaxis(sliding_window_view(array, length, axis=0)[::stride], -1, 1)


__all__ = ["sliding"]
