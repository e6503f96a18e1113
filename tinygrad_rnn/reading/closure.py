"""Everything that a function can read, to be compared later and to be put back.

What a function's code may name is known before it runs: the variables it closes over, the globals and
attributes whose names stand in its code, and so on through every function, object, container and array that
is reached from there. So

    cell ─ code ─ names {W, U, scale, act}
     ├ closure: scale = 2.0            a value: compared
     ├ globals: act ─ code ─ names …   a function: read in turn
     └ self.__dict__: W, U             tensors: shape, dtype, requires_grad, which a trace depends on
       (self.logger: no code that is reached names it, so it is not read)

two fingerprints that are equal mean that the code, given the same arguments, does the same. What cannot be
compared (an iterator, an open file, an object of a foreign C type) makes the whole *unreadable*, with its
name: nothing is assumed about it.
"""

from __future__ import annotations

import array
import collections
import contextvars
import datetime
import decimal
import fractions
import functools
import operator
import pathlib
import re
import threading
import types
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy

from .. import backends
from ..tape import Node
from .data import VALUES
from .functions import Functions
from .objects import Unreadable, is_generator, slots_of, storage_of, used_by_library
from .stores import (
    MISSING,
    CacheSlot,
    Stores,
    content_of,
    key_slot,
    keys_slot,
    member_slot,
    stores_of,
)

_IMMUTABLE = (
    range, slice, datetime.date, datetime.time, datetime.datetime, datetime.timedelta, decimal.Decimal,
    fractions.Fraction, re.Pattern, pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath,
    pathlib.WindowsPath, numpy.dtype, types.CodeType, types.GenericAlias,
)  # fmt: skip
_C_FUNCTIONS = frozenset(
    [
        "builtin_function_or_method", "cython_function_or_method", "ufunc", "_ArrayFunctionDispatcher",
        "method_descriptor", "wrapper_descriptor", "classmethod_descriptor", "method-wrapper",
    ]
)  # fmt: skip
_BY_ANY_NAME = frozenset(
    [
        "getattr", "setattr", "delattr", "hasattr", "vars", "dir", "eval", "exec", "globals", "locals",
        "__dict__", "__getattribute__", "attrgetter", "methodcaller", "inspect", "copy", "deepcopy",
        "replace", "asdict", "astuple", "fields", "parameters", "named_parameters", "state_dict", "modules",
    ]
)  # fmt: skip
"""Where code names one of these it may read attributes whose names do not stand in it: then all are read."""

_LOCKS = ("_thread.lock", "_thread.RLock")
"""Whoever only enters and leaves one learns nothing from it; what else it can do is seen when it is
called."""


