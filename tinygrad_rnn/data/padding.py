"""Sequences of different length as one array with lengths."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy

from .. import arguments
from ..errors import ArgumentError, DataError, DtypeError, ShapeError, TinygradRNNError
from ..ops import ArrayLike
from ..tape import host_array

Padding: TypeAlias = "float | Sequence[Padding] | Mapping[str, Padding] | None"
"""One value for all columns, or one for each, nested as the data."""

_KINDS = {"b": "bools", "i": "whole numbers", "u": "unsigned whole numbers", "f": "floats"}


def array_of(what: str, value: Any, floats: Any = None) -> numpy.ndarray:
    """The NumPy array of what a user hands over; an error says which part of it is none. Python floats get
    the dtype for them, by default the default one.

    A memory-mapped array is not read here.
    """
    try:
        return host_array(value, floats=floats)
    except TinygradRNNError as error:
        said = str(error).removeprefix(arguments.place(value))  # which is less exact
        raise type(error)(f"{what}: {said}") from error


@dataclass(frozen=True)
class Layout:
    """How sequences are padded, as :func:`pad_sequences` has it."""

    value: Any = 0
    length: int | None = None
    batch_first: bool = False
    side: str = "end"
    called: str = "value"
    """The argument that the value is of."""

    @classmethod
    def checked(
        cls,
        call: str,
        value: Any,
        padding: Any,
        length: Any = None,
        batch_first: Any = False,
        side: Any = "end",
    ) -> Layout:
        """From what a user gave; whether sequences can hold the value is looked at with them.

        Raises:
            ArgumentError: an argument has a value that it cannot have, or two say what to pad with.
        """
        if padding is not None and not (type(value) is int and value == 0):
            raise ArgumentError(f"{call}: value and padding both say what to pad with: give one of them")
        return cls(
            value if padding is None else padding,
            arguments.optional(arguments.size, f"{call}: length", length),
            arguments.flag(f"{call}: batch_first", batch_first),
            arguments.choice(f"{call}: side", side, ("end", "start")),
            "value" if padding is None else "padding",
        )

    def parts(self, call: str, keys: Sequence[Any], mapping: bool) -> list[Layout]:
        """The layout of each part of nested data: a value for all of them, or one for each.

        Args:
            call: the function that was called, for the text of errors.
            keys: what the parts are called.
            mapping: whether they are those of a dict.

        Raises:
            ArgumentError: the values are not nested as the data.
        """
        if self.called == "value" or arguments.is_one(self.value):
            return [self] * len(keys)
        what = f"{call}: {self.called}"
        expected = (
            f"a number, or a {'dict' if mapping else 'tuple'} with one for each of {list(keys)} of data"
        )
        if mapping != isinstance(self.value, Mapping):
            raise arguments.refused(what, expected, self.value)
        values = self.value if mapping else dict(enumerate(arguments.several(what, self.value, expected)))
        if values.keys() != set(keys):
            raise arguments.refused(what, expected, self.value)
        return [
            replace(self, value=0 if values[key] is None else values[key], called=f"{self.called}[{key!r}]")
            for key in keys
        ]


class Sequences:
    """Sequences (Tᵢ, …) whose steps have one shape and one kind of numbers.

    Args:
        call: the function that was called, for the text of errors.
        name: what to call the list.
        samples: the sequences.
        layout: how they are padded.

    Attributes:
        given: the samples as they were given.
        lengths: how many steps each has, (N,) int64.

    Raises:
        ShapeError, DtypeError: a sample is no sequence, or none like the others.
        ArgumentError, ShapeError: the padding is no number that they can hold, nor one for each feature.
    """

    def __init__(self, call: str, name: str, samples: Sequence[Any], layout: Layout) -> None:
        self.name: str = f"{call}: {name}"
        self.given: Sequence[Any] = samples
        self.arrays: list[numpy.ndarray] = [
            array_of(f"{self.name}[{i}]", sample) for i, sample in enumerate(samples)
        ]
        for i, array in enumerate(self.arrays):
            if not array.ndim:
                raise ShapeError(
                    f"{self.name}[{i}] is a number: a sequence has a first axis, of its steps; write [number]"
                )
        self._alike(name)
        self.lengths: numpy.ndarray = numpy.array([len(array) for array in self.arrays], dtype=numpy.int64)
        self.layout: Layout = layout
        self._value = _padding(f"{call}: {layout.called}", layout.value, self.dtype, self.arrays[0].shape[1:])
        longest = int(self.lengths.argmax())
        if layout.length is not None and layout.length < self.lengths[longest]:
            raise ShapeError(
                f"{self.name}[{longest}] has {self.lengths[longest]} steps, and length is {layout.length}: "
                "cut it, or give a larger length"
            )

    def _alike(self, name: str) -> None:
        filled = [i for i, array in enumerate(self.arrays) if array.size] or range(len(self.arrays))
        first = self.arrays[filled[0]]
        for i, array in enumerate(self.arrays):
            if array.shape[1:] != first.shape[1:]:
                raise ShapeError(
                    f"{self.name}[{i}] has steps of shape {array.shape[1:]}, and "
                    f"{name}[{filled[0]}] of shape {first.shape[1:]}: all must have the same features"
                )
        for i in filled:  # a list without numbers has none of any kind
            if self.arrays[i].dtype.kind != first.dtype.kind:
                kind, other = (_KINDS[array.dtype.kind] for array in (self.arrays[i], first))
                raise DtypeError(
                    f"{self.name}[{i}] holds {kind}, and {name}[{filled[0]}] {other}: make them one "
                    "kind, with .astype for example"
                )
        self.dtype: numpy.dtype[Any] = numpy.result_type(*{self.arrays[i].dtype for i in filled})

    def __len__(self) -> int:
        return len(self.arrays)

    def take(self, places: Any) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Some of the sequences, padded to the longest of them or to the length, and their lengths.

        Raises:
            DataError: one of them holds NaN, and the padding is none.
        """
        chosen = [self.arrays[place] for place in places]
        lengths = self.lengths[places]
        steps = int(lengths.max(initial=0)) if self.layout.length is None else self.layout.length
        batch = (len(chosen), steps) if self.layout.batch_first else (steps, len(chosen))
        padded = numpy.full(batch + self.arrays[0].shape[1:], self._value, self.dtype)
        rows = padded if self.layout.batch_first else padded.swapaxes(0, 1)
        for row, place, array in zip(rows, places, chosen, strict=True):
            self._check_values(int(place), array)
            start = 0 if self.layout.side == "end" else steps - len(array)
            row[start : start + len(array)] = array
        return padded, lengths

    def _check_values(self, place: int, array: numpy.ndarray) -> None:
        if array.dtype.kind != "f":
            return
        wrong = numpy.isnan(array) & ~numpy.isnan(self._value)
        if wrong.any():
            raise DataError(
                f"{self.name}[{place}] holds NaN at {numpy.argwhere(wrong)[0].tolist()}: give value=math.nan "
                "if NaN stands for what is missing, or fill it before, with tg.data.missing for example"
            )


