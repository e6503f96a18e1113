"""What a container or an array holds: compared by its elements, and put back by the methods of the type that
it was built on.

A user's class may have an ``update`` that counts or a ``__getitem__`` that scales. So the methods of the
built-in type are used, not those of the class.
"""

from __future__ import annotations

import collections
import marshal
import operator
import types
from typing import Any, ClassVar

import numpy

from .objects import storage_of

_NUMBERS = frozenset([int, float, bool, str, type(None)])


def items_of(container: Any) -> list[Any]:
    """The elements, of a dict its pairs."""
    base = _base(container)
    if issubclass(base, (dict, types.MappingProxyType)):
        return list(base.items(container))
    return list(base.__iter__(container))


class Items:
    """What a container holds, a place that can be put back: equal where it holds the very same things.

    Attributes:
        name: by which it was reached; "" if by none.
    """

    __slots__ = ("_kept", "name", "thing")

    def __init__(self, thing: Any, name: str = "") -> None:
        self.thing: Any = thing
        self.name: str = name
        self._kept = items_of(thing)

    @property
    def what(self) -> str:
        kind = type(self.thing).__name__
        return f"the {kind} {self.name}" if self.name else f"a {kind}"

    def changed(self) -> bool:
        now, kept = items_of(self.thing), self._kept
        if isinstance(self.thing, dict):
            now, kept = [part for pair in now for part in pair], [part for pair in kept for part in pair]
        return len(now) != len(kept) or not all(map(operator.is_, now, kept))

    def restore(self) -> None:
        base = _base(self.thing)
        if issubclass(base, dict):
            base.clear(self.thing)
            for key, value in self._kept:
                base.__setitem__(self.thing, key, value)
        elif base is set:
            before, now = set(self._kept), set(items_of(self.thing))
            base.difference_update(self.thing, now - before)
            base.update(self.thing, before - now)
        elif base is collections.deque:
            base.clear(self.thing)
            base.extend(self.thing, self._kept)
        elif base is bytearray:
            base.__setitem__(self.thing, slice(None), bytes(self._kept))
        else:
            base.__setitem__(self.thing, slice(None), self._kept)


class Numbers:
    """What a container of numbers and strings holds, all of it as one part of a fingerprint: equal by type
    and by bits."""

    __slots__ = ("_kept", "thing")

    def __init__(self, thing: Any) -> None:
        self.thing: Any = thing
        self._kept = self._now()

    @staticmethod
    def hold(thing: Any) -> bool:
        """Whether a container has such elements only."""
        if isinstance(thing, dict):
            return _NUMBERS.issuperset(map(type, thing)) and _NUMBERS.issuperset(map(type, thing.values()))
        return _NUMBERS.issuperset(map(type, thing))

    def _now(self) -> bytes:
        return marshal.dumps(self.thing if type(self.thing) in (list, dict) else items_of(self.thing), 2)

    def same(self) -> bool:
        """Whether it still holds that."""
        try:
            return self._now() == self._kept
        except ValueError:  # something else by now
            return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Numbers) and self._kept == other._kept

    __hash__: ClassVar[None] = None  # type: ignore[assignment]


class Elements:
    """What an array holds, as one part of a fingerprint and as a place that can be put back: equal by shape,
    dtype and bits."""

    __slots__ = ("_kept", "name", "thing")

    def __init__(self, thing: numpy.ndarray, name: str = "") -> None:
        self.thing: numpy.ndarray = thing
        self.name: str = name
        self._kept = without_subclass(thing).copy()

    @property
    def what(self) -> str:
        return f"the array {self.name}" if self.name else "an array"

    def same(self) -> bool:
        """Whether it still holds that."""
        return _same_bits(without_subclass(self.thing), self._kept)

    def changed(self) -> bool:
        return not self.same()

    def restore(self) -> None:
        numpy.copyto(without_subclass(self.thing), self._kept)

    def objects(self) -> list[Any]:
        """All Python objects in it."""
        return _objects(self._kept)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Elements) and _same_bits(self._kept, other._kept)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]


def without_subclass(values: numpy.ndarray) -> numpy.ndarray:
    """The same array without what a class of its own makes of it."""
    return values if type(values) is numpy.ndarray else values.view(numpy.ndarray)


def _same_bits(one: numpy.ndarray, other: numpy.ndarray) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.hasobject:
        if one.dtype.names is not None:
            return all(_same_bits(one[name], other[name]) for name in one.dtype.names)
        return all(map(operator.is_, one.reshape(-1).tolist(), other.reshape(-1).tolist()))
    # nothing is copied
    if one.flags.c_contiguous and other.flags.c_contiguous and one.size and one.nbytes % 8 == 0:
        return bool((one.reshape(-1).view("u8") == other.reshape(-1).view("u8")).all())
    return one.tobytes() == other.tobytes()


def _objects(values: numpy.ndarray) -> list[Any]:
    """All Python objects in an array, those of its fields too."""
    if values.dtype.names is None:
        return list(values.reshape(-1).tolist())
    return [part for name in values.dtype.names for part in values[name].reshape(-1).tolist()]


def _base(container: Any) -> Any:
    kind: Any = type(container)
    return kind if kind is types.MappingProxyType else storage_of(kind)
