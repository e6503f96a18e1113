"""Series brought to a common scale, and back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, overload

import numpy

from .. import arguments
from ..errors import ArgumentError, CheckpointError, DataError, ShapeError
from ..ops import ArrayLike
from ..tape import host
from .padding import Layout, Sequences, array_of

Fitted = TypeVar("Fitted", bound="Scaler")

BLOCK = 1 << 20
"""How many numbers of a series are looked at at once: one that is memory-mapped need not fit in memory."""


def floats_of(what: str, x: Any) -> numpy.ndarray:
    """The array as floats: its own, or the default ones of whole numbers."""
    array = array_of(what, x)
    return array if array.dtype.kind == "f" else array.astype(host.default_dtype)


class Moments:
    """What series tell of each feature.

    Attributes:
        least, most: (features,) float64; without axes for series (T,).

    Raises:
        DataError: a feature has no value, or an infinite one.
        ShapeError: there is no series, or they have different features.
    """

    def __init__(self, what: str, series: list[tuple[str, numpy.ndarray]]) -> None:
        for name, array in series:
            if not array.ndim:
                raise ShapeError(f"{what}: {name} is a number: a series has a first axis, of its steps")
        self._arrays = [array for _, array in series]
        features = self._arrays[0].shape[-1:] if self._arrays[0].ndim > 1 else ()
        self.least: numpy.ndarray = numpy.full(features, numpy.inf)
        self.most: numpy.ndarray = -self.least
        self._count = numpy.zeros(features)
        for block, seen in self._blocks():
            self._count += seen.sum(0)
            self.least = numpy.minimum(self.least, block.min(0, initial=numpy.inf, where=seen))
            self.most = numpy.maximum(self.most, block.max(0, initial=-numpy.inf, where=seen))
        for wrong, said in (
            (self._count == 0, "no value: leave it out"),
            (
                numpy.isinf(self.least) | numpy.isinf(self.most),
                "an infinite value: make it NaN to leave it out",
            ),
        ):
            if wrong.any():
                place = numpy.argwhere(wrong)[0].tolist()
                raise DataError(f"{what}: {f'feature {place[0]} of x' if place else 'x'} has {said}")

    def _blocks(self) -> Iterator[tuple[numpy.ndarray, numpy.ndarray]]:
        """The series (rows, features) part by part, and where they are not NaN."""
        for array in self._arrays:
            rows = max(1, BLOCK // max(1, math.prod(array.shape[1:])))
            for start in range(0, len(array), rows):
                block = array[start : start + rows].astype(numpy.float64).reshape((-1, *self.least.shape))
                yield block, ~numpy.isnan(block)

    def mean(self) -> numpy.ndarray:
        # from the least value, so that the mean of equal numbers is that number
        sums = sum((block - self.least).sum(0, where=seen) for block, seen in self._blocks())
        return self.least + sums / self._count

    def deviation(self) -> numpy.ndarray:
        # of shares of the range, whose squares neither overflow nor vanish
        mean, spread = self.mean(), numpy.where(self.most > self.least, self.most - self.least, 1.0)
        squares = sum((((block - mean) / spread) ** 2).sum(0, where=seen) for block, seen in self._blocks())
        return spread * numpy.sqrt(squares / self._count)


class Scaler(ABC):
    """(x − shift) / scale for each feature; what both are is learned from data.

    Attributes:
        shift, scale: (features,) float64; without axes for one feature. None before :meth:`fit`.
    """

    shift: numpy.ndarray | None = None
    scale: numpy.ndarray | None = None

    @abstractmethod
    def _learned(self, moments: Moments) -> tuple[Any, Any]:
        """Shift and scale."""

    def fit(self: Fitted, x: ArrayLike) -> Fitted:
        """Learn shift and scale from training data, over all axes but the last, and return the scaler. NaN is
        missing, and is left out.

        Args:
            x: (…, features), such as (T, B, features); (T,) is a series of one feature. Or a list of series
                (Tᵢ, features) or (Tᵢ,). Fit before padding: what is padded would count.

        Raises:
            DataError: a feature has no value, or an infinite one.
            ShapeError, DtypeError: x is no series.
        """
        moments = Moments(f"{type(self).__name__}.fit", _series(f"{type(self).__name__}.fit", x))
        with numpy.errstate(over="ignore", invalid="ignore"):
            shift, scale = (numpy.asarray(part) for part in self._learned(moments))
        if not (numpy.isfinite(shift).all() and numpy.isfinite(scale).all() and (scale > 0).all()):
            raise DataError(f"{type(self).__name__}.fit: x spreads wider than float64 reaches: scale it down")
        self.shift, self.scale = shift, scale
        return self

    @overload
    def transform(self, x: numpy.ndarray) -> numpy.ndarray: ...

    @overload
    def transform(self, x: list[numpy.ndarray]) -> list[numpy.ndarray]: ...

    def transform(self, x: Any) -> Any:
        """(x − shift) / scale, in x's float dtype. NaN stays NaN; of a list, each series.

        Raises:
            DataError: nothing was fitted before.
            ShapeError: x has other features.
        """
        return self._each("transform", x, lambda x, shift, scale: (x - shift) / scale)

    @overload
    def inverse(self, x: numpy.ndarray) -> numpy.ndarray: ...

    @overload
    def inverse(self, x: list[numpy.ndarray]) -> list[numpy.ndarray]: ...

    def inverse(self, x: Any) -> Any:
        """x · scale + shift, back from what :meth:`transform` gives: forecasts in the units of the data.

        Raises:
            DataError: nothing was fitted before.
            ShapeError: x has other features.
        """
        return self._each("inverse", x, lambda x, shift, scale: x * scale + shift)

    def _each(self, method: str, x: Any, function: Any) -> Any:
        what = f"{type(self).__name__}.{method}"
        shift, scale = self.shift, self.scale
        if shift is None or scale is None:
            raise DataError(f"{what}: there is no scale yet: call fit with the training data before")
        done = []
        for name, array in _series(what, x):
            if shift.ndim and array.shape[-1:] != shift.shape:
                raise ShapeError(
                    f"{what}: {name} has shape {array.shape}; expected {shift.shape[0]} features as its last "
                    "axis"
                )
            floats = floats_of(f"{what}: {name}", array)
            done.append(function(floats.astype(numpy.float64), shift, scale).astype(floats.dtype))
        return done if _is_list(x) else done[0]

    def state_dict(self) -> dict[str, numpy.ndarray]:
        """Shift and scale by name, as ``tg.save`` takes them; {} before :meth:`fit`."""
        if self.shift is None or self.scale is None:
            return {}
        return {"shift": self.shift.copy(), "scale": self.scale.copy()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take over what another scaler has learned.

        Raises:
            CheckpointError: the state is none of a scaler.
        """
        name = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state, Mapping) or state.keys() - {"shift", "scale"} or len(state) == 1:
            raise CheckpointError(
                f"{name}: state must be a dict with shift and scale, not {arguments.shown(state)}"
            )
        if not state:
            self.shift = self.scale = None
            return
        shift, scale = (array_of(f"{name}: {key} of state", state[key]) for key in ("shift", "scale"))
        if shift.ndim > 1 or shift.shape != scale.shape:
            raise CheckpointError(f"{name}: state has a shift of {shift.shape}, and a scale of {scale.shape}")
        if not (numpy.isfinite(shift).all() and numpy.isfinite(scale).all() and (scale > 0).all()):
            raise CheckpointError(f"{name}: state must hold finite numbers, and scales above 0")
        self.shift, self.scale = (array.astype(numpy.float64) for array in (shift, scale))


