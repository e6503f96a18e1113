"""Reads what modules hold. Of a user's module, what the code names in it. Of a module that is usually not
changed, such as Python's own, what somebody patched after all."""

from __future__ import annotations

import builtins
import importlib.util
import random
import sys
import types
from collections.abc import Iterable, Mapping
from typing import Any

from .data import BUILT_IN, VALUES, Data
from .objects import Unreadable
from .steady import LIBRARY, can_be_patched, steady_function, steady_module
from .stores import key_slot

BUILT_INS = vars(builtins)
_DATA = frozenset([*VALUES, float, *BUILT_IN, types.MethodType, types.ModuleType])


def _may_be_the_users(value: Any) -> bool:
    """Whether a value in a module that is usually not changed is the user's, or data."""
    if type(value) is types.FunctionType:
        return not steady_function(value)
    return can_be_patched(value) if isinstance(value, type) else type(value) in _DATA


class Modules(Data):
    """A fingerprint that is being read, of modules."""

    def _read_module(self, module: Any) -> None:
        """Of a user's module, what the code may name in it; all data, where it may name anything."""
        if steady_module(module):
            self._read_steady_module(module)
            return
        table = vars(module)
        for name in table if self.every else self.names.intersection(table):
            if name in self.names or not isinstance(
                table[name], (types.FunctionType, types.ModuleType, type)
            ):
                self._note_key(table, name)
                self.parts.append(name)
                self._read_by_name(name, table[name])

    def _read_steady_module(self, module: Any) -> None:
        name = module.__name__
        if name == "sys" and "modules" in self.names:
            raise Unreadable(sys)
        if name in ("decimal", "_decimal"):
            self._read_context()
        if name == "numpy.random":
            self._note_generator(module.mtrand._rand, "np.random")
        elif name == "random":
            self._note_generator(random._inst, "random")
        if name == LIBRARY:  # some of its modules are imported where they are first named
            self.absent.update(
                path for path in (f"{LIBRARY}.{part}" for part in self.names) if path not in sys.modules
            )
        self._read_patched(vars(module))

    def _read_patched(self, table: Mapping[str, Any], names: Iterable[str] | None = None) -> None:
        """What the code names in something that is usually not changed: which object it is, and, if that is
        the user's or data, all of it."""
        parts = self.parts
        for name in self.names if names is None else names:
            if name in table:
                value = table[name]
                if isinstance(table, dict):
                    self._note_key(table, name)
                parts.append(name)
                if _may_be_the_users(value):
                    self._read_by_name(name, value)
                else:
                    parts.append(id(value))
                    if type(value) is types.FunctionType:
                        self._read_patched(value.__dict__)

    def _read_import(self, name: str, table: Mapping[str, Any]) -> None:
        """A module that code imports when it runs, with those around it."""
        package = table.get("__package__") or str(table.get("__name__")).rpartition(".")[0]
        whole = importlib.util.resolve_name(name, package) if package or not name.startswith(".") else name
        steps = whole.split(".")
        for count in range(1, len(steps) + 1):
            path = ".".join(steps[:count])
            if path in sys.modules:
                self._read_by_name(path, sys.modules[path])
            else:
                self.absent.add(path)

    def _note_key(self, table: Any, name: str) -> None:
        if self._stores is not None and self._stores.writes(name):
            self.slots.append(key_slot(table, name))

    def _names(self, name: str) -> bool:
        return self.every or name in self.names
