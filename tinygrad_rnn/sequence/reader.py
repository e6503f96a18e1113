"""What expressions of elements are written with: a printer that knows loops and memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..backends.atoms import Counter, Printer, Value
from .index import Index

Indices = tuple[Index, ...]


class Needs(Exception):
    """A value that must lie in memory, since it is read in a way that no expression can."""

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value


class Reader:
    """What expressions are written with: a printer that knows loops.

    Attributes:
        printer: writes atoms.
        cache: elements that are known already.
        known: those of values in memory that are in a register, by value and place.
    """

    def __init__(self, printer: Printer) -> None:
        self.printer = printer
        self.cache: dict[Any, Value] = {}
        self.known: dict[tuple[int, Index], Value] = {}

    def read(self, value: int, place: Index, turns: Sequence[tuple[Value, int]] = ()) -> Value:
        """An element of a value in memory, at a place in the order of elements; ``turns``: further places and
        how far apart they lie."""
        raise NotImplementedError

    def whole(self, index: Index) -> Value:
        """An index as a number."""
        raise NotImplementedError

    @contextlib.contextmanager
    def _scope(self) -> Iterator[None]:
        """A block whose expressions are not known after it."""
        cache, known = dict(self.cache), dict(self.known)
        yield
        self.cache, self.known = cache, known


class Probe(Reader):
    """Reads nothing, and notes what would be read.

    Args:
        kind: of a value in memory.
    """

    def __init__(self, kind: Callable[[int], str]) -> None:
        self.counter: Counter = Counter()
        super().__init__(self.counter)
        self._kind = kind
        self.reads: list[tuple[int, Index | None]] = []
        self.indices: list[Index] = []

    def read(self, value: int, place: Index, turns: Sequence[tuple[Value, int]] = ()) -> Value:
        self.reads.append((value, None if turns else place))
        self.indices.append(place)
        return Value(self.printer, "", "i64" if value < 0 else self._kind(value))

    def whole(self, index: Index) -> Value:
        self.indices.append(index)
        return Value(self.printer, "", "i64")
