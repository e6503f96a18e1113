"""Reads functions and classes: their code, and whatever that code names in closures, globals, builtins and
imports."""

from __future__ import annotations

import collections
import functools
import types
from typing import Any

from .contents import Items
from .modules import BUILT_INS, Modules
from .steady import LIBRARY, can_be_patched, steady_class, steady_function, top
from .stores import MISSING, attribute_slot, content_of, imports_in, nested, variable_slot

_DESCRIPTORS = (
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    type(vars(collections.namedtuple("_", "x"))["x"]),
)
_SELDOM = frozenset(
    [
        "__init__", "__post_init__", "__init_subclass__", "__set_name__", "__repr__", "__str__", "__format__",
        "__del__", "__dir__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__copy__",
        "__deepcopy__", "__sizeof__", "__fspath__", "__subclasshook__",
    ]
)  # fmt: skip
"""Methods that Python calls by itself, but seldom in a step: they are read once one was seen to run."""


class Functions(Modules):
    """A fingerprint that is being read, of functions and classes."""

    def _read_function(self, function: Any) -> None:
        steady = steady_function(function)
        if (
            steady
            and top(function.__globals__.get("__name__")) == LIBRARY
            and hasattr(function, "__wrapped__")
        ):
            self._read(function.__wrapped__)  # a decorator of ours
            return
        self.parts.append(function.__code__)
        if steady and not function.__closure__:
            self._read_patched(function.__dict__)
            return
        # functools.singledispatch: what it found before is no matter
        if steady and hasattr(function, "registry"):
            self._read(function.registry)
            return
        code, table = function.__code__, function.__globals__
        self.codes.update(nested(code))
        names = names_in(code)
        self.named.update(names)
        for value in (function.__defaults__, function.__kwdefaults__, function.__dict__):
            if value:
                self._read(value)
        if self._stores is not None and not function.__dict__:
            self.slots.append(Items(function.__dict__))  # an attribute may come
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
            self._read_variable(name, cell)
        for name in names:
            if name in table:
                if not name.startswith("@"):  # a test runner's, which runs where an assertion fails
                    self._note_key(table, name)
                    self.parts.append(name)
                    self._read_by_name(name, table[name])
            else:
                self._note_key(table, name)  # it may come
                if name in BUILT_INS:  # somebody may have put it there
                    self._read_patched(BUILT_INS, (name,))
        for name in imports_in(code):
            self._read_import(name, table)

    def _read_variable(self, name: str, cell: Any) -> None:
        content = content_of(cell)
        if self._stores is not None and name in self._stores.variables:
            self.slots.append(variable_slot(name, cell))
        if content is MISSING:
            self.parts.append("unset")
        else:
            self._read_by_name(name, content)

    def _read_class(self, kind: Any) -> None:
        for base in kind.__mro__:
            if base is object:
                continue
            if self._stores is not None and can_be_patched(base):
                names = vars(base) if self._stores.names is None else self._stores.names
                self.slots.extend([attribute_slot(base, name) for name in names if not name.startswith("__")])
            if steady_class(base):
                self._read_patched(vars(base))
                continue
            self.parts.append(id(base))
            for name, value in vars(base).items():
                if isinstance(value, functools.cached_property):
                    self.cached.add(name)
                if self._holds(name, value):
                    self.parts.append(name)
                    self._read_by_name(name, value)
        if type(kind) is not type:
            self._read_class(type(kind))

    def _holds(self, name: str, value: Any) -> bool:
        """Whether an attribute of a class is one that code may read or run."""
        if name.startswith("__") and not self._names(name):
            return callable(value) and not isinstance(value, type) and name not in _SELDOM
        return self._names(name) and not isinstance(value, _DESCRIPTORS)


@functools.lru_cache(maxsize=4096)
def names_in(code: types.CodeType) -> tuple[str, ...]:
    """The globals and attributes that code names, and what is defined inside of it."""
    return tuple(sorted({name for part in nested(code) for name in part.co_names}))