class Closure(Functions):
    """Reads what a function can read.

    Args:
        function: any callable, or a tuple of things to start from.
        names: the names that attributes must have to be read.
        every: read attributes of any name.
        stores: what the code writes: the places that it can write to are noted, with what they hold.
        contents: what arrays and containers held before; those that have not changed are not copied again.

    Attributes:
        parts: the fingerprint: a list to be compared with another one by ``==``. Functions and tensors stand
            in it by their order, so that a function that is made anew in each call, from the same code and
            the same variables, has the same one.
        tensors: those that were reached, in that order.
        names, every: see the arguments.
        named: what the code that was reached names.
        codes: that code, with what is nested inside of it.
        cached: the attributes that a ``functools.cached_property`` writes.
        slots: the places that the code can write to, and all that can be changed by methods of its own.
        contents: by id, what arrays and containers of numbers held.
        absent: modules that the code imports and that nobody has imported yet.
        settled: False if something holds a result that an earlier call left (``functools.lru_cache``): then
            equal fingerprints are no promise for the next call.

    Raises:
        Unreadable: something cannot be compared.
    """

    def __init__(
        self,
        function: Any,
        names: frozenset[str],
        every: bool = False,
        stores: Stores | None = None,
        contents: Mapping[int, Any] = types.MappingProxyType({}),
    ) -> None:
        super().__init__(names, every, stores, contents)
        self._read(function)

    # -- things by their type --------------------------------------------------------------------------------

    def _read(self, thing: Any) -> None:
        kind: Any = type(thing)
        parts = self.parts
        if kind in VALUES:
            parts += (kind, thing)
            return
        if kind is float:
            parts.append(thing.hex())  # by sight: NaN is itself, and 0 is not −0
            return
        if isinstance(thing, Node):
            self._read_tensor(thing, kind)
            return
        parts.append(self._order.setdefault(id(thing), len(self._order)) if kind in _BY_ORDER else id(thing))
        if id(thing) in self._seen:
            return
        self._seen[id(thing)] = thing  # held, so that no other thing gets its address meanwhile
        read = _READERS.get(kind)
        if read is not None:
            read(self, thing)
        elif _is_plain(kind) and backends.owner(thing) is None:
            self._read_class(kind)
            self._read_attributes(thing, kind)
        else:
            self._read_other(thing, kind)

    def _read_tensor(self, x: Node, kind: type) -> None:
        """What a trace depends on. Tensors are told apart by the order in which they are reached."""
        order = self._order.setdefault(id(x), len(self._order))
        self.parts.append(order)
        if id(x) in self._seen:
            return
        self._seen[id(x)] = x
        self.tensors.append(x)
        self.parts.extend((x.requires_grad, x.entry is None, x._data.shape, x._data.dtype, x._backend))
        if self.every or "grad" in self.names:
            self._read(x._grad)
        if self.every or "name" in self.names:
            self.parts.append(x.name)
        if hasattr(x, "__dict__"):
            self._read_attributes(x, kind)

    def _read_cached(self, thing: Any) -> None:
        self.settled = False
        if self._stores is not None:
            self.slots.append(CacheSlot(thing))
        self._read(thing.__wrapped__)

    # -- other objects ---------------------------------------------------------------------------------------

    def _read_other(self, thing: Any, kind: type) -> None:
        if isinstance(thing, type):
            self._read_class(thing)
        elif isinstance(thing, types.ModuleType):
            self._read_module(thing)
        elif isinstance(thing, _IMMUTABLE):
            self.parts.extend((kind, str(thing) if isinstance(thing, decimal.Decimal) else thing))
            if isinstance(thing, decimal.Decimal):
                self._read_context()
        elif isinstance(thing, numpy.generic):
            self.parts.extend((thing.dtype.str, thing.tobytes()))
        elif (
            (owner := backends.owner(thing)) is not None
            and kind is not numpy.ndarray
            and not isinstance(thing, numpy.ndarray)
        ):
            host = owner.to_host(thing)
            self.parts.extend((host.shape, host.dtype.str, host.tobytes()))
        elif kind.__name__ in _C_FUNCTIONS:
            self._read_c_function(thing)
        elif kind.__name__ == "_abc_data" or f"{kind.__module__}.{kind.__name__}" in _LOCKS:
            return
        elif is_generator(kind):
            self._read_generator(thing)
        else:
            self._read_object(thing, kind)

    def _read_object(self, thing: Any, kind: type) -> None:
        """An object of a class written in Python: its attributes, and what it inherits from a container or a
        value."""
        storage = storage_of(kind)
        if storage is None:
            raise Unreadable(thing)
        if storage is not object:
            _STORAGE[storage](self, thing)
        self._read_class(kind)
        self._read_attributes(thing, kind)

    def _read_attributes(self, thing: Any, kind: type) -> None:
        every, names = self.every or used_by_library(kind), self.names
        table = getattr(thing, "__dict__", None)
        if table:
            parts = self.parts
            try:  # as _read_by_name does
                for name, value in table.items():
                    if every or name in names:
                        if type(value) in VALUES:  # nearly always: no call
                            parts += (name, type(value), value)
                        elif isinstance(value, Node):
                            parts.append(name)
                            self._read_tensor(value, type(value))
                        else:
                            parts.append(name)
                            self._name = name
                            self._read(value)
            except Unreadable as error:
                error.path.append(name)
                raise
        for name, slot in slots_of(kind):
            if (every or name in names) and not isinstance(thing, Node):
                value = content_of(slot, thing)
                self.parts.append(name)
                if value is not MISSING:
                    self._read_by_name(name, value)
        if self._stores is not None:
            self._note_attributes(thing, kind, table)

    # -- places that can be written to -----------------------------------------------------------------------

    def _note_attributes(self, thing: Any, kind: type, table: Any) -> None:
        assert self._stores is not None
        names = self._stores.names
        if table is not None:
            self.slots.extend([key_slot(table, name) for name in (table if names is None else names)])
            self.slots.extend([keys_slot(table)] if names is None else [])
        self.slots.extend(
            member_slot(thing, name, slot) for name, slot in slots_of(kind) if self._stores.writes(name)
        )


