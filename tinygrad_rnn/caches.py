"""Caches of bounded size: what was used least recently goes first, and all can be emptied."""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
F = TypeVar("F", bound=Callable[..., Any])

_clock = itertools.count()
_listed: weakref.WeakSet[Recent[Any, Any]] = weakref.WeakSet()
_memoised: list[Any] = []


class _Item(Generic[V]):
    """A value, and when it was used last."""

    __slots__ = ("used", "value")

    def __init__(self, value: V) -> None:
        self.value, self.used = value, next(_clock)


class Recent(Generic[K, V]):
    """A dictionary of bounded size.

    It has no lock: each step is one of the dictionary's own, so threads may come at once and an interrupt may
    cut it anywhere. At worst something is made twice, or goes too soon.

    Args:
        most: how many items it holds at most. When one more comes, an eighth of them goes at once, so that
            seldom has to be sought.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._items: dict[K, _Item[V]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: K) -> V | None:
        """The value of a key, which counts as a use; None if there is none."""
        item = self._items.get(key)
        if item is None:
            return None
        item.used = next(_clock)
        return item.value

    def put(self, key: K, value: V) -> V:
        """Hold a value under a key, instead of another one."""
        self._items[key] = _Item(value)
        self._make_room()
        return value

    def share(self, key: K, value: V) -> V:
        """Hold a value under a key, unless another thread was sooner; returns the one that is held."""
        held = self._items.setdefault(key, _Item(value)).value
        self._make_room()
        return held

    def take(self, key: K) -> V | None:
        """Take out the value of a key, which nobody else gets then; None if there is none."""
        item = self._items.pop(key, None)
        return None if item is None else item.value

    def drop(self, key: K) -> None:
        """Hold it no more, if it is held."""
        self._items.pop(key, None)

    def keys(self) -> list[K]:
        """All keys; no use of them."""
        return list(self._items)

    def values(self) -> list[V]:
        """All values; no use of them."""
        return [item.value for item in list(self._items.values())]

    def clear(self) -> None:
        self._items.clear()

    def _make_room(self) -> None:
        if len(self._items) > self.most:
            by_use = sorted(self._items.items(), key=lambda entry: entry[1].used)
            for key, _ in by_use[: len(by_use) - self.most + self.most // 8]:
                self._items.pop(key, None)


def recent(most: int) -> Recent[Any, Any]:
    """A :class:`Recent` that :func:`clear` empties."""
    cache: Recent[Any, Any] = Recent(most)
    _listed.add(cache)
    return cache


def memoised(most: int) -> Callable[[F], F]:
    """``functools.lru_cache`` for a function whose results :func:`clear` forgets."""

    def decorate(function: F) -> F:
        cached: Any = functools.lru_cache(maxsize=most)(function)
        _memoised.append(cached)
        return cached

    return decorate


def clear() -> None:
    """Empty them all."""
    for cache in list(_listed):
        cache.clear()
    for function in _memoised:
        function.cache_clear()
