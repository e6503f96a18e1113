"""Data of any nesting as samples: arrays, and lists of numbers or sequences, inside of tuples and dicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy

from .. import arguments, tree
from ..errors import ArgumentError, DataError, ShapeError
from .padding import Layout, Sequences, array_of


class Rows:
    """An array whose first axis are the samples. Where it is memory-mapped, only what is taken is read."""

    def __init__(self, name: str, array: numpy.ndarray) -> None:
        if not array.ndim:
            raise ShapeError(f"{name} is a number: the first axis of data are its samples")
        self.name: str = name
        self.array: numpy.ndarray = array

    def __len__(self) -> int:
        return len(self.array)

    def take(self, places: Any) -> numpy.ndarray:
        return self.array[places]


Column: TypeAlias = "Rows | Sequences"


class Samples:
    """Nested data whose parts have as many samples as each other.

    Args:
        call: the function that was called, for the text of errors.
        data: an array (N, …); a list of N numbers, or of N sequences (Tᵢ, …); or tuples and dicts of such,
            nested in any way.
        layout: how lists of sequences are padded.

    Raises:
        DataError: there are no samples.
        ShapeError: parts have different numbers of samples, or sequences do not fit each other.
        ArgumentError, DtypeError: something in it is neither.
    """

    def __init__(self, call: str, data: Any, layout: Layout) -> None:
        try:
            self._columns = _columns(call, "data", data, layout)
        except RecursionError:
            raise ArgumentError(f"{call}: data is a dict that holds itself, or is nested too deep") from None
        self.columns: list[Column] = []
        self.map(self.columns.append)
        if not self.columns:
            raise DataError(f"{call}: data holds no array and no list")
        self.count: int = len(self.columns[0])
        for column in self.columns:
            if len(column) != self.count:
                raise ShapeError(
                    f"{column.name} has {len(column)} samples, and "
                    f"{self.columns[0].name.removeprefix(f'{call}: ')} {self.count}: all parts of data must "
                    "have as many"
                )
        if not self.count:
            raise DataError(f"{call}: data has no samples")

    def map(self, function: Callable[[Column], Any]) -> Any:
        """What a function makes of each column, nested as the data."""
        return tree.map_leaves(function, self._columns)

    def take(self, places: Any) -> Any:
        """Some samples, nested as the data."""
        return self.map(lambda column: column.take(places))


def _columns(call: str, name: str, data: Any, layout: Layout) -> Any:
    """The nesting with a column for each part. A list is one: it is samples, not a nest."""
    if isinstance(data, dict):
        layouts = layout.parts(call, list(data), True)
        return {
            key: _columns(call, f"{name}[{key!r}]", part, own)
            for (key, part), own in zip(data.items(), layouts, strict=True)
        }
    if isinstance(data, tuple):
        layouts = layout.parts(call, range(len(data)), False)
        parts = [
            _columns(call, f"{name}[{i}]", part, own)
            for i, (part, own) in enumerate(zip(data, layouts, strict=True))
        ]
        kind: Any = type(data)
        return kind(*parts) if hasattr(data, "_fields") else tuple(parts)
    if isinstance(data, list) and data and _is_sequence(data[0]):
        return Sequences(call, name, data, layout)
    if data is None or isinstance(data, (str, bytes)):
        raise arguments.refused(f"{call}: {name}", "an array or a list, or tuples and dicts of them", data)
    return Rows(f"{call}: {name}", array_of(f"{call}: {name}", data))


def _is_sequence(sample: Any) -> bool:
    return isinstance(sample, (list, tuple, range)) or bool(getattr(sample, "shape", ()))


__all__ = ["Rows", "Samples"]
