"""Training, validation and test data."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy

from .. import arguments
from ..errors import ArgumentError
from .padding import Layout, Sequences
from .samples import Samples

Data = TypeVar("Data")


def split(
    data: Data, shares: float | Sequence[float] = (0.8, 0.1, 0.1), seed: int | list[int] | None = None
) -> tuple[Data, ...]:
    """Parts of data for training, validation and test.

    >>> train, validation, test = tg.data.split(np.arange(10))
    >>> train.tolist(), validation.tolist(), test.tolist()
    ([0, 1, 2, 3, 4, 5, 6, 7], [8], [9])
    >>> [len(x) for x, y in tg.data.split((np.zeros((10, 2)), list(range(10))), (7, 3), seed=0)]
    [7, 3]

    Args:
        data: as :func:`tinygrad_rnn.data.batches` takes it; the parts are nested alike, and lists stay lists.
        shares: shares that sum to 1, or whole numbers that sum to the number of samples. One number is the
            first of two parts.
        seed: None keeps the order, as time has it: each part follows the one before, and its arrays are
            views, which read nothing of what is memory-mapped. With a seed the samples are shuffled first:
            arrays are copied.

    Returns:
        The parts, in the order of ``shares``.

    Raises:
        ArgumentError: shares do not sum to all, or leave a part without samples.
        DataError, ShapeError, DtypeError: the parts of data do not fit each other.
    """
    samples = Samples("split", data, Layout())
    bounds = _bounds(shares, samples.count)
    seed = arguments.seed("split: seed", seed)
    order = None if seed is None else numpy.random.default_rng(seed).permutation(samples.count)
    parts = [slice(a, b) if order is None else order[a:b] for a, b in itertools.pairwise(bounds)]
    return tuple([samples.map(functools.partial(_part, part)) for part in parts])


def _part(places: Any, column: Any) -> Any:
    """Some samples of a column: of a list a list, not padded."""
    if isinstance(column, Sequences):
        chosen = range(len(column))[places] if isinstance(places, slice) else places
        return [column.given[place] for place in chosen]
    return column.take(places)


def _bounds(shares: Any, count: int) -> list[int]:
    """Where parts begin, and where the last one ends."""
    what = "split: shares"
    if arguments.is_one(shares):
        first = arguments.positive(what, shares)
        parts: tuple[Any, ...] = (shares, count - shares if first >= 1 else 1 - first)
    else:
        parts = arguments.several(what, shares, "a number or a tuple of them")
    numbers = [arguments.positive(f"{what}[{i}]", share) for i, share in enumerate(parts)]
    if all(number >= 1 for number in numbers) and numbers != [1.0]:
        sizes = [arguments.whole(f"{what}[{i}]", share, 1) for i, share in enumerate(parts)]
        if sum(sizes) != count:
            raise ArgumentError(f"{what} sum to {sum(sizes)}, and there are {count} samples")
        return [0, *itertools.accumulate(sizes)]
    if not math.isclose(math.fsum(numbers), 1.0, rel_tol=1e-6):
        raise ArgumentError(
            f"{what} must sum to 1, not {math.fsum(numbers):g}; or be whole numbers of samples"
        )
    bounds = [0, *(round(share * count) for share in itertools.accumulate(numbers))]
    for i, (a, b) in enumerate(itertools.pairwise(bounds)):
        if a == b:
            raise ArgumentError(f"{what}[{i}] of {count} samples is none: give it a larger share")
    return bounds


__all__ = ["split"]
