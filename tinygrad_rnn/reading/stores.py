"""What code can write to besides its own variables, read off its instructions; and the places themselves,
with what they held.

What a function changed can then be seen and put back, and nothing else is touched: a place that its code
cannot write to may be written by another thread at any time.
"""

from __future__ import annotations

import dis
import functools
import itertools
import operator
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

MISSING: Any = object()
"""What a place holds that is not there yet."""

_ANY_NAME = frozenset(
    [
        "setattr",
        "delattr",
        "__setattr__",
        "__delattr__",
        "__dict__",
        "vars",
        "exec",
        "eval",
        "globals",
        "locals",
    ]
)


@dataclass(frozen=True)
class Stores:
    """What code can write to.

    Attributes:
        names: of attributes and globals; None for any.
        variables: those that it closes over.
    """

    names: frozenset[str] | None
    variables: frozenset[str]

    def writes(self, name: str) -> bool:
        return self.names is None or name in self.names


def stores_of(codes: Iterable[types.CodeType], cached: Iterable[str]) -> Stores:
    """What all of this code can write to.

    Args:
        cached: the attributes that a ``functools.cached_property`` writes.
    """
    names, variables, named = set(cached), set[str](), set[str]()
    for code in codes:
        strings = (constant if type(constant) is tuple else (constant,) for constant in code.co_consts)
        named.update(code.co_names, (part for group in strings for part in group if type(part) is str))
        for operation, argument in operations(code):
            if operation in ("STORE_ATTR", "DELETE_ATTR", "STORE_GLOBAL", "DELETE_GLOBAL", "STORE_NAME"):
                names.add(argument)
            elif operation in ("STORE_DEREF", "DELETE_DEREF"):
                variables.add(argument)
    return Stores(None if named & _ANY_NAME else frozenset(names), frozenset(variables))


@functools.lru_cache(maxsize=4096)
def nested(code: types.CodeType) -> tuple[types.CodeType, ...]:
    """Code and the code of what is defined inside of it."""
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return (code, *itertools.chain.from_iterable(map(nested, inner)))


@functools.lru_cache(maxsize=4096)
def operations(code: types.CodeType) -> tuple[tuple[str, str], ...]:
    """The instructions of code: what each does, and with what, in words."""
    return tuple((instruction.opname, instruction.argrepr) for instruction in dis.get_instructions(code))


@functools.lru_cache(maxsize=4096)
def imports_in(code: types.CodeType) -> tuple[str, ...]:
    """The modules that code imports when it runs, relative ones with their dots."""
    names: list[str] = []
    for part in nested(code):
        constants: list[Any] = []
        for instruction in dis.get_instructions(part):
            if instruction.opname == "LOAD_CONST":
                constants.append(instruction.argval)
            elif instruction.opname == "IMPORT_NAME":
                # before it: the level, and what is taken from it
                names.append("." * constants[-2] + instruction.argval)
    return tuple(dict.fromkeys(names))


# -- places --------------------------------------------------------------------------------------------------


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
        self,
        what: str,
        read: Callable[[], Any],
        write: Callable[[Any], None],
        same: Callable[[Any, Any], bool] = operator.is_,
    ) -> None:
        self.what: str = what
        self._read = read
        self._write = write
        self._same = same
        self._before = read()

    def changed(self) -> bool:
        return not self._same(self._before, self._read())

    def restore(self) -> None:
        self._write(self._before)


def key_slot(table: dict[str, Any], name: str) -> Slot:
    """A global, or an attribute in an object's ``__dict__``, which need not exist yet."""

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


def attribute_slot(kind: type, name: str) -> Slot:
    """An attribute of a class."""

    def write(value: Any) -> None:
        if value is MISSING:
            type.__delattr__(kind, name)
        else:
            type.__setattr__(kind, name, value)

    return Slot(name, lambda: vars(kind).get(name, MISSING), write)


def member_slot(thing: Any, name: str, member: Any) -> Slot:
    """An attribute of an object that has a slot for it."""

    def write(value: Any) -> None:
        if value is MISSING:
            member.__delete__(thing)
        else:
            member.__set__(thing, value)

    return Slot(name, functools.partial(content_of, member, thing), write)


class CacheSlot:
    """What a ``functools.lru_cache`` holds. If something is put back, results from since then are dropped, to
    be computed again."""

    what = "a cache"

    def __init__(self, cache: Any) -> None:
        self._cache, self._misses = cache, cache.cache_info().misses

    def changed(self) -> bool:
        """A cached result alone is no change."""
        return False

    def forget(self) -> None:
        if self._cache.cache_info().misses != self._misses:
            self._cache.cache_clear()


def variable_slot(name: str, cell: types.CellType) -> Slot:
    """A variable that a function closes over."""

    def write(value: Any) -> None:
        if value is MISSING:
            del cell.cell_contents
        else:
            cell.cell_contents = value

    return Slot(name, functools.partial(content_of, cell), write)


def content_of(cell: Any, *holder: Any) -> Any:
    """What a variable that is closed over holds, or the slot of an object."""
    try:
        return cell.__get__(*holder) if holder else cell.cell_contents
    except (ValueError, AttributeError):  # it is not set yet
        return MISSING
