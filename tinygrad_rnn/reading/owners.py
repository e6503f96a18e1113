"""What the user calls the modules and the cells of a program: by the attributes that lead to them from the
outermost module, by variables, or by the names of functions."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..tape import Key, Scope, Tape, key_of
from .chain import Chain
from .steps import outwards


class Owners:
    """The names of the modules that a tape was recorded in.

    Args:
        variables: those of the program that asks, the nearest first: modules are called by them, and by their
            attributes.

    Attributes:
        parameters: by key what the outermost modules call their parameters.
    """

    def __init__(self, tape: Tape, variables: Sequence[Mapping[str, Any]]) -> None:
        self._variables = variables
        self._paths: dict[int, str] = {}
        scopes = dict.fromkeys(entry.scope for entry in tape)
        roots = {id(root): root for scope in scopes for root in list(modules_around(scope))[-1:]}
        self.parameters: dict[Key, str] = {}
        for root in roots.values():
            for name, module in (*_named_modules(root), *_attributes(root)):
                self._paths.setdefault(id(module), name)
            self._paths[id(root)] = self._variable(root)
            for name, parameter in root.named_parameters() if hasattr(type(root), "named_parameters") else ():
                self.parameters.setdefault(key_of(parameter), _bracketed(name))

    def name(self, module: Any) -> str:
        """``encoder``, ``layers[0]``: the attributes from the outermost module on, which is called by its
        variable itself; or ""."""
        known = self._paths.get(id(module))
        return self._variable(module) if known is None else known

    def of_chain(self, chain: Chain) -> tuple[str, str]:
        """What the user calls the innermost module that a chain's steps run in, and their cell."""
        around = (name for module in modules_around(chain.scopes[0].outer) if (name := self.name(module)))
        return next(around, ""), "" if chain.call is None else self._cell(chain.call[0])

    def _cell(self, cell: Any) -> str:
        name = self.name(cell) or getattr(getattr(cell, "func", cell), "__name__", "")
        return "" if name.startswith("<") else name

    def _variable(self, module: Any) -> str:
        """The variable that holds a module, or by what part of a variable it is held; or ""."""
        for variables in self._variables:
            for reach in (_direct, _held):
                for name, x in variables.items():
                    path = (
                        ""
                        if name.startswith("_")
                        else next((path for path, part in reach(name, x) if part is module), "")
                    )
                    if path:
                        return path
        return ""


def modules_around(scope: Scope | None) -> Iterator[Any]:
    """The modules that a scope lies in, from the inside out."""
    return (outer.label for outer in outwards(scope) if outer.kind == "module")


def _named_modules(root: Any) -> Iterator[tuple[str, Any]]:
    """A module and those inside, as its ``named_modules`` has them."""
    if hasattr(type(root), "named_modules"):
        for name, module in root.named_modules():
            yield _bracketed(name), module


def _attributes(root: Any) -> Iterator[tuple[str, Any]]:
    """The modules that simply stand in attributes, whether ``named_modules`` has them or not."""
    for name, module in _named_modules(root):
        for attribute, part in [*vars(module).items()]:
            if hasattr(type(part), "named_modules"):
                yield f"{name}.{attribute}" if name else attribute, part


def _bracketed(dotted: str) -> str:
    """``layers[0].cell`` for ``layers.0.cell``."""
    return re.sub(r"(?:^|\.)(\d+)(?=\.|$)", r"[\1]", dotted)


def _direct(name: str, x: Any) -> Iterator[tuple[str, Any]]:
    yield name, x


def _held(name: str, x: Any) -> Iterator[tuple[str, Any]]:
    """What a list, a dict or an object that is no module holds."""
    if hasattr(type(x), "named_modules"):
        yield from _named_modules(x)
    elif isinstance(x, (list, tuple, dict)):
        yield from _items(name, x)
    elif not isinstance(x, (type, types.ModuleType)) and hasattr(x, "__dict__"):
        for attribute, part in [*vars(x).items()]:
            yield attribute, part
            if isinstance(part, (list, tuple, dict)):
                yield from _items(attribute, part)


def _items(name: str, x: Any) -> Iterator[tuple[str, Any]]:
    """Of a container that may hold modules: a long one holds data."""
    if len(x) > _MANY:
        return
    if isinstance(x, dict):
        yield from [(f"{name}.{key}", part) for key, part in x.items()]
    else:
        yield from [(f"{name}[{i}]", part) for i, part in enumerate(x)]


_MANY = 1000
