"""Reads what data hold: containers, arrays, generators of random numbers. What code holds is
:mod:`.closure`'s."""

from __future__ import annotations

import collections
import decimal
import operator
import sys
import types
from collections.abc import Container, Iterable, Mapping
from typing import Any

import numpy

from ..tape import Node
from .contents import Elements, Items, Numbers, items_of
from .objects import Unreadable, children_of, plain, state_of
from .steady import LIBRARY, top
from .stores import CacheSlot, Slot, Stores

VALUES = frozenset([int, str, bool, bytes, type(None), type(Ellipsis), type(NotImplemented)])
"""Types whose instances are what they compare equal to."""

BUILT_IN = frozenset([dict, collections.OrderedDict, list, collections.deque, set, tuple, frozenset])
"""Containers without attributes."""

_C_MODULES = frozenset([LIBRARY, "numpy", "cupy", "llvmlite", *sys.stdlib_module_names])
"""Packages whose functions of C read nothing that changes, but for what is seen when it is called."""


class Data:
    """A fingerprint that is being read, of data. See :class:`~tinygrad_rnn.reading.closure.Closure` for the
    arguments and attributes."""

    def __init__(
        self, names: frozenset[str], every: bool, stores: Stores | None, contents: Mapping[int, Any]
    ) -> None:
        self.parts: list[Any] = []
        self.tensors: list[Node] = []
        self.names = names
        self.every = every
        self.named: set[str] = set()
        self.codes: set[types.CodeType] = set()
        self.cached: set[str] = set()
        self.slots: list[Any] = []
        self.contents: dict[int, Any] = {}
        self.absent: set[str] = set()
        self.settled = True
        self._stores, self._before = stores, contents
        self._seen: dict[int, Any] = {}
        self._order: dict[int, int] = {}
        self._name = ""

    @property
    def held(self) -> Container[int]:
        """By their addresses, the things that were reached."""
        return self._seen

    def _read(self, thing: Any) -> None:
        raise NotImplementedError

    def _read_all(self, things: Iterable[Any]) -> None:
        for thing in things:
            self._read(thing)

    def _read_by_name(self, name: str, thing: Any) -> None:
        self._name = name
        try:
            self._read(thing)
        except Unreadable as error:
            error.path.append(name)
            raise

    def _read_list(self, things: Any) -> None:
        if self._read_numbers(things):
            return
        items = items_of(things)
        self._note_items(things)
        self.parts.append(len(items))
        self._read_all(items)

    def _read_tuple(self, things: Any) -> None:
        items = items_of(things)
        self.parts.append(len(items))
        self._read_all(items)

    def _read_dict(self, table: Any) -> None:
        if self._read_numbers(table):
            return
        items = items_of(table)
        self._note_items(table)
        self.parts.append(len(items))
        for key, value in items:
            self._read(key)
            self._read_by_name(str(key) if type(key) in VALUES else "a key", value)

    def _read_numbers(self, things: Any) -> bool:
        """Whether a container holds numbers and strings only, which are read at once."""
        before = self._before.get(id(things))
        if before is not None and before.thing is things and before.same():
            self._note_content(before)
        elif type(things) in BUILT_IN and Numbers.hold(things):
            self._note_content(Numbers(things))
        else:
            return False
        self._note_items(things)
        return True

    def _read_default(self, table: Any) -> None:
        self._read_dict(table)
        self._read(table.default_factory)

    def _read_bytes(self, values: Any) -> None:
        self._note_items(values)
        self.parts += (values.typecode, values.tobytes())

    def _read_context(self) -> None:
        """How decimal numbers are rounded in this thread."""
        context = decimal.getcontext()
        self.parts += (
            context.prec,
            context.rounding,
            context.Emin,
            context.Emax,
            context.clamp,
            tuple(context.traps.items()),
        )

    def _read_array(self, values: numpy.ndarray) -> None:
        if values.dtype.hasobject:
            content = Elements(values, self._name)
            self.parts += (values.shape, values.dtype.str)
            self._read_all(content.objects())
        else:
            before = self._before.get(id(values))
            content = (
                before
                if before is not None and before.thing is values and before.same()
                else Elements(values, self._name)
            )
            self.parts.append(values.flags.writeable)
            self._note_content(content)
        if self._stores is not None and values.flags.writeable:
            self.slots.append(content)

    def _note_content(self, content: Any) -> None:
        self.contents[id(content.thing)] = content
        self.parts.append(content)

    def _read_getter(self, getter: operator.attrgetter[Any]) -> None:
        paths = getter.__reduce__()[1]
        self.named.update(name for path in paths for name in path.split("."))
        self._read_all(paths)

    def _read_generator(self, thing: Any) -> None:
        """A generator of random numbers: where it stands."""
        self.parts += (plain(state_of(thing)[0]()), children_of(thing))
        self._note_generator(thing, "a random number generator")

    def _note_generator(self, thing: Any, what: str) -> None:
        if self._stores is not None:
            self.slots.append(Slot(what, *state_of(thing), lambda a, b: bool(plain(a) == plain(b))))

    def _note_items(self, container: Any) -> None:
        if self._stores is not None and not isinstance(container, types.MappingProxyType):
            self.slots.append(Items(container, self._name))

    def _read_c_function(self, thing: Any) -> None:
        """A function written in C. It is pure if its module is; a method depends on what it is bound to."""
        bound = getattr(thing, "__self__", None)
        # another method of it may lie at the same address
        self.parts += (thing.__name__, getattr(thing, "__qualname__", None))
        if bound is not None and not isinstance(bound, (types.ModuleType, type)):
            self._read(bound)
        elif top(getattr(thing, "__module__", None) or "builtins") not in _C_MODULES:
            raise Unreadable(thing)

    # -- putting back ----------------------------------------------------------------------------------------

    def restore(self) -> list[str]:
        """Put back what was written to since; returns what that was, in words."""
        changed = [slot for slot in self.slots if slot.changed()]
        for slot in changed:
            slot.restore()
        return list(dict.fromkeys(slot.what for slot in changed))

    def forget(self) -> None:
        """Empty the caches of functions that have kept results since: with what was put back these may be
        wrong."""
        for slot in self.slots:
            if isinstance(slot, CacheSlot):
                slot.forget()