def closure_of(function: Any, names: Iterable[str] = ()) -> Closure:
    """All that a function can read, with the places that its code can write to.

    Which attributes are read depends on the names in the code that is reached, and which code is reached
    depends on what is read. So reading is repeated until no name is new.

    Args:
        names: further names to read.

    Raises:
        Unreadable: something cannot be compared.
    """
    known, every, contents = frozenset(names), bool(_BY_ANY_NAME.intersection(names)), dict[int, Any]()
    while True:
        closure = Closure(function, known, every, contents=contents)
        contents = closure.contents
        if closure.named <= known:
            break
        known, every = known | closure.named, every or bool(closure.named & _BY_ANY_NAME)
    return Closure(function, known, every, stores_of(closure.codes, closure.cached), contents)


@functools.lru_cache(maxsize=4096)
def _is_plain(kind: type) -> bool:
    """Whether objects of a class are nothing but their attributes, as most classes that users write."""
    told_apart = kind.__name__ in _C_FUNCTIONS or kind.__name__ == "_abc_data" or is_generator(kind)
    return storage_of(kind) is object and not told_apart and not issubclass(kind, _IMMUTABLE)


_BY_ORDER = frozenset([types.FunctionType, types.MethodType])
"""What is what it is made of, so that it does not matter which one it is, only whether two are the same."""

_READERS: dict[type, Callable[[Closure, Any], None]] = {
    types.FunctionType: Closure._read_function,
    types.MethodType: lambda closure, thing: closure._read_all((thing.__func__, thing.__self__)),
    types.ModuleType: Closure._read_module,
    type: Closure._read_class,
    dict: Closure._read_dict,
    collections.OrderedDict: Closure._read_dict,
    types.MappingProxyType: Closure._read_dict,
    list: Closure._read_list,
    collections.deque: Closure._read_list,
    bytearray: Closure._read_list,
    set: Closure._read_list,
    tuple: Closure._read_tuple,
    frozenset: Closure._read_tuple,
    complex: lambda closure, thing: closure._read_all((thing.real, thing.imag)),
    functools.partial: lambda closure, thing: closure._read_all((thing.func, thing.args, thing.keywords)),
    type(functools.lru_cache(lambda: None)): Closure._read_cached,
    weakref.ReferenceType: lambda closure, thing: closure._read(thing()),
    contextvars.ContextVar: lambda closure, thing: closure._read(thing.get(None)),
    functools.cached_property: lambda closure, thing: closure._read(thing.func),
    property: lambda closure, thing: closure._read_all((thing.fget, thing.fset, thing.fdel)),
    staticmethod: lambda closure, thing: closure._read(thing.__func__),
    classmethod: lambda closure, thing: closure._read(thing.__func__),
    numpy.ndarray: Closure._read_array,
    array.array: Closure._read_bytes,
    operator.itemgetter: lambda closure, thing: closure._read_all(thing.__reduce__()[1]),
    operator.attrgetter: Closure._read_getter,
}


def _converted(kind: type) -> Callable[[Closure, Any], None]:
    """Of a subclass's instance: the number or text that it is without its class."""
    return lambda closure, thing: closure._read(kind(thing))


_STORAGE: dict[type, Callable[[Closure, Any], None]] = {
    kind: _READERS[kind]
    for kind in (
        dict, collections.OrderedDict, list, collections.deque, bytearray, set, tuple, frozenset, complex,
        functools.partial, numpy.ndarray,
    )
}  # fmt: skip
_STORAGE |= {kind: _converted(kind) for kind in (int, float, str, bytes)}
_STORAGE[collections.defaultdict] = Closure._read_default
_STORAGE[types.SimpleNamespace] = lambda closure, thing: None  # only attributes
_STORAGE[threading.local] = lambda closure, thing: None  # this thread's attributes
_STORAGE[BaseException] = lambda closure, thing: closure._read(thing.args)
