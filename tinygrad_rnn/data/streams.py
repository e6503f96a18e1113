"""Windows over one long stream, for truncated back-propagation through time."""

from __future__ import annotations

from typing import ClassVar

import numpy

from .. import arguments
from ..errors import DataError, ShapeError
from ..ops import ArrayLike
from .batching import Passes
from .padding import array_of


class Streams:
    """A stream read by several readers at once, each going on where it was: so a state can be carried from
    window to window.

    The readers start evenly spaced, and one that comes to the end goes on from the start: where they are
    follows from how far they went.
    """

    def __init__(self, numbers: numpy.ndarray, readers: int) -> None:
        self._numbers = numbers
        self.length: int = (len(numbers) - 1) // readers
        """How far each reader goes until all have together seen everything once."""
        self._starts = numpy.arange(readers) * self.length

    def window(self, position: int, length: int) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The next steps of every reader and, for each, the one that follows it: two arrays (length, readers,
        …)."""
        places = numpy.arange(position, position + length + 1)[:, None] + self._starts
        numbers = self._numbers[places % len(self._numbers)]
        return numbers[:-1], numbers[1:]


class Windows(Passes[tuple[numpy.ndarray, numpy.ndarray]]):
    """Windows over a stream, as :func:`tinygrad_rnn.data.windows` makes them.

    >>> data = tg.data.windows(np.arange(7), 2, 2)
    >>> [x.T.tolist() for x, y in data]
    [[[0, 1], [3, 4]], [[2], [5]]]
    """

    _described: ClassVar[tuple[str, ...]] = ("steps", "length", "batch")

    def __init__(self, stream: ArrayLike, length: int, batch: int = 1) -> None:
        self.length: int = arguments.size("windows: length", length, 1)
        self.batch: int = arguments.size("windows: batch", batch, 1)
        numbers = array_of("windows: stream", stream)
        if not numbers.ndim:
            raise ShapeError("windows: stream is a number: its first axis are its steps")
        self.steps: int = len(numbers)
        if self.steps <= self.batch:
            raise DataError(
                f"windows: stream has {self.steps} steps; {self.batch} readers need "
                f"{self.batch + 1} at least, one and the one that follows it: give a smaller batch"
            )
        self._streams = Streams(numbers, self.batch)

    def __len__(self) -> int:
        return -(-self._streams.length // self.length)

    def _batch(self, position: int) -> tuple[numpy.ndarray, numpy.ndarray]:
        start = position * self.length
        return self._streams.window(start, min(self.length, self._streams.length - start))


def windows(stream: ArrayLike, length: int, batch: int = 1) -> Windows:
    """Windows over one long series or text, for truncated back-propagation through time: the state after one
    is the state before the next.

    The stream is cut into ``batch`` parts of equal length, each read by a reader of its own, and all go on
    together. A pass begins at the start of the parts: with a new state. The ``(N − 1) mod batch`` last
    steps, which no part reaches, are left out. A memory-mapped stream is read window by window.

    A series (N,) gives windows (T, batch), as tokens have them. Layers take floats with an axis of features:
    they would read such a window as one sequence of ``batch`` features. So give a series of one feature as
    ``x[:, None]``. Windows that overlap, each a sample by itself, :func:`tinygrad_rnn.data.sliding` makes.

    >>> cell, state = tg.nn.GRU(1, 4), None
    >>> for x, y in tg.data.windows(np.sin(np.arange(100, dtype=np.float32))[:, None], 20, batch=3):
    ...     output, state = cell(x, state)
    ...     state = tg.nn.detach(state)
    >>> x.shape, y.shape
    ((13, 3, 1), (13, 3, 1))

    Args:
        stream: (N, …): a series (N, features), or class numbers (N,).
        length: how many steps a window has; the last one of a pass has what is left.
        batch: how many readers there are.

    Returns:
        An object to loop over, of pairs (x, y), both (T, batch, …): y is what follows x by one step. It has
            ``len``, ``epoch`` and ``position``, ``state_dict`` and ``load_state_dict``, as that of
            :func:`tinygrad_rnn.data.batches`.

    Raises:
        DataError: the stream is too short for so many readers.
        ShapeError, DtypeError, ArgumentError: the stream is none, or a number is not one from 1.
    """
    return Windows(stream, length, batch)


__all__ = ["Streams", "Windows", "windows"]
