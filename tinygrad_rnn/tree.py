"""Nested tuples, lists and dicts: the one walker for states, arguments and parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .errors import ArgumentError

_NESTS = (tuple, list, dict)
_ENDLESS = (
    "a list, tuple or dict that holds itself, or is nested a thousand deep, is no argument and no state"
)


def leaves(tree: Any) -> list[Any]:
    """What is not a tuple, a list or a dict, from left to right; dicts in their own order."""
    if not isinstance(tree, _NESTS):
        return [tree]
    found: list[Any] = []
    try:
        _gather(tree, found)
    except RecursionError:
        raise ArgumentError(_ENDLESS) from None
    return found


def _gather(tree: Any, found: list[Any]) -> None:
    for part in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(part, _NESTS):
            _gather(part, found)
        else:
            found.append(part)


def names(tree: Any) -> list[str]:
    """For each leaf the key or field under which it stands, with those around it where several have the same
    one: ``old.h``; "" where it has only a number."""
    paths = list(_paths(tree, ()))
    last = [path[-1] if path else "" for path in paths]
    return [name if last.count(name) == 1 else ".".join(path) for name, path in zip(last, paths, strict=True)]


def _paths(tree: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not isinstance(tree, _NESTS):
        yield path
    elif isinstance(tree, dict):
        for key, part in tree.items():
            yield from _paths(part, (*path, str(key)))
    else:
        fields = getattr(tree, "_fields", None)
        for i, part in enumerate(tree):
            yield from _paths(part, path if fields is None else (*path, fields[i]))


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same nesting with every leaf replaced."""
    if not isinstance(tree, _NESTS):
        return function(tree)
    try:
        if isinstance(tree, dict):
            return {key: map_leaves(function, part) for key, part in tree.items()}
        parts = [map_leaves(function, part) if isinstance(part, _NESTS) else function(part) for part in tree]
    except RecursionError:
        raise ArgumentError(_ENDLESS) from None
    kind: Any = type(tree)
    return tuple(parts) if kind is tuple else kind(*parts) if hasattr(tree, "_fields") else kind(parts)


def unflatten(like: Any, flat: Iterable[Any]) -> Any:
    """Put a flat sequence into the nesting of another tree."""
    rest = iter(flat)
    return map_leaves(lambda _leaf: next(rest), like)


def structure(tree: Any) -> Any:
    """The nesting without the leaves; equal for trees that fit each other."""
    if isinstance(tree, dict):
        return ("dict", tuple((key, structure(part)) for key, part in tree.items()))
    if isinstance(tree, (tuple, list)):
        return (type(tree).__name__, tuple(structure(part) for part in tree))
    return "*"
