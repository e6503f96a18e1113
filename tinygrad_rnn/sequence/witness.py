"""Whether a cell still is what it was when it was traced.

A trace need not be made anew while nothing has changed that the cell's code can read: its attributes and its class's, the variables it
closes over, the globals it names. A witness is all of that, for comparison; where something cannot be compared cheaply, there is none, and
the cell is traced at every call. What a trace changed of it can be put back.
"""

from __future__ import annotations

import functools
import sys
import types
from typing import Any

import numpy

from ..tape import Node

_PLAIN = (int, str, bool, bytes, type(None), type(Ellipsis))
_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType)
_LIBRARY = __package__.partition(".")[0]
_STEADY = {_LIBRARY, "numpy", "cupy", *sys.stdlib_module_names}
"""Packages whose functions, classes and modules read nothing that changes."""


class _Unknown(Exception):
    """Something that cannot be compared."""


class Reader:
    """Reads what a cell can read.

    Attributes:
        parts: what was read, to be compared.
        held: variables and containers on the way, each with what it held.
        known: whether all could be read.
    """

    def __init__(self, cell: Any) -> None:
        self.parts: list[Any] = []
        self.held: list[tuple[Any, Any]] = []
        self.known = True
        self._seen: set[int] = set()
        try:
            self._read(cell)
        except _Unknown:
            self.known = False

    def restore(self) -> None:
        """Put back what variables and containers held."""
        for container, content in self.held:
            if isinstance(container, types.CellType):
                container.cell_contents = content
            elif isinstance(container, tuple):
                table, name = container
                if table.get(name) is not content:
                    table[name] = content
            elif isinstance(container, dict):
                if len(container) != len(content) or any(container.get(key, self) is not value for key, value in content.items()):
                    container.clear()
                    container.update(content)
            else:
                container[:] = content

    def _read(self, thing: Any) -> None:
        kind = type(thing)
        parts = self.parts
        if kind in _PLAIN:
            parts += (kind, thing)
            return
        if kind is float:
            parts.append(thing.hex())
            return
        parts.append(id(thing))
        if isinstance(thing, Node):  # all that a trace depends on: a new tensor may lie where an old one was
            parts += (thing.requires_grad, thing._data.shape, thing._data.dtype, thing._backend)
            return
        if id(thing) in self._seen:
            return
        self._seen.add(id(thing))
        if kind is types.FunctionType:
            self._read_function(thing)
        elif kind is dict:
            self._read_dict(thing)
        elif kind is list:
            self.held.append((thing, thing[:]))
            self._read_all(thing)
        elif kind is tuple:
            self._read_all(thing)
        elif kind is types.MethodType:
            self._read(thing.__func__)
            self._read(thing.__self__)
        elif kind is type:
            self._read_class(thing)
        elif kind is functools.partial:
            self._read_all((thing.func, thing.args, thing.keywords))
        elif (
            kind is types.ModuleType
            or isinstance(thing, numpy.ufunc)
            or (kind is types.BuiltinFunctionType and (thing.__self__ is None or type(thing.__self__) is types.ModuleType))
        ):
            return
        elif isinstance(thing, (numpy.dtype, numpy.generic)):
            parts.append(thing)
        elif type(kind) is type and not _own_new(kind) and hasattr(thing, "__dict__") and not hasattr(kind, "__slots__"):
            self._read_class(kind)
            self._read_dict(vars(thing))
        else:
            raise _Unknown

    def _read_all(self, things: Any) -> None:
        for thing in things:
            self._read(thing)

    def _read_dict(self, table: dict[Any, Any]) -> None:
        self.held.append((table, table.copy()))
        parts = self.parts
        for key, value in table.items():
            kind = type(value)
            if type(key) is str and kind in _PLAIN:  # nearly always: no call
                parts += (key, kind, value)
            else:
                self._read(key)
                self._read(value)

    def _read_class(self, kind: type) -> None:
        for base in kind.__mro__:
            if _top(base.__module__) in _STEADY:
                continue
            for name, value in vars(base).items():
                if isinstance(value, (staticmethod, classmethod)):
                    self._read(value.__func__)
                elif isinstance(value, property):
                    self._read(value.fget)
                elif type(value) is types.FunctionType or not (name.startswith("__") or isinstance(value, _DESCRIPTORS)):
                    self._read(value)

    def _read_function(self, function: types.FunctionType) -> None:
        if _top(function.__globals__.get("__name__")) == _LIBRARY and hasattr(function, "__wrapped__"):
            self._read(function.__wrapped__)  # a decorator of ours
            return
        if _top(function.__module__) in _STEADY and not function.__closure__:
            return
        self.parts.append(function.__code__)
        for value in (function.__defaults__, function.__kwdefaults__, function.__dict__):
            if value:
                self._read(value)
        names = _names(function.__code__)
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:  # a variable that is not set yet
                raise _Unknown from None
            self.held.append((cell, content))
            self._read_named(content, names)
        for name in names:
            if name in function.__globals__:
                value = function.__globals__[name]
                self.held.append(((function.__globals__, name), value))
                self.parts.append(name)
                self._read_named(value, names)

    def _read_named(self, thing: Any, names: tuple[str, ...]) -> None:
        """A variable; of a module of the user's own, what the code may name in it."""
        self._read(thing)
        if type(thing) is types.ModuleType and _top(thing.__name__) not in _STEADY:
            for name in names:
                if name in vars(thing):
                    self._read(vars(thing)[name])


def _top(module: str | None) -> str:
    return (module or "").partition(".")[0]


@functools.lru_cache(maxsize=1024)
def _names(code: types.CodeType) -> tuple[str, ...]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.update(_names(constant))
    return tuple(sorted(names))


def witness(cell: Any) -> Any:
    """What the cell can read, or None where that cannot be told."""
    reader = Reader(cell)
    return reader.parts if reader.known else None


def _own_new(kind: type) -> bool:
    """Whether objects of a class are made in a way of its own, and may be more than their attributes."""
    return any("__new__" in vars(base) for base in kind.__mro__[:-1])
