"""What Python objects are made of: attributes, slots, the content of a built-in type, and where a generator
of random numbers stands."""

from __future__ import annotations

import array
import collections
import functools
import random
import sys
import threading
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy

from .steady import MODULE, steady_class, top

STORAGE = frozenset(
    [
        dict, collections.OrderedDict, collections.defaultdict, list, collections.deque, bytearray, set,
        tuple, frozenset, complex, int, float, str, bytes, functools.partial, types.SimpleNamespace,
        numpy.ndarray, array.array, threading.local,
    ]
)  # fmt: skip
"""Built-in types whose content can be read."""

_FOREIGN = frozenset(["ctypes", "multiprocessing", "subprocess", "socket", "sqlite3"])
"""Modules of objects that are more than their attributes."""


class Unreadable(Exception):
    """Something that cannot be compared; ``str`` says what, and by which names it was reached."""

    def __init__(self, thing: Any) -> None:
        super().__init__(thing)
        self.kind: str = f"{type(thing).__module__}.{type(thing).__qualname__}".removeprefix("builtins.")
        self.path: list[str] = []

    def __str__(self) -> str:
        name = ".".join(reversed(self.path[:4]))
        return f"{name or 'it'} is a {self.kind}, whose content cannot be compared"


@functools.lru_cache(maxsize=4096)
def storage_of(kind: type) -> Any:
    """The built-in type in which a class keeps its content, besides attributes: ``object`` if there is none;
    None if the type is unknown."""
    if top(kind.__module__) in _FOREIGN and steady_class(kind):
        return None
    for base in kind.__mro__:
        if base is object or base in STORAGE:
            return base
        if issubclass(base, BaseException) and base.__module__ == "builtins":
            return BaseException
        if _written_in_c(base):
            return None
    return None


def _written_in_c(kind: type) -> bool:
    """Whether a class has methods of C of its own, and so may have content that is no attribute."""
    for name, value in vars(kind).items():
        if (
            isinstance(value, _C_METHODS)
            and value.__objclass__ is kind
            and name not in ("__dict__", "__weakref__")
        ):
            return True
        if name == "__new__" and isinstance(value, types.BuiltinFunctionType):
            return True
    return False


_C_METHODS = (
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
)


@functools.lru_cache(maxsize=4096)
def used_by_library(kind: type) -> bool:
    """Whether a library's base class, whose code is not read, may read any attribute."""
    bases = [base for base in kind.__mro__ if base is not object and steady_class(base)]
    return any(not (base.__module__ == MODULE and base.__name__ == "Module") for base in bases)


@functools.lru_cache(maxsize=4096)
def slots_of(kind: type) -> tuple[tuple[str, Any], ...]:
    """The slots of a class and of its bases: the name as code has it, and what reads and writes it."""
    bases = (base for base in kind.__mro__ if "__slots__" in vars(base))
    slots = ((name, slot) for base in bases for name, slot in vars(base).items())
    return tuple((name, slot) for name, slot in slots if type(slot) is types.MemberDescriptorType)


def is_generator(kind: type) -> bool:
    return issubclass(kind, random.Random) or kind.__module__.startswith("numpy.random")


def state_of(thing: Any) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """How to read and to set the state of a generator of random numbers.

    Raises:
        Unreadable: it has none.
    """
    if isinstance(thing, random.Random) and not isinstance(thing, random.SystemRandom):
        return thing.getstate, thing.setstate
    holder = getattr(thing, "bit_generator", None)
    if holder is None and hasattr(thing, "get_state"):
        return functools.partial(thing.get_state, legacy=False), thing.set_state
    holder = thing if holder is None else holder
    if isinstance(thing, random.Random) or not isinstance(holder, sys.modules["numpy.random"].BitGenerator):
        raise Unreadable(thing)
    return lambda: holder.state, lambda state: setattr(holder, "state", state)


def children_of(thing: Any) -> Any:
    """How many generators a generator of NumPy's has spawned, which its state does not tell."""
    holder = getattr(thing, "bit_generator", thing)
    seeds = getattr(holder, "seed_seq", holder)
    return getattr(seeds, "n_children_spawned", None)


def plain(state: Any) -> Any:
    """A state that can be compared."""
    if isinstance(state, Mapping):
        return {key: plain(value) for key, value in state.items()}
    return state.tobytes() if isinstance(state, numpy.ndarray) else state
