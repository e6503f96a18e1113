"""Nested tuples, lists and dicts: the one walker for states, arguments and parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def leaves(tree: Any) -> Iterator[Any]:
    """What is not a tuple, a list or a dict, from left to right; dicts in their own order."""
    if isinstance(tree, dict):
        for part in tree.values():
            yield from leaves(part)
    elif isinstance(tree, (tuple, list)):
        for part in tree:
            yield from leaves(part)
    else:
        yield tree


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same nesting with every leaf replaced."""
    if isinstance(tree, dict):
        return {key: map_leaves(function, part) for key, part in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map_leaves(function, part) for part in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(map_leaves(function, part) for part in tree)
    return function(tree)


def unflatten(like: Any, flat: Any) -> Any:
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
