"""What code can write to besides its own variables, read off its instructions; and the places themselves, with what they held.

What a function changed can then be seen and put back, and nothing else is touched: a place that its code cannot write to may be written
by another thread at any time.
"""

from __future__ import annotations

import dis
import functools
import itertools
import operator
import sys
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy

MISSING: Any = object()
"""What a place holds that is not there yet."""

_ANY_NAME = frozenset(["setattr", "delattr", "__setattr__", "__delattr__", "__dict__", "vars", "exec", "eval", "globals", "locals"])
_ITEMS = frozenset(
    ["append", "appendleft", "extend", "extendleft", "insert", "pop", "popleft", "popitem", "remove", "discard", "add", "clear",
     "update", "setdefault", "sort", "reverse", "rotate", "move_to_end", "__setitem__", "__delitem__", "setitem", "delitem",
     "heappush", "heappop", "heapify", "insort", "out", "fill", "put", "place", "putmask", "copyto", "put_along_axis",
     "fill_diagonal", "partition", "resize", "itemset", "setfield", "byteswap", "at", "flat", "setflags", "data"]
)  # fmt: skip
"""Names in code that may change elements of a container or of an array without an instruction that says so."""


@dataclass(frozen=True)
class Stores:
    """What code can write to.

    Attributes:
        names: of attributes and globals; None for any.
        variables: those that it closes over.
        items: whether it can write to elements of containers and arrays.
        draws: whether it can draw from a random number generator of NumPy's, whose methods leave no sign of being called.
    """

    names: frozenset[str] | None
    variables: frozenset[str]
    items: bool
    draws: bool

    def writes(self, name: str) -> bool:
        return self.names is None or name in self.names


def stores_of(codes: Iterable[types.CodeType], cached: Iterable[str]) -> Stores:
    """What all of this code can write to.

    Args:
        cached: the attributes that a ``functools.cached_property`` writes.
    """
    names, variables, items, named = set(cached), set[str](), False, set[str]()
    for code in codes:
        strings = (constant if type(constant) is tuple else (constant,) for constant in code.co_consts)
        named.update(code.co_names, (part for group in strings for part in group if type(part) is str))
        for operation, argument in _operations(code):
            if operation in ("STORE_ATTR", "DELETE_ATTR", "STORE_GLOBAL", "DELETE_GLOBAL", "STORE_NAME"):
                names.add(argument)
            elif operation in ("STORE_DEREF", "DELETE_DEREF"):
                variables.add(argument)
            else:
                items = items or _changes_items(operation, argument)
    names_or_any = None if named & _ANY_NAME else frozenset(names)
    return Stores(names_or_any, frozenset(variables), items or bool(named & _ITEMS), bool(named & _draws()))


def _changes_items(operation: str, argument: str) -> bool:
    """Whether an instruction writes to an element, or joins in place."""
    in_place = operation.startswith("INPLACE_") or (operation == "BINARY_OP" and argument.endswith("="))
    return in_place or operation in ("STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE")


def _draws() -> frozenset[str]:
    """The names of all that draws random numbers in NumPy, or leads to it."""
    random = sys.modules.get("numpy.random")
    if random is None:  # nobody can have a generator
        return frozenset()
    names = {*dir(random), *dir(random.Generator), *dir(random.RandomState), *dir(random.BitGenerator), "getattr", "methodcaller"}
    return frozenset(name for name in names if not name.startswith("_"))


@functools.lru_cache(maxsize=4096)
def nested(code: types.CodeType) -> tuple[types.CodeType, ...]:
    """Code and the code of what is defined inside of it."""
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return (code, *itertools.chain.from_iterable(map(nested, inner)))


@functools.lru_cache(maxsize=4096)
def _operations(code: types.CodeType) -> tuple[tuple[str, str], ...]:
    return tuple((instruction.opname, instruction.argrepr) for instruction in dis.get_instructions(code))


# -- places ---------------------------------------------------------------------------------------------------------------------------


class Slot:
    """A place that a function can write to, and what it held.

    Args:
        what: what it is, in words.
        read: what it holds now.
        write: put something there.
        same: whether two contents are the same.
    """

    __slots__ = ("_before", "_read", "_same", "_write", "what")

    def __init__(
        self, what: str, read: Callable[[], Any], write: Callable[[Any], None], same: Callable[[Any, Any], bool] = operator.is_
    ) -> None:
        self.what, self._read, self._write, self._same = what, read, write, same
        self._before = read()

    def changed(self) -> bool:
        return not self._same(self._before, self._read())

    def restore(self) -> None:
        self._write(self._before)


def key_slot(table: dict[str, Any], name: str) -> Slot:
    """A global, or an attribute in its table, that may not be there yet."""

    def write(value: Any) -> None:
        if value is MISSING:
            table.pop(name, None)
        else:
            table[name] = value

    return Slot(name, functools.partial(table.get, name, MISSING), write)


def keys_slot(table: dict[str, Any]) -> Slot:
    """Which attributes there are."""

    def write(before: set[str]) -> None:
        for name in set(table) - before:
            del table[name]

    return Slot("an attribute", lambda: set(table), write, operator.eq)


def attribute_slot(thing: Any, name: str) -> Slot:
    """An attribute of a class, or of an object that has no table of them."""

    def read() -> Any:
        return vars(thing).get(name, MISSING) if isinstance(thing, type) else getattr(thing, name, MISSING)

    def write(value: Any) -> None:
        if value is MISSING:
            delattr(thing, name)
        else:
            setattr(thing, name, value)

    return Slot(name, read, write)


def variable_slot(name: str, cell: types.CellType) -> Slot:
    """A variable that a function closes over."""

    def write(value: Any) -> None:
        if value is MISSING:
            del cell.cell_contents
        else:
            cell.cell_contents = value

    return Slot(name, functools.partial(content_of, cell), write)


def content_of(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a variable that is not set yet
        return MISSING


def items_slot(container: Any) -> Slot:
    """What a list, a dict or a set holds."""

    def read() -> list[Any]:
        return [part for pair in container.items() for part in pair] if isinstance(container, dict) else list(container)

    def write(content: list[Any]) -> None:
        if isinstance(container, dict):
            container.clear()
            container.update(zip(content[::2], content[1::2], strict=True))
        elif isinstance(container, set):
            container.clear()
            container.update(content)
        else:
            while container:
                container.pop()
            container.extend(content)

    def same(one: list[Any], other: list[Any]) -> bool:
        return len(one) == len(other) and all(map(operator.is_, one, other))

    return Slot(f"a {type(container).__name__}", read, write, same)


def array_slot(array: numpy.ndarray) -> Slot:
    """The content of an array."""
    same = lambda one, other: one.tobytes() == other.tobytes()  # noqa: E731
    return Slot("an array", array.copy, functools.partial(numpy.copyto, array), same)
