"""The cells of a recurrent layer, from what somebody gives: one cell, a list of them, or what makes them."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any

from .. import arguments
from ..errors import ArgumentError
from .cell import Shape
from .module import tensors_inside


def cells_of(
    name: str, given: Any, input_size: int | None, num_layers: int, directions: int, widens: bool
) -> list[list[Any]]:
    """The cells by layers, each with one for each direction.

    Args:
        name: of the layer.
        given: a cell; a list of cells, layer by layer, the two directions of each behind each other or in a
            list of their own; or, with an input size, what makes a cell for an input size.
        input_size: that of the first layer.
        num_layers: how many; one, and a list has as many as it is long for.
        directions: of each layer.
        widens: whether a layer's outputs stand side by side.

    Raises:
        ArgumentError: it is no cell, there are too few of them, they cannot be copied, or they do not say
            what the next layer reads.
    """
    if input_size is not None:
        return _made(name, given, input_size, num_layers, directions, widens)
    if isinstance(given, (list, tuple)):
        flat = [cell for part in given for cell in (part if isinstance(part, (list, tuple)) else (part,))]
        several = [
            arguments.function(f"{name}: cell[{i}]", cell, instance=True) for i, cell in enumerate(flat)
        ]
        layers, rest = divmod(len(several), directions)
        if not layers or rest or num_layers not in (1, layers):
            raise ArgumentError(
                f"{name}: {len(several)} cells for {num_layers} layers of {directions} direction"
                f"{'s' * (directions > 1)}: give one for each direction of each layer"
            )
    else:
        if isinstance(given, type):
            kind = given.__name__
            raise ArgumentError(
                f"{name}: cell is the class {kind}, not an instance of it: give input_size=…, and it is "
                f"called with the input size of each layer, {kind}(input_size); or, where all layers read "
                f"equally much, write {kind}(…)"
            )
        cell = arguments.function(f"{name}: cell", given)
        if _makes_cells(cell):
            raise ArgumentError(
                f"{name}: cell takes one argument, as what makes a cell for an input size: give input_size=… "
                "too; a cell takes x and the state"
            )
        several = [cell] * (num_layers * directions)
    own = _own(name, several)
    return [own[i : i + directions] for i in range(0, len(own), directions)]


def _made(name: str, make: Any, size: int, num_layers: int, directions: int, widens: bool) -> list[list[Any]]:
    make = arguments.function(f"{name}: cell", make)
    if not takes(make, 0):
        raise ArgumentError(
            f"{name}: with input_size, cell makes cells: it is called with one argument, an input size, and "
            f"{name_of(make)} cannot be: leave input_size out, or give a function or class that makes cells"
        )
    layers: list[list[Any]] = []
    for _ in range(num_layers):
        layer = [
            arguments.function(f"{name}: what cell(input_size) returned", make(size), instance=True)
            for _ in range(directions)
        ]
        layers.append(layer)
        if len(layers) < num_layers:
            sizes = [output_size(name, cell) for cell in layer]
            size = sum(sizes) if widens else sizes[0]
    own = iter(_own(name, [cell for layer in layers for cell in layer]))
    return [[next(own) for _ in layer] for layer in layers]


def output_size(name: str, cell: Any) -> int:
    """What the next layer reads of a cell: its ``output_size``, or else the last axis of the first tensor of
    its state, which most cells return as their output."""
    size = getattr(cell, "output_size", None)
    if size is None:
        size = getattr(cell, "state_size", None)
        while isinstance(size, (tuple, list, dict)) and size:
            size = next(iter(size.values() if isinstance(size, dict) else size))
        size = size.axes[-1] if isinstance(size, Shape) and size.axes else size
    if not isinstance(size, int):
        raise ArgumentError(
            f"{name}: the cell {name_of(cell)} has neither output_size nor state_size: say by one of them "
            "how much the next layer reads"
        )
    return size


def name_of(cell: Any) -> str:
    return getattr(cell, "__name__", type(cell).__name__)


def _own(name: str, cells: Sequence[Any]) -> list[Any]:
    """The same cells, with copies in place of those that come a second time."""
    seen: set[int] = set()
    own = []
    for cell in cells:
        if id(cell) in seen:
            parameters = {id(p) for p in tensors_inside(cell)}
            cell = copy.deepcopy(cell)
            if any(id(p) in parameters for p in tensors_inside(cell)):
                raise ArgumentError(
                    f"{name}: the cell {name_of(cell)} stands in several places and cannot be copied with "
                    "parameters of its own: give a list of cells, or with input_size=… a function that makes "
                    "them"
                )
        seen.add(id(cell))
        own.append(cell)
    return own


def _makes_cells(function: Any) -> bool:
    """Whether something takes one argument and no second one."""
    return takes(function, 0) and not takes(function, 0, 0)


def takes(function: Any, *values: Any) -> bool:
    """Whether something can be called with so many values; True where nobody knows."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*values)
    except TypeError:
        return False
    return True


def sizes_differ(cells: Sequence[Any]) -> bool:
    """Whether cells say the sizes of their states, and not the same ones."""
    sizes = [_plain(getattr(cell, "state_size", None)) for cell in cells]
    return None not in sizes and any(size != sizes[0] for size in sizes)


def _plain(size: Any) -> Any:
    """A state_size as what can be compared."""
    if isinstance(size, dict):
        return {key: _plain(part) for key, part in size.items()}
    if isinstance(size, (tuple, list)):
        return [_plain(part) for part in size]
    return ("axes", size.axes) if isinstance(size, Shape) else size
