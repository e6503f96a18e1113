"""Series with gaps: what was observed, what stands in its place, and how long ago that was."""

from __future__ import annotations

from typing import Any

import numpy

from .. import arguments
from ..errors import DataError, ShapeError
from ..ops import ArrayLike
from .padding import array_of
from .scaling import floats_of


def missing(
    x: ArrayLike, times: ArrayLike | None = None, fill: str = "zero", batch_first: bool = False
) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Missing values, which are NaN in x, as a mask and as the time since each feature was last observed: the
    inputs of GRU-D (Che et al. 2018, "Recurrent Neural Networks for Multivariate Time Series with Missing
    Values", section "Notations").

    δ₁ = 0, and δₜ = sₜ − sₜ₋₁ where the value before was observed, sₜ − sₜ₋₁ + δₜ₋₁ where it was not.

    >>> x = np.array([[1.0], [np.nan], [np.nan], [4.0]])
    >>> values, mask, delta = tg.data.missing(x, times=[0.0, 0.5, 2.0, 3.0], fill="forward")
    >>> values.ravel().tolist(), mask.ravel().tolist(), delta.ravel().tolist()
    ([1.0, 1.0, 1.0, 4.0], [True, False, False, True], [0.0, 0.5, 2.0, 3.0])

    Args:
        x: (T, …): (T, features), (T, B, features), or (T,) for one feature.
        times: (T,) or (T, B), or of x's shape: when each step is, never falling, in any unit; 0, 1, 2, … by
            default.
        fill: what stands for a missing value: ``"zero"``, which is the mean of what
            :class:`tinygrad_rnn.data.Standard` scaled; or ``"forward"``, the last one observed, and zero
            before the first.
        batch_first: x is (B, T, …), and times (B, T) or (T,).

    Returns:
        The values without NaN, the mask, True where x was observed, and δ in the unit of times: three arrays
            of x's shape.

    Raises:
        ShapeError: x has no steps, or times do not fit it.
        DataError: times fall, or are not finite.
        DtypeError, ArgumentError: an argument is of the wrong kind.
    """
    batch_first = arguments.flag("missing: batch_first", batch_first)
    fill = arguments.choice("missing: fill", fill, ("zero", "forward"))
    x = floats_of("missing: x", x)
    if x.ndim <= batch_first:
        raise ShapeError(f"missing: x has shape {x.shape}: it has no axis of steps")
    series = x.swapaxes(0, 1) if batch_first else x
    s = _times(times, series, batch_first)
    mask = ~numpy.isnan(series)
    steps = numpy.arange(len(series)).reshape((-1,) + (1,) * (series.ndim - 1))
    last = numpy.maximum.accumulate(numpy.where(mask, steps, -1), axis=0)  # −1: not observed yet
    before = numpy.maximum(numpy.concatenate([numpy.zeros_like(last[:1]), last[:-1]]), 0)
    delta = (s - numpy.take_along_axis(s, before, 0)).astype(x.dtype)
    if fill == "zero":
        values = numpy.where(mask, series, 0)
    else:
        known = numpy.take_along_axis(series, numpy.maximum(last, 0), 0)
        values = numpy.where(last < 0, 0, known)
    found = values.astype(x.dtype, copy=False), mask, delta
    if not batch_first:
        return found
    values, mask, delta = (numpy.ascontiguousarray(part.swapaxes(0, 1)) for part in found)
    return values, mask, delta


def _times(times: Any, series: numpy.ndarray, batch_first: bool) -> numpy.ndarray:
    """When each value of a series (T, …) is, of its shape."""
    if times is None:
        times = numpy.arange(len(series))
    s = array_of("missing: times", times, numpy.float64).astype(numpy.float64)
    s = s.swapaxes(0, 1) if batch_first and s.ndim > 1 else s
    if not s.ndim or s.shape != series.shape[: s.ndim]:
        raise ShapeError(
            f"missing: times have shape {s.shape}, laid out time first, and x {series.shape}: expected "
            f"{series.shape[:1]}, or more of its axes"
        )
    if not numpy.isfinite(s).all():
        raise DataError(f"missing: times at {numpy.argwhere(~numpy.isfinite(s))[0].tolist()} is not finite")
    falls = numpy.argwhere(numpy.diff(s, axis=0) < 0)
    if len(falls):
        raise DataError(f"missing: times fall after step {falls[0][0]}: sort the steps by time")
    return numpy.broadcast_to(s.reshape(s.shape + (1,) * (series.ndim - s.ndim)), series.shape)


__all__ = ["missing"]