def _padding(what: str, value: Any, dtype: numpy.dtype[Any], step: tuple[int, ...]) -> Any:
    """What to pad with: a number, or an array of one for each feature, the last axis of a step."""
    if arguments.is_one(value) or isinstance(value, (str, bytes, Mapping)):
        return _held(what, value, dtype)
    numbers = arguments.several(what, value, "a number, or one for each feature")
    if len(step) == 0 or len(numbers) != step[-1]:
        raise ShapeError(
            f"{what} has {len(numbers)} values, one for each feature, and sequences have steps of shape "
            f"{step}"
        )
    return numpy.array([_held(f"{what}[{i}]", part, dtype) for i, part in enumerate(numbers)], dtype)


def _held(what: str, value: Any, dtype: numpy.dtype[Any]) -> Any:
    """The number to pad with, as one that sequences of that dtype can hold."""
    if dtype.kind == "b":
        return arguments.flag(what, value)
    if dtype.kind == "f":
        number: Any = arguments.number(what, value)
        with numpy.errstate(over="ignore"):
            widened = numpy.isinf(dtype.type(number))  # an infinity that was none
        fits = not widened or (math.isinf(number) and number == value)
    else:
        number, limits = arguments.whole(what, value), numpy.iinfo(dtype)
        fits = limits.min <= number <= limits.max
    if not fits:
        raise ArgumentError(f"{what} must be a number that {dtype} holds, not {arguments.shown(value)}")
    return number


def pad_sequences(
    sequences: Sequence[ArrayLike] | numpy.ndarray,
    value: float = 0,
    length: int | None = None,
    batch_first: bool = False,
    side: str = "end",
    *,
    padding: float | Sequence[float] | None = None,
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Sequences of different length as one array, with their lengths as layers take them:
    ``layer(x, lengths=lengths)``.

    >>> x, lengths = tg.data.pad_sequences([[1, 2, 3], [4]])
    >>> x.T.tolist(), lengths.tolist()
    ([[1, 2, 3], [4, 0, 0]], [3, 1])

    Args:
        sequences: N arrays or lists (Tᵢ, …) with the same shape behind the first axis, all of floats, of
            whole numbers or of bools. Their widths may differ: the widest is taken.
        value: what stands where a sequence has no step. With NaN, sequences may hold NaN too: what is
            missing, for :func:`tinygrad_rnn.data.missing`.
        length: how many steps there are; by default as many as the longest sequence has.
        batch_first: (N, T, …) instead of (T, N, …).
        side: ``"end"``, or ``"start"`` for sequences that end together. ``lengths=`` of layers counts from
            the first step; behind a padded start they need a ``mask=``.
        padding: in place of ``value``: one number, or one for each feature, the last axis.

    Returns:
        The array (T, N, …), and the lengths (N,), int64.

    Raises:
        DataError: there is no sequence, or one holds NaN and the value is none.
        ShapeError: a sequence has other features than the first, or more steps than ``length``.
        DtypeError: sequences are of different kinds, or hold no numbers.
        ArgumentError: another argument has a value that it cannot have.
    """
    layout = Layout.checked("pad_sequences", value, padding, length, batch_first, side)
    samples = arguments.several("pad_sequences: sequences", sequences, "a list of sequences")
    if not samples:
        raise DataError("pad_sequences: sequences is empty: give one sequence at least")
    whole = Sequences("pad_sequences", "sequences", samples, layout)
    return whole.take(numpy.arange(len(whole)))


__all__ = ["Layout", "Padding", "Sequences", "array_of", "pad_sequences"]
