"""Where the tensors that a function reads are held, to see quickly whether one was replaced.

    cell ─ __dict__["weight_hh"] ─ tensor        one link
    step ─ closure, cells ─ [0] ─ __dict__["U"] ─ tensor    three

A link is a place and what is in it. As long as every link on the way to a tensor is the same, the function
reads that tensor and no other.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

from ..tape import Node
from .closure import Closure
from .functions import names_in

_NO_PLACE = object()


class Links:
    """The places on all ways to the tensors that a function reads.

    Args:
        function, names, every, contents: as of :class:`~.closure.Closure`.

    Attributes:
        complete: whether each of them is a place that can be looked at: an item of a dictionary or a list, an
            attribute of an object, a variable. What a class or a property holds is none.
    """

    def __init__(
        self, function: Any, names: frozenset[str], every: bool, contents: Mapping[int, Any]
    ) -> None:
        read = _Ways(function, names, every, contents=contents)
        self._items: list[tuple[Any, Any, Any]] = []
        self._variables: list[tuple[types.CellType, Any]] = []
        self.complete: bool = True
        for holder, thing in read.to_tensors():
            self._add(holder, thing)

    def hold(self) -> bool:
        """Whether everything is where it was."""
        try:
            for place, key, thing in self._items:
                if place[key] is not thing:
                    return False
            for variable, thing in self._variables:
                if variable.cell_contents is not thing:
                    return False
        except (LookupError, ValueError):
            return False
        return True

    def _add(self, holder: Any, thing: Any) -> None:
        if isinstance(holder, (tuple, types.MethodType)):
            return  # cannot change
        if isinstance(holder, types.FunctionType):
            complete = self._in_function(holder, thing)
        elif isinstance(holder, (dict, list)):
            complete = self._in_items(holder, thing)
        else:
            complete = self._in_items(getattr(holder, "__dict__", {}), thing)
        self.complete &= complete

    def _in_items(self, place: Any, thing: Any) -> bool:
        pairs = place.items() if isinstance(place, dict) else enumerate(place)
        links = [(place, key, thing) for key, value in pairs if value is thing]
        self._items += links
        return bool(links)

    def _in_function(self, function: types.FunctionType, thing: Any) -> bool:
        names, table = names_in(function.__code__), function.__globals__
        links = [(table, name, thing) for name in names if table.get(name, _NO_PLACE) is thing]
        variables = [cell for cell in function.__closure__ or () if _content(cell) is thing]
        self._items += links
        self._variables += [(cell, thing) for cell in variables]
        return bool(links or variables)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not set yet
        return _NO_PLACE


class _Ways(Closure):
    """A closure that notes in what everything was reached."""

    def __init__(self, function: Any, *arguments: Any, **further: Any) -> None:
        self._holders: list[Any] = []
        self._ways: list[tuple[Any, Any]] = []
        super().__init__(function, *arguments, **further)

    def _read(self, thing: Any) -> None:
        self._note_way(thing)
        self._holders.append(thing)
        super()._read(thing)
        self._holders.pop()

    def _read_tensor(self, x: Node, kind: type) -> None:
        self._note_way(x)
        super()._read_tensor(x, kind)

    def _note_way(self, thing: Any) -> None:
        if self._holders and self._holders[-1] is not thing:
            self._ways.append((self._holders[-1], thing))

    def to_tensors(self) -> list[tuple[Any, Any]]:
        """The pairs (holder, thing) on ways to tensors."""
        leading = {id(x) for x in self.tensors}
        while (more := leading | {id(h) for h, thing in self._ways if id(thing) in leading}) != leading:
            leading = more
        unique = {(id(h), id(thing)): (h, thing) for h, thing in self._ways if id(thing) in leading}
        return list(unique.values())