class Standard(Scaler):
    """Mean 0 and standard deviation 1 for each feature, over all samples and steps.

    >>> scaler = tg.data.Standard().fit(np.array([[1.0, 7.0], [3.0, 7.0]]))
    >>> scaler.transform(np.array([[3.0, 7.0], [5.0, np.nan]]))
    array([[ 1.,  0.],
           [ 3., nan]])
    >>> scaler.inverse(np.array([[1.0, 0.0]])).tolist()
    [[3.0, 7.0]]

    The deviation is that of the data, divided by their number, as scikit-learn's ``StandardScaler`` has it. A
    feature that is constant is shifted only: its scale is 1.
    """

    def _learned(self, moments: Moments) -> tuple[Any, Any]:
        constant = moments.least == moments.most
        return moments.mean(), numpy.where(constant, 1.0, moments.deviation())


class MinMax(Scaler):
    """The least value of each feature at ``low``, the most at ``high``.

    >>> scaler = tg.data.MinMax(-1, 1).fit(np.array([2.0, 4.0, np.nan, 6.0]))
    >>> scaler.transform(np.array([2.0, 5.0])).tolist()
    [-1.0, 0.5]

    A feature that is constant is shifted only, to ``low``: its scale is 1. Data beyond those fitted come to
    lie beyond ``low`` and ``high``.

    Args:
        low, high: the bounds.

    Raises:
        ArgumentError: low is not below high.
    """

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        self.low: float = arguments.real("MinMax: low", low)
        self.high: float = arguments.real("MinMax: high", high)
        if self.low >= self.high:
            raise ArgumentError(f"MinMax: low must be below high, not {self.low:g} beside {self.high:g}")

    def _learned(self, moments: Moments) -> tuple[Any, Any]:
        constant = moments.least == moments.most
        scale = numpy.where(constant, 1.0, (moments.most - moments.least) / (self.high - self.low))
        return moments.least - self.low * scale, scale


def _is_list(x: Any) -> bool:
    """Whether x is a list of series, not one."""
    return isinstance(x, (list, tuple)) and bool(x) and bool(getattr(x[0], "shape", isinstance(x[0], list)))


def _series(what: str, x: Any) -> list[tuple[str, numpy.ndarray]]:
    """The series in what was given, each with its name."""
    if _is_list(x):
        arrays = Sequences(what, "x", x, Layout()).arrays
        return [(f"x[{i}]", array) for i, array in enumerate(arrays)]
    return [("x", array_of(f"{what}: x", x))]


__all__ = ["MinMax", "Scaler", "Standard", "floats_of"]
