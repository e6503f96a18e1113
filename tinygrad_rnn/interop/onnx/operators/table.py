"""The table of operators: one row for each that a file may hold, with what runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import numpy

from ....errors import CheckpointError

if TYPE_CHECKING:
    from ..graph import Graph


@dataclass(frozen=True, eq=False)
class Operator:
    """An operator of ONNX.

    Attributes:
        name: as files have it.
        run: run(node, \\*inputs) → a tensor, or several in the order of its outputs; None stands for an input
            that is left out. With ``inner``, run(node, scope, \\*inputs), where the scope holds what its
            graphs may name.
        attributes: those that it knows: a file that gives another one is refused.
        host: the places of inputs that say shapes, axes and places: NumPy arrays, which no residual reaches.
        plain: the places of inputs that are numbers of the code where the file holds them: NumPy arrays then,
            tensors otherwise.
        outputs: how many it gives at most; None where the node says it. A file that asks for more is refused.
        inner: whether its attributes hold graphs.
        check: check(node) refuses values of attributes that ``run`` does not know.
        prepare: prepare(node) → what is kept for its runs, as ``node.kept``.
    """

    name: str
    run: Callable[..., Any]
    attributes: frozenset[str] = frozenset()
    host: frozenset[int] = frozenset()
    plain: frozenset[int] = frozenset()
    outputs: int | None = 1
    inner: bool = False
    check: Callable[[Node], None] | None = None
    prepare: Callable[[Node], Any] | None = None

    def __reduce__(self) -> Any:
        """A copy is the row itself, also in another process."""
        return named, (self.name,)


@dataclass(eq=False)
class Node:
    """An operator in a graph.

    Attributes:
        label: what errors call it: its name, or what it makes, and its operator.
        operator: its row of the table.
        inputs, outputs: names of values; "" where one is left out.
        attributes: by name, as Python and NumPy have them; graphs as :class:`~..graph.Graph`.
        opset: the version of ONNX's operators that the file was written for.
        kept: what :attr:`Operator.prepare` made.
    """

    label: str
    operator: Operator
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    opset: int
    kept: Any = field(default=None, repr=False)

    def get(self, name: str, otherwise: Any = None) -> Any:
        """An attribute, or what holds where it is left out."""
        return self.attributes.get(name, otherwise)

    def graph(self, name: str) -> Graph:
        """An attribute that is a graph."""
        return self.attributes[name]

    def wants(self, output: int) -> bool:
        """Whether an output is asked for."""
        return output < len(self.outputs) and self.outputs[output] != ""

    def refuse(self, reason: str) -> NoReturn:
        """
        Raises:
            CheckpointError: always; names the node.
        """
        raise CheckpointError(f"{self.label}: {reason}")


operators: dict[str, Operator] = {}
"""By name. Those of the domain "", which is ONNX's own, alone."""


def named(name: str) -> Operator:
    """A row of the table."""
    return operators[name]


def add(
    name: str,
    run: Callable[..., Any],
    attributes: str = "",
    host: tuple[int, ...] = (),
    plain: tuple[int, ...] = (),
    **more: Any,
) -> None:
    """Write a row of the table; attributes are words in a line."""
    operators[name] = Operator(
        name, run, frozenset(attributes.split()), frozenset(host), frozenset(plain), **more
    )


def operator(name: str, attributes: str = "", **more: Any) -> Callable[[Callable[..., Any]], Any]:
    """The same as a decorator of what runs it."""

    def added(run: Callable[..., Any]) -> Callable[..., Any]:
        add(name, run, attributes, **more)
        return run

    return added


def ints(values: numpy.ndarray) -> tuple[int, ...]:
    """Axes, lengths or places as Python's numbers."""
    return tuple(int(value) for value in numpy.asarray(values).reshape(-1))


def words(value: Any) -> str:
    """An attribute that is a word."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
